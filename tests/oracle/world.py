"""The small world that the machine plays in: few rows, so that everything collides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fake_dataverse import FakeDataverse
from tests.oracle.tables import BUSINESS, BY_NAME, SECURITY, SHARE, TABLES
from tests.staged import guid

__all__ = ["BUSINESS", "BY_NAME", "SECURITY", "SHARE", "TABLES"]

# When every life begins: a Friday at the end of a month. It lies ahead of the database's
# own time, so that the windows of new rules only ever have to move forward.
BEGINNING = datetime(2041, 5, 31, 22, 30, tzinfo=UTC)

# What profiles may name; the team table belongs to business units, not to owners.
PUBLISHABLE = ("account", "contact", "price", "task", "team")

UNITS = ("Contoso", "North", "Harbour", "Pier", "South")
ABOVE = {"North": "Contoso", "Harbour": "North", "Pier": "Harbour", "South": "Contoso"}
SPARE_UNIT = "Island"
PEOPLE = ("Ada", "Grace", "Linus", "Mary")
TEAMS = ("Inspectors", "Night shift")
ROLES = ("Salesperson", "Manager", "Auditor", "Salesperson of South")
ACCOUNTS = tuple(f"Airport {letter}" for letter in "ABCDEF")
CONTACTS = tuple(f"Pilot {letter}" for letter in "KLMN")
PRICES = ("P-1", "P-2", "landing fee")
TASKS = ("Refuel", "Inspect", "Paint", "Sweep")
POSITIONS = ("Chief", "Head", "Clerk")
COLUMN_PROFILE = "Sees revenues"
# Those who have devices own most, and the units that move have most rows.
OWNERS = ("Ada", "Grace", "Linus", "Mary", "Inspectors", "Grace", "Ada")
HOMES = ("North", "Harbour", "Pier", "Harbour", "South")
KEYS: Mapping[str, tuple[str, ...]] = {
    "account": ACCOUNTS,
    "contact": CONTACTS,
    "price": PRICES,
    "task": TASKS,
}
# Whose contacts and tasks these are; of all others the first one's.
_PARENTS = {CONTACTS[1]: ACCOUNTS[1], CONTACTS[2]: ACCOUNTS[2], TASKS[2]: CONTACTS[1]}
# Moments at both ends of windows that people like to write into filters.
_VISITED = {
    name: (BEGINNING + timedelta(days=days)).isoformat().replace("+00:00", "Z")
    for name, days in zip(ACCOUNTS, (-40, -7, -1, 0, 1, 6), strict=True)
}
LANGUAGES = (1033, 3082, 5)

# As the source writes a moment, and as a device must hold it.
MOMENTS: Mapping[str, str] = {
    "2026-03-01T08:00:00Z": "2026-03-01T08:00:00Z",
    "2026-03-01T09:30:00.2500000+01:00": "2026-03-01T08:30:00.25Z",
    "1999-12-31T23:59:59-00:30": "2000-01-01T00:29:59Z",
}
TEXTS = ("Main hall", "", "abc", "ABC", 'Quote " \\ \t end', "Größe 🛩", None)
AMOUNTS = (12.5, 0, -7, 0.1, 100000.25, 1e3, None)
# No 32-bit integer: a row with it is set aside.
TOO_LARGE = 2**40
NUMBERS = (0, 1, 5, 10, 1033, 3082, 2**31 - 1, None, TOO_LARGE)


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
    for number, position in enumerate(POSITIONS):
        above = POSITIONS[number - 1] if number else None
        put_position(source, position, parent=above)
    places = {"Ada": "North", "Grace": "South", "Linus": "Harbour", "Mary": "Pier"}
    for person, unit in places.items():
        put_person(source, person, unit=unit)
        put_language(source, person, 1033)
    set_superior(source, "Linus", "Ada")
    set_superior(source, "Mary", "Linus")
    set_position(source, "Ada", "Chief")
    set_position(source, "Linus", "Head")
    set_position(source, "Mary", "Clerk")
    put_team(source, "Inspectors", unit="North")
    put_team(source, "Night shift", unit="South")
    for table, names in KEYS.items():
        for number, name in enumerate(names):
            put_row(source, table, name, owner=OWNERS[number], unit=HOMES[number % 5])
    connect(source, *ACCOUNTS)
    permit_column(source, 4)
    set_column_profile(source, "Ada", held=True)
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
        "account": {
            "name": name,
            "revenue": 12.5,
            "employees": len(name),
            "visitedon": _VISITED.get(name),
            "inspectorid": str(guid(owner)) if name < "Airport C" else None,
        },
        "contact": {
            "fullname": name,
            "parentcustomerid": str(guid(_PARENTS.get(name, ACCOUNTS[0]))),
            "pricecode": PRICES[0],
        },
        "price": {"amount": 10, "seasons": "2,1"},
        "task": {
            "subject": name,
            "regardingobjectid": str(guid(_PARENTS.get(name, CONTACTS[0]))),
            "regardingobjectid__type": "contact",
        },
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


def connect(source: FakeDataverse, *accounts: str) -> None:
    """Tasks, stakeholders, follows and shares of these accounts and some contacts."""
    set_regarding(source, TASKS[1], "account", accounts[1])
    # It names a row of another table than it says.
    set_regarding(source, TASKS[3], "account", accounts[0], of="contact")
    set_stakeholder(source, accounts[2], CONTACTS[1], is_one=True)
    set_stakeholder(source, accounts[0], CONTACTS[3], is_one=True)
    set_follow(source, "Grace", "account", accounts[3], follows=True)
    set_share(source, "account", accounts[5], "Ada", masks=(1, 0))


def set_regarding(
    source: FakeDataverse, task: str, table: str, name: str | None, *, of: str = ""
) -> None:
    """What a task is about; `of` says that it is a row of another table."""
    source.put(
        "task",
        guid(task),
        regardingobjectid=None if name is None else str(guid(name)),
        regardingobjectid__type=None if name is None else of or table,
    )


def set_stakeholder(
    source: FakeDataverse, account: str, contact: str, *, is_one: bool
) -> None:
    link = {"accountid": str(guid(account)), "contactid": str(guid(contact))}
    _set(source, "stakeholder", f"{account}/{contact}", link if is_one else None)


def set_follow(
    source: FakeDataverse, person: str, table: str, name: str, *, follows: bool
) -> None:
    values = {
        "ownerid": str(guid(person)),
        "regardingobjectid": str(guid(name)),
        "regardingobjectid__type": table,
    }
    key = f"{person} follows {name}"
    _set(source, "postfollow", key, values if follows else None)


def set_share(
    source: FakeDataverse,
    table: str,
    name: str,
    principal: str,
    *,
    masks: tuple[int | None, int | None] | None,
) -> None:
    """Share the row, own and inherited rights apart; None takes the share away."""
    values = masks and {
        "objectid": str(guid(name)),
        "objecttypecode": table,
        "principalid": str(guid(principal)),
        "accessrightsmask": masks[0],
        "inheritedaccessrightsmask": masks[1],
    }
    _set(source, "principalobjectaccess", f"{name} for {principal}", values)


def put_position(source: FakeDataverse, name: str, *, parent: str | None) -> None:
    above = str(guid(parent)) if parent else None
    source.put("position", guid(name), name=name, parentpositionid=above)


def set_superior(source: FakeDataverse, person: str, superior: str | None) -> None:
    if str(guid(person)) in source.rows("systemuser"):
        above = str(guid(superior)) if superior else None
        source.put("systemuser", guid(person), parentsystemuserid=above)


def set_position(source: FakeDataverse, person: str, position: str | None) -> None:
    if str(guid(person)) in source.rows("systemuser"):
        held = str(guid(position)) if position else None
        source.put("systemuser", guid(person), positionid=held)


def put_language(source: FakeDataverse, person: str, language: int | None) -> None:
    source.put("usersettings", guid(person), uilanguageid=language)


def permit_column(source: FakeDataverse, can_read: int) -> None:
    source.put(
        "fieldpermission",
        guid("revenue"),
        fieldsecurityprofileid=str(guid(COLUMN_PROFILE)),
        entityname="account",
        attributelogicalname="revenue",
        canread=can_read,
    )


def set_column_profile(source: FakeDataverse, holder: str, *, held: bool) -> None:
    of_team = holder in TEAMS
    table = "teamprofiles" if of_team else "systemuserprofiles"
    column = "teamid" if of_team else "systemuserid"
    profile = str(guid(COLUMN_PROFILE))
    link = {column: str(guid(holder)), "fieldsecurityprofileid": profile}
    _set(source, table, f"{holder} sees revenues", link if held else None)


def _set(
    source: FakeDataverse, table: str, name: str, values: Mapping[str, Any] | None
) -> None:
    """The row has these values, or is gone."""
    key = guid(name)
    if values is not None:
        source.put(table, key, **values)
    elif str(key) in source.rows(table):
        source.delete(table, key)
