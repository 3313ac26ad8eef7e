"""The tables and people of the lives, and what is fixed about them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from replication.domain.profiles import (
    Assignments,
    Conflicts,
    Policy,
    ProfileDef,
    ProfileItem,
)
from replication.domain.tables import ColumnType
from tests.fake_dataverse import SECURITY, lookup, plain, table_def
from tests.staged import guid

if TYPE_CHECKING:
    from tests.fake_dataverse import FakeDataverse

# A column that nobody but the application user may read.
SECRET = "creditlimit"
# Text that a plug-in of the source refuses.
WORDS_REFUSED = "refused"
EVERYWHERE = 8
PEOPLE = ("Ada", "Grace")

ACCOUNT = table_def(
    "account",
    plain("name"),
    plain("revenue", ColumnType.DECIMAL),
    replace(plain(SECRET, ColumnType.INT), secured=True),
)
CONTACT = table_def(
    "contact",
    plain("fullname"),
    replace(lookup("parentaccountid"), references=("account",)),
)
# In the profile, but not to be edited.
TASK = table_def("task", plain("name"))
BUSINESS = (ACCOUNT, CONTACT, TASK)
BY_NAME = {table.name: table for table in BUSINESS}
TABLES = (*SECURITY, *BUSINESS)
OWNED = {"ownerid": str(guid("Ada")), "owningbusinessunit": str(guid("Contoso"))}
# What edits write, by table.
COLUMNS = {
    "account": ("name", "revenue"),
    "contact": ("fullname", "parentaccountid"),
}


def published(conflicts: Conflicts) -> Policy:
    items = (
        ProfileItem(table="account", writable=True, conflicts=conflicts),
        ProfileItem(table="contact", writable=True, conflicts="client_wins"),
        ProfileItem(table="task"),
    )
    everyone = Assignments(everyone=True)
    return Policy(
        profiles=(ProfileDef(name="Field sales", items=items, assignments=everyone),)
    )


def key(table: str, number: int) -> str:
    return str(guid(f"{table} {number}"))


def begin(source: FakeDataverse) -> None:
    """People who may read everything, and no rows of business."""
    unit = guid("Contoso")
    source.put("businessunit", unit, name="Contoso", parentbusinessunitid=None)
    role = guid("Salesperson")
    source.put(
        "role", role, name="Salesperson", businessunitid=str(unit), isinherited=0
    )
    for table in BUSINESS:
        privilege = guid(f"read {table.name}")
        source.put("privilege", privilege, name=table.read_privilege)
        source.put(
            "roleprivileges",
            guid(f"Salesperson/{table.name}"),
            roleid=str(role),
            privilegeid=str(privilege),
            privilegedepthmask=EVERYWHERE,
        )
    for person in PEOPLE:
        source.put(
            "systemuser",
            guid(person),
            fullname=person,
            businessunitid=str(unit),
            azureactivedirectoryobjectid=str(guid(f"{person}@entra")),
            isdisabled=False,
        )
        source.put(
            "systemuserroles",
            guid(f"{person}/Salesperson"),
            systemuserid=str(guid(person)),
            roleid=str(role),
        )


def put_row(source: FakeDataverse, table: str, number: int, **values: object) -> None:
    """Somebody else writes a row."""
    source.put(table, key(table, number), **(OWNED | values))
