"""The tables of mobile offline profiles, and of errors of devices. Pure.

Deleting cascades from profile to item to association. A row that a client
changes is unpublished until `PublishXml` names its profile.
"""

from __future__ import annotations

from sandbox.contoso import columns as c
from sandbox.contoso.schema import DELETE, Column, Navigation, Table

_PROFILE = "mobileofflineprofile"
_ITEM = "mobileofflineprofileitem"
_ASSOCIATION = "mobileofflineprofileitemassociation"


def _published() -> tuple[Column, ...]:
    return (
        c.choice(
            "componentstate",
            "Published",
            "Unpublished",
            "Deleted",
            "Deleted Unpublished",
            start=0,
        ),
        c.boolean("isvalidated"),
        c.moment("publishedon", settable=False),
        c.moment("overwritetime", settable=False),
        c.guid("solutionid", settable=False),
        c.boolean("ismanaged"),
        c.text("introducedversion", 48),
        c.guid("processid"),
        c.guid("stageid"),
        c.text("traversedpath", 1250),
    )


def _table(name: str, schema_name: str, code: int, *columns: Column) -> Table:
    return Table(
        name=name,
        schema_name=schema_name,
        entity_set=f"{name}s",
        key=f"{name}id",
        primary_name="name",
        code=code,
        ownership="OrganizationOwned",
        privilege="MobileOfflineProfile",
        owns_privilege=name == _PROFILE,
        label=schema_name,
        columns=(
            c.guid(f"{name}id"),
            *columns,
            *_published(),
            *c.stamps(name),
            c.version(),
        ),
    )


def _membership(kind: str, principal: str) -> Table:
    name = f"{kind}mobileofflineprofilemembership"
    schema_name = f"{kind.capitalize()}MobileOfflineProfileMembership"
    return Table(
        name=name,
        schema_name=schema_name,
        entity_set=f"{name}s",
        key=f"{name}id",
        primary_name="name",
        code={"user": 9868, "team": 9869}[kind],
        ownership="OrganizationOwned",
        privilege="MobileOfflineProfile",
        owns_privilege=False,
        label=schema_name,
        columns=(
            c.guid(f"{name}id"),
            c.text("name", 255),
            c.lookup(
                "mobileofflineprofileid",
                _PROFILE,
                f"{name}_MobileOfflineProfile",
                indexed=True,
                on_delete=DELETE,
                navigation="MobileOfflineProfileId",
            ),
            c.lookup(
                f"{principal}id",
                principal,
                f"{name}_{principal}",
                indexed=True,
                on_delete=DELETE,
                navigation="SystemUserId" if principal == "systemuser" else "TeamId",
            ),
            *c.stamps(name),
            c.version(),
        ),
    )


def _syncerror() -> Table:
    targets = ("account", "contact", "task", "appointment", "annotation")
    regarding = tuple(
        Navigation(
            name=f"regardingobjectid_{target}_syncerror",
            target=target,
            relationship=f"{target.capitalize()}_SyncErrors",
        )
        for target in targets
    )
    return Table(
        name="syncerror",
        schema_name="SyncError",
        entity_set="syncerrors",
        key="syncerrorid",
        primary_name="name",
        code=9870,
        ownership="UserOwned",
        privilege="SyncError",
        label="Sync Error",
        columns=(
            c.guid("syncerrorid"),
            c.text("name", 100, required=True),
            c.text("action", 100),
            c.memo("actiondata", 10_000),
            c.text("description", 4000),
            c.text("errorcode", 100),
            c.memo("errordetail", 100_000),
            c.text("errormessage", 1000),
            c.moment("errortime"),
            c.choice(
                "errortype",
                "Conflict",
                "Record not found",
                "Record already exists",
                "Others",
                start=0,
            ),
            c.lookup_of_many("regardingobjectid", "Lookup", regarding),
            c.entity_name("regardingobjecttypecode"),
            c.memo("requestdata", 100_000),
            c.state((0, "Active"), (1, "Fixed")),
            c.status((0, "Active"), (1, "Fixed")),
            *c.stamps("syncerror"),
            *c.ownership(
                user="user_syncerror",
                team="team_syncerror",
                unit="business_unit_syncerror",
            ),
            c.version(),
        ),
    )


OFFLINE_TABLES = (
    _table(
        _PROFILE,
        "MobileOfflineProfile",
        9866,
        c.text("name", 255, required=True),
        c.memo("description"),
        c.memo("selectedentitymetadata", 100_000, settable=False),
        c.guid("organizationid", settable=False),
    ),
    _table(
        _ITEM,
        "MobileOfflineProfileItem",
        9867,
        c.text("name", 255, required=True),
        c.lookup(
            "regardingobjectid",
            _PROFILE,
            "MobileOfflineProfile_MobileOfflineProfileItem",
            indexed=True,
            on_delete=DELETE,
        ),
        c.entity_name("selectedentitytypecode"),
        c.integer("entityobjecttypecode"),
        c.choice(
            "recorddistributioncriteria",
            "Download related data only",
            "All records",
            "Other data filter",
            "Custom data filter",
            start=0,
        ),
        c.boolean("recordsownedbyme"),
        c.boolean("recordsownedbymyteam"),
        c.boolean("recordsownedbymybusinessunit"),
        c.boolean("getrelatedentityrecords"),
        c.boolean("canbefollowed"),
        c.boolean("isvisibleingrid"),
        c.memo("profileitementityfilter", 100_000),
        c.guid("profileitemrule"),
        c.memo("viewquery", 100_000),
        c.memo("relationshipdata", 100_000),
        c.integer("syncintervalinminutes", 5, 1440),
        c.memo("selectedcolumns", 100_000),
    ),
    _table(
        _ASSOCIATION,
        "MobileOfflineProfileItemAssociation",
        9871,
        c.text("name", 200, required=True),
        c.lookup(
            "mobileofflineprofileitemid",
            _ITEM,
            "MobileOfflineProfileItem_MobileOfflineProfileItemAssociation",
            indexed=True,
            on_delete=DELETE,
            navigation="regardingobjectid",
        ),
        c.guid("relationshipid"),
        c.text("relationshipname", 200),
        c.text("relationshipdisplayname", 200),
        c.integer("selectedrelationshipsschema"),
        c.memo("profileitemassociationentityfilter", 100_000),
        c.memo("relationshipdata", 100_000),
    ),
    _membership("user", "systemuser"),
    _membership("team", "team"),
    _syncerror(),
)
