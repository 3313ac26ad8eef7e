"""What happens at the accounts: tasks, appointments with parties, notes, follows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sandbox.contoso.business import (
    MINUTES,
    OPENED,
    Row,
    Site,
    contact_id,
    dice,
    looks_after,
    made,
    spread,
    wire,
)
from sandbox.contoso.people import PEOPLE, Person
from sandbox.contoso.schema import LOOKUP_NOTE, identify

SUBJECTS = (
    "Call back about the offer", "Inspect the fuel pumps", "Renew the contract",
    "Take stock of spare parts", "Check runway lights", "Deliver safety training",
)  # fmt: skip
MEETINGS = (
    "Contract talks", "Safety audit", "Site inspection", "Quarterly review", "Training",
)  # fmt: skip
NOTES = (
    "Gate code changed.", "Asked for a later slot.", "Prefers to be called.",
    "Photographs taken of the damage.", "Waits for our offer.",
)  # fmt: skip
_ORGANIZER, _REQUIRED = 7, 5


def tasks(all_sites: Sequence[Site], *, seed: int) -> Iterator[Row]:
    for site_number, number in spread(
        len(all_sites), task_count(len(all_sites))
    ).items():
        site = all_sites[site_number]
        n = dice(seed, "task", number)
        start = OPENED + timedelta(minutes=MINUTES + n % 200_000)
        on_contact = number % 5 == 4
        is_done = n % 6 == 0
        yield {
            "activityid": identify("task", number),
            "activitytypecode": "task",
            "subject": f"{SUBJECTS[n % len(SUBJECTS)]}, {site.name}"[:200],
            "description": None if n % 2 else f"Ask for {site.place['city']}.",
            "category": None if n % 3 else "Visit",
            "scheduledstart": wire(start),
            "scheduledend": wire(start + timedelta(minutes=30 + n % 90)),
            "scheduleddurationminutes": 30 + n % 90,
            "actualend": wire(start + timedelta(hours=2)) if is_done else None,
            "percentcomplete": 100 if is_done else n % 10 * 10,
            "prioritycode": n % 3,
            "isregularactivity": True,
            "isworkflowcreated": False,
            "isbilled": False,
            "_regardingobjectid_value": contact_id(number) if on_contact else site.id,
            f"_regardingobjectid_value{LOOKUP_NOTE}": "contact"
            if on_contact
            else "account",
            "statecode": 1 if is_done else 0,
            "statuscode": 5 if is_done else 2 + n % 3,
            **made(n, looks_after(site, n)),
        }


def task_count(scale: int) -> int:
    return scale * 10 // 28


def appointments(all_sites: Sequence[Site], *, seed: int) -> Iterator[Row]:
    for site_number, number in _appointed(all_sites).items():
        site = all_sites[site_number]
        n = dice(seed, "appointment", number)
        start = OPENED + timedelta(minutes=MINUTES + n % 200_000)
        is_done = n % 5 == 0
        yield {
            "activityid": identify("appointment", number),
            "activitytypecode": "appointment",
            "subject": f"{MEETINGS[n % len(MEETINGS)]}, {site.name}"[:200],
            "scheduledstart": wire(start),
            "scheduledend": wire(start + timedelta(minutes=60)),
            "scheduleddurationminutes": 60,
            "location": site.place["city"],
            "isalldayevent": n % 9 == 0,
            "isonlinemeeting": n % 4 == 0,
            "globalobjectid": identify("globalobject", number),
            "instancetypecode": 0,
            "attachmentcount": 0,
            "prioritycode": 1,
            "isregularactivity": True,
            "isworkflowcreated": False,
            "isbilled": False,
            "_regardingobjectid_value": site.id,
            f"_regardingobjectid_value{LOOKUP_NOTE}": "account",
            "statecode": 1 if is_done else 3,
            "statuscode": 3 if is_done else 5,
            **made(n, looks_after(site, n)),
        }


def parties(all_sites: Sequence[Site]) -> Iterator[Row]:
    """Yield the organizer and a required attendee of each appointment."""
    for site_number, number in _appointed(all_sites).items():
        owner = all_sites[site_number].owner
        organizer = owner if isinstance(owner, Person) else PEOPLE[number % 3 + 1]
        for mask, party, kind in (
            (_ORGANIZER, organizer.id, "systemuser"),
            (_REQUIRED, all_sites[site_number].id, "account"),
        ):
            yield {
                "activitypartyid": identify("activityparty", number, mask),
                "_activityid_value": identify("appointment", number),
                f"_activityid_value{LOOKUP_NOTE}": "appointment",
                "_partyid_value": party,
                f"_partyid_value{LOOKUP_NOTE}": kind,
                "participationtypemask": mask,
                "ispartydeleted": False,
            }


def notes(all_sites: Sequence[Site], *, seed: int) -> Iterator[Row]:
    for site_number, number in _appointed(all_sites).items():
        site = all_sites[site_number]
        n = dice(seed, "annotation", number)
        on_appointment = n % 3 == 0
        yield {
            "annotationid": identify("annotation", number),
            "subject": "Visit" if n % 2 else None,
            "notetext": NOTES[n % len(NOTES)],
            "isdocument": False,
            "langid": "en",
            "objecttypecode": "appointment" if on_appointment else "account",
            "_objectid_value": identify("appointment", number)
            if on_appointment
            else site.id,
            f"_objectid_value{LOOKUP_NOTE}": "appointment"
            if on_appointment
            else "account",
            **made(n, looks_after(site, n)),
        }


def follows(all_sites: Sequence[Site]) -> Iterator[Row]:
    """Yield which accounts their owners, and barbara, have an eye on."""
    barbara = next(person for person in PEOPLE if person.key == "barbara")
    for number, site in enumerate(all_sites[:: max(1, len(all_sites) // 500)]):
        person = site.owner if isinstance(site.owner, Person) else barbara
        yield {
            "postfollowid": identify("postfollow", number),
            "_regardingobjectid_value": site.id,
            f"_regardingobjectid_value{LOOKUP_NOTE}": "account",
            **made(number * 1009, person),
        }


def appointment_count(scale: int) -> int:
    return scale * 3 // 28


def _appointed(all_sites: Sequence[Site]) -> dict[int, int]:
    return spread(len(all_sites), appointment_count(len(all_sites)))
