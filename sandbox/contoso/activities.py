"""The tables of what happens around business: activities, notes and follows. Pure."""

from __future__ import annotations

from sandbox.contoso import columns as c
from sandbox.contoso.schema import DELETE, Column, Navigation, Table

_PARTIES = (
    "Sender", "To Recipient", "CC Recipient", "BCC Recipient", "Required attendee",
    "Optional attendee", "Organizer", "Regarding", "Owner", "Resource", "Customer",
    "Chat Participant", "Related",
)  # fmt: skip
_RELATIONSHIPS = {"account": "Account", "contact": "Contact"}


def _ways(
    lookup: str, targets: tuple[str, ...], suffix: str, relationship: str
) -> tuple[Navigation, ...]:
    """Return one navigation for each target of a lookup."""
    return tuple(
        Navigation(
            name=f"{lookup}_{target}{suffix}",
            target=target,
            relationship=f"{_RELATIONSHIPS.get(target, target)}_{relationship}",
        )
        for target in targets
    )


def _activity_columns() -> tuple[Column, ...]:
    """The columns that come before what an activity is about."""
    return (
        c.guid("activityid"),
        c.text("subject", 200, required=True),
        c.memo("description"),
        c.text("category", 250),
        c.text("subcategory", 250),
        c.moment("scheduledstart"),
        c.moment("scheduledend"),
        c.moment("actualstart"),
        c.moment("actualend"),
        c.integer("actualdurationminutes", 0, 2147483647),
        c.integer("scheduleddurationminutes", 0, 2147483647, settable=False),
    )


def _activity_rest(name: str) -> tuple[Column, ...]:
    return (
        c.choice("prioritycode", "Low", "Normal", "High", start=0),
        c.entity_name("activitytypecode", settable=False),
        c.boolean("isregularactivity"),
        c.boolean("isworkflowcreated"),
        c.boolean("isbilled"),
        c.moment("sortdate"),
        c.moment("lastonholdtime"),
        c.integer("onholdtime", -2147483648, 2147483647, settable=False),
        c.lookup_of_many(
            "regardingobjectid",
            "Lookup",
            _ways(
                "regardingobjectid",
                ("account", "contact"),
                f"_{name}",
                f"{name.capitalize()}s",
            ),
            on_delete=DELETE,
        ),
        *c.currency(name),
    )


def _ownership(name: str) -> tuple[Column, ...]:
    return c.ownership(
        user=f"user_{name}",
        team=f"team_{name}",
        unit=f"business_unit_{name}_activities",
    )


def _task() -> Table:
    return Table(
        name="task",
        schema_name="Task",
        entity_set="tasks",
        key="activityid",
        primary_name="subject",
        code=4212,
        ownership="UserOwned",
        base="activitypointer",
        privilege="Activity",
        is_activity=True,
        label="Task",
        columns=(
            *_activity_columns(),
            c.integer("percentcomplete", 0, 100),
            *_activity_rest("task"),
            c.state((0, "Open"), (1, "Completed"), (2, "Canceled")),
            c.status(
                (2, "Not Started"),
                (3, "In Progress"),
                (4, "Waiting on someone else"),
                (5, "Completed"),
                (6, "Canceled"),
                (7, "Deferred"),
            ),
            *c.stamps("task"),
            *_ownership("task"),
            *c.plumbing(),
        ),
    )


def _appointment() -> Table:
    return Table(
        name="appointment",
        schema_name="Appointment",
        entity_set="appointments",
        key="activityid",
        primary_name="subject",
        code=4201,
        ownership="UserOwned",
        base="activitypointer",
        privilege="Activity",
        owns_privilege=False,
        is_activity=True,
        label="Appointment",
        columns=(
            *_activity_columns(),
            c.text("location", 200),
            c.boolean("isalldayevent"),
            c.boolean("isonlinemeeting"),
            c.text("globalobjectid", 300),
            c.guid("seriesid"),
            c.choice("instancetypecode", "Not Recurring", "Recurring Master", start=0),
            c.moment("originalstartdate"),
            c.integer("attachmentcount", settable=False),
            *_activity_rest("appointment"),
            c.state((0, "Open"), (1, "Completed"), (2, "Canceled"), (3, "Scheduled")),
            c.status(
                (1, "Free"),
                (2, "Tentative"),
                (3, "Completed"),
                (4, "Canceled"),
                (5, "Busy"),
                (6, "Out of Office"),
            ),
            *c.stamps("appointment"),
            *_ownership("appointment"),
            *c.plumbing(),
        ),
    )


def _activityparty() -> Table:
    activities = tuple(
        Navigation(
            name=f"activityid_{name}",
            target=name,
            relationship=f"{name}_activity_parties",
        )
        for name in ("task", "appointment")
    )
    parties = _ways(
        "partyid", ("account", "contact", "systemuser"), "", "activity_parties"
    )
    return Table(
        name="activityparty",
        schema_name="ActivityParty",
        entity_set="activityparties",
        key="activitypartyid",
        primary_name=None,
        code=135,
        ownership="None",
        privilege="Activity",
        owns_privilege=False,
        label="Activity Party",
        columns=(
            c.guid("activitypartyid"),
            c.lookup_of_many("activityid", "Lookup", activities, on_delete=DELETE),
            c.lookup_of_many("partyid", "Lookup", parties),
            c.choice("participationtypemask", *_PARTIES),
            c.text("addressused", 320, settable=False),
            c.boolean("ispartydeleted"),
            c.double("effort", 0, 1e9),
            c.moment("scheduledstart"),
            c.moment("scheduledend"),
            c.version(),
        ),
    )


def _annotation() -> Table:
    targets = ("account", "contact", "task", "appointment", "product")
    return Table(
        name="annotation",
        schema_name="Annotation",
        entity_set="annotations",
        key="annotationid",
        primary_name="subject",
        code=5,
        ownership="UserOwned",
        privilege="Note",
        label="Note",
        columns=(
            c.guid("annotationid"),
            c.text("subject", 500),
            c.memo("notetext", 100_000),
            c.boolean("isdocument"),
            c.text("filename", 255),
            c.integer("filesize", settable=False),
            c.text("mimetype", 256),
            c.text("documentbody", 1_073_741_823),
            c.text("langid", 2),
            c.entity_name("objecttypecode", settable=False),
            c.lookup_of_many(
                "objectid",
                "Lookup",
                _ways("objectid", targets, "", "Annotation"),
                on_delete=DELETE,
            ),
            *c.stamps("annotationbase"),
            *c.ownership(
                user="user_annotations",
                team="team_annotations",
                unit="business_unit_annotations",
            ),
            c.version(),
        ),
    )


def _postfollow() -> Table:
    targets = ("account", "contact", "systemuser")
    return Table(
        name="postfollow",
        schema_name="PostFollow",
        entity_set="postfollows",
        key="postfollowid",
        primary_name=None,
        code=8003,
        ownership="UserOwned",
        privilege="PostFollow",
        label="Follow",
        columns=(
            c.guid("postfollowid"),
            c.lookup_of_many(
                "regardingobjectid",
                "Lookup",
                _ways("regardingobjectid", targets, "", "PostFollows"),
                on_delete=DELETE,
            ),
            *c.stamps("postfollow"),
            *c.ownership(
                user="user_postfollows",
                team="team_postfollows",
                unit="business_unit_postfollows",
            ),
            c.version(),
        ),
    )


# `task` brings the privileges that all activities share.
ACTIVITY_TABLES = (
    _task(),
    _appointment(),
    _activityparty(),
    _annotation(),
    _postfollow(),
)
