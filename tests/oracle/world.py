"""The small world that the machine plays in: few rows, so that everything collides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from tests.fake_dataverse import SECURITY, FakeDataverse, lookup, plain, table_def
from tests.staged import guid

ACCOUNT = table_def(
    "account",
    plain("name"),
    plain("revenue", ColumnType.DECIMAL),
    plain("employees", ColumnType.INT),
    plain("isopen", ColumnType.BOOL),
    plain("visitedon", ColumnType.DATETIME),
)
# Compared as a whole at every pull, with a sweep at the end.
CONTACT = replace(
    table_def("contact", plain("fullname"), lookup("parentcustomerid")), tracked=False
)


def _price() -> TableDef:
    """A table that belongs to the organization and whose key is no GUID."""
    table = table_def(
        "price",
        ColumnDef(
            name="amount", type=ColumnType.DECIMAL, source_name="amount", scale=2
        ),
        plain("seasons", ColumnType.CHOICES),
        key="code",
        ownership="organization",
    )
    key, *others = table.columns
    return replace(table, columns=(replace(key, type=ColumnType.STRING), *others))


PRICE = _price()
BUSINESS = (ACCOUNT, CONTACT, PRICE)
TABLES = (*SECURITY, *BUSINESS)
BY_NAME: Mapping[str, TableDef] = {table.name: table for table in TABLES}
# What profiles may name; the team table belongs to business units, not to owners.
PUBLISHABLE = ("account", "contact", "price", "team")

UNITS = ("Contoso", "North", "Harbour", "Pier", "South")
ABOVE = {"North": "Contoso", "Harbour": "North", "Pier": "Harbour", "South": "Contoso"}
SPARE_UNIT = "Island"
PEOPLE = ("Ada", "Grace", "Linus", "Mary")
TEAMS = ("Inspectors", "Night shift")
ROLES = ("Salesperson", "Manager", "Auditor", "Salesperson of South")
ACCOUNTS = tuple(f"Airport {letter}" for letter in "ABCDEF")
CONTACTS = tuple(f"Pilot {letter}" for letter in "KLMN")
PRICES = ("P-1", "P-2", "landing fee")
# Those who have devices own most, and the units that move have most rows.
OWNERS = ("Ada", "Grace", "Linus", "Inspectors", "Ada", "Grace")
HOMES = ("North", "Harbour", "Pier", "Harbour", "South")
KEYS: Mapping[str, tuple[str, ...]] = {
    "account": ACCOUNTS,
    "contact": CONTACTS,
    "price": PRICES,
}

# As the source writes a moment, and as a device must hold it.
MOMENTS: Mapping[str, str] = {
    "2026-03-01T08:00:00Z": "2026-03-01T08:00:00Z",
    "2026-03-01T09:30:00.2500000+01:00": "2026-03-01T08:30:00.25Z",
    "1999-12-31T23:59:59-00:30": "2000-01-01T00:29:59Z",
}
TEXTS = ("Main hall", "", 'Quote " \\ \t end', "Größe 🛩", None)
AMOUNTS = (12.5, 0, -3, 100000.25, 1e3, None)
# No 32-bit integer: a row with it is set aside.
TOO_LARGE = 2**40
NUMBERS = (0, 1, -7, 2**31 - 1, None, TOO_LARGE)


def key_of(table: str, name: str) -> str:
    return name if table == "price" else str(guid(name))


def begin(source: FakeDataverse) -> None:
    """Fill an empty source: a tree of units, people, teams, roles and some rows."""
    for unit in UNITS:
        put_unit(source, unit, parent=ABOVE.get(unit))
    for role in ROLES:
        root = "Salesperson" if role == "Salesperson of South" else None
        source.put(
            "role",
            guid(role),
            name=role,
            businessunitid=str(guid("South" if root else "Contoso")),
            parentrootroleid=str(guid(root)) if root else None,
            isinherited=0,
        )
    for name in PUBLISHABLE:
        source.put("privilege", guid(f"prvRead{name}"), name=f"PrvRead{name}")
    places = {"Ada": "North", "Grace": "South", "Linus": "Harbour", "Mary": "Contoso"}
    for person, unit in places.items():
        put_person(source, person, unit=unit)
    put_team(source, "Inspectors", unit="North")
    put_team(source, "Night shift", unit="South")
    for table, names in KEYS.items():
        for number, name in enumerate(names):
            put_row(source, table, name, owner=OWNERS[number], unit=HOMES[number % 5])
    set_role(source, "Ada", "Salesperson", held=True)
    set_role(source, "Grace", "Manager", held=True)
    set_role(source, "Linus", "Salesperson of South", held=True)
    set_role(source, "Inspectors", "Auditor", held=True)


def put_unit(source: FakeDataverse, name: str, *, parent: str | None) -> None:
    above = str(guid(parent)) if parent else None
    source.put("businessunit", guid(name), name=name, parentbusinessunitid=above)


def put_person(
    source: FakeDataverse, name: str, *, unit: str, is_disabled: bool | None = False
) -> None:
    source.put(
        "systemuser",
        guid(name),
        fullname=name,
        businessunitid=str(guid(unit)),
        azureactivedirectoryobjectid=str(guid(f"{name}@entra")),
        isdisabled=is_disabled,
    )


def put_team(source: FakeDataverse, name: str, *, unit: str) -> None:
    source.put("team", guid(name), name=name, businessunitid=str(guid(unit)))


def put_row(
    source: FakeDataverse, table: str, name: str, *, owner: str, unit: str
) -> None:
    """Create a row of a business table, with values that follow from its name."""
    by_table: dict[str, dict[str, Any]] = {
        "account": {"name": name, "revenue": 12.5, "employees": len(name)},
        "contact": {"fullname": name, "parentcustomerid": str(guid(ACCOUNTS[0]))},
        "price": {"amount": 10, "seasons": "2,1"},
    }
    values = by_table[table]
    if table != "price":
        values["ownerid"] = str(guid(owner))
        values["owningbusinessunit"] = str(guid(unit))
    source.put(table, key_of(table, name), **values)


def set_role(source: FakeDataverse, holder: str, role: str, *, held: bool) -> None:
    """Give a person or a team a role, or take it."""
    of_team = holder in TEAMS
    table = "teamroles" if of_team else "systemuserroles"
    column = "teamid" if of_team else "systemuserid"
    key = guid(f"{holder}/{role}")
    if held:
        link = {column: str(guid(holder)), "roleid": str(guid(role))}
        source.put(table, key, **link)
    elif str(key) in source.rows(table):
        source.delete(table, key)


def set_member(source: FakeDataverse, person: str, team: str, *, is_in: bool) -> None:
    key = guid(f"{person} in {team}")
    if is_in:
        link = {"systemuserid": str(guid(person)), "teamid": str(guid(team))}
        source.put("teammembership", key, **link)
    elif str(key) in source.rows("teammembership"):
        source.delete("teammembership", key)


def set_depth(source: FakeDataverse, role: str, table: str, mask: int | None) -> None:
    """How deep a role may read a table; None takes the privilege away."""
    key = guid(f"{role}/{table}")
    if mask is not None:
        source.put(
            "roleprivileges",
            key,
            roleid=str(guid(role)),
            privilegeid=str(guid(f"prvRead{table}")),
            privilegedepthmask=mask,
        )
    elif str(key) in source.rows("roleprivileges"):
        source.delete("roleprivileges", key)
