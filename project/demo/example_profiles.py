"""The profiles of the worked example in docs/visibility.md, as the admin API takes them.

Each shows another way of choosing rows. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.contoso.organization import role_id
from sandbox.contoso.people import ALASKA_CREW, ROOT, SERVICE_DESK

# What the example replicates beside the tables that security needs anyway.
TABLES = (
    "account",
    "contact",
    "task",
    "appointment",
    "postfollow",
    "principalobjectaccess",
)
SCALE = 2_800

_LARGE_OR_THEIR_OWN = """
<filter type="or">
  <condition attribute="ownerid" operator="eq-useroruserteams"/>
  <condition attribute="revenue" operator="ge" value="750000"/>
</filter>
"""
_OPEN_AND_THEIR_OWN = """
<filter>
  <condition attribute="statecode" operator="eq" value="0"/>
  <condition attribute="ownerid" operator="eq-useroruserteams"/>
</filter>
"""
_VISITED = ["name", "telephone1", "address1_line1", "address1_city", "primarycontactid"]
_CALLED = ["fullname", "telephone1", "parentcustomerid"]


def _brings(table: str, column: str) -> dict[str, object]:
    return {"table": table, "kind": "one_to_many", "column": column}


_CONTACTS = _brings("contact", "parentcustomerid")
_TASKS = _brings("task", "regardingobjectid")

PROFILES: Mapping[str, Mapping[str, object]] = {
    "Everybody else": {
        "items": [
            {
                "table": "account",
                "records": "filtered",
                "owned_by_me": True,
                "can_be_followed": True,
                "associations": [_CONTACTS],
            },
            {"table": "contact", "records": "related_only", "columns": _CALLED},
            {
                "table": "task",
                "records": "custom",
                "filter": {
                    "language": "odata",
                    "text": "statecode eq 0 and prioritycode eq 2",
                },
            },
        ],
        "is_default": True,
    },
    "Field technicians": {
        "items": [
            {
                "table": "account",
                "records": "filtered",
                "owned_by_me": True,
                "owned_by_my_team": True,
                "can_be_followed": True,
                "associations": [_CONTACTS, _TASKS],
                "columns": _VISITED,
            },
            {"table": "contact", "records": "related_only", "columns": _CALLED},
            {"table": "task", "records": "related_only", "writable": True},
        ],
        "assignments": {"teams": [ALASKA_CREW.id, SERVICE_DESK.id]},
    },
    "Managers": {
        "items": [
            {"table": "account", "records": "all"},
            {"table": "contact", "records": "all"},
            {"table": "task", "records": "all"},
            {
                "table": "appointment",
                "records": "filtered",
                "owned_by_me": True,
                "owned_by_my_business_unit": True,
            },
        ],
        "assignments": {
            "roles": [
                role_id("Country Manager", unit=ROOT),
                role_id("Regional Manager", unit=ROOT),
            ]
        },
    },
    "Sales": {
        "items": [
            {
                "table": "account",
                "records": "custom",
                "filter": {"language": "fetchxml", "text": _LARGE_OR_THEIR_OWN},
                "associations": [_CONTACTS],
            },
            {
                "table": "contact",
                "records": "filtered",
                "owned_by_my_business_unit": True,
            },
            {
                "table": "task",
                "records": "custom",
                "filter": {"language": "fetchxml", "text": _OPEN_AND_THEIR_OWN},
                "writable": True,
            },
            # With what is shared with them, whoever owns it.
            {"table": "appointment", "records": "all"},
        ],
        "assignments": {"roles": [role_id("Field Salesperson", unit=ROOT)]},
    },
}
