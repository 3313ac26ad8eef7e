"""Rows of the security tables, made from the people of Contoso. Pure.

A role is copied into every business unit, `parentrootroleid` naming the root
copy, and `parentroleid` the copy of the unit above. `roleprivileges` rows stand
on the root copy only; copies inherit them through `parentrootroleid`.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache

from sandbox.contoso import people
from sandbox.contoso.people import PEOPLE, ROLES, ROOT, TEAMS, UNITS, Person, Role
from sandbox.contoso.schema import identify

FOUNDED = "2021-01-04T08:00:00Z"

ACCESS_RIGHTS = {
    "Create": 32,
    "Read": 1,
    "Write": 2,
    "Delete": 65536,
    "Append": 4,
    "AppendTo": 16,
    "Assign": 524288,
    "Share": 262144,
}
ACT_ON_BEHALF = "prvActOnBehalfOfAnotherUser"
EXTRA_PRIVILEGES = ("prvGoMobile", "prvGoOffline", ACT_ON_BEHALF)
EURO = identify("transactioncurrency", "EUR")

Row = dict[str, object]


@cache
def unit_id(name: str) -> str:
    return identify("businessunit", name)


def role_id(name: str, *, unit: str) -> str:
    return identify("role", name, unit)


def privilege_id(name: str) -> str:
    return identify("privilege", name)


def stamps() -> Row:
    author = identify("systemuser", "hedy")
    return {
        "createdon": FOUNDED,
        "modifiedon": FOUNDED,
        "_createdby_value": author,
        "_modifiedby_value": author,
    }


def security_rows() -> dict[str, list[Row]]:
    """Return the rows of each table, by its name."""
    return {
        "businessunit": list(_units()),
        "transactioncurrency": list(_currencies()),
        "privilege": list(_privileges()),
        "role": list(_roles()),
        "roleprivileges": list(_role_privileges()),
        "systemuser": [_user(person) for person in PEOPLE],
        "team": list(_teams()),
        "teammembership": list(_memberships()),
        "systemuserroles": list(_user_roles()),
        "teamroles": list(_team_roles()),
    }


def _units() -> Iterator[Row]:
    for name, parent in UNITS.items():
        yield stamps() | {
            "businessunitid": unit_id(name),
            "name": name,
            "isdisabled": False,
            "inheritancemask": 1023,
            "usergroupid": identify("usergroup", name),
            "_parentbusinessunitid_value": parent and unit_id(parent),
        }


def _currencies() -> Iterator[Row]:
    for name, code, symbol, rate in (
        ("Euro", "EUR", "€", "1.0000000000"),
        ("US Dollar", "USD", "$", "1.1000000000"),
        ("Yen", "JPY", "¥", "160.0000000000"),
    ):
        yield stamps() | {
            "transactioncurrencyid": identify("transactioncurrency", code),
            "currencyname": name,
            "isocurrencycode": code,
            "currencysymbol": symbol,
            "currencyprecision": 2,
            "exchangerate": Decimal(rate),
            "statecode": 0,
            "statuscode": 1,
        }


def _privileges() -> Iterator[Row]:
    for subject in (*people.BUSINESS, *people.DIRECTORY):
        for verb, right in ACCESS_RIGHTS.items():
            yield _privilege(f"prv{verb}{subject}", right, owned=True)
    for name in EXTRA_PRIVILEGES:
        yield _privilege(name, 0, owned=False)


def _privilege(name: str, right: int, *, owned: bool) -> Row:
    return {
        "privilegeid": privilege_id(name),
        "name": name,
        "accessright": right,
        "canbebasic": owned,
        "canbelocal": owned,
        "canbedeep": owned,
        "canbeglobal": True,
    }


def _roles() -> Iterator[Row]:
    for role in ROLES:
        for unit, parent in UNITS.items():
            yield stamps() | {
                "roleid": role_id(role.name, unit=unit),
                "name": role.name,
                "isinherited": role.is_inherited,
                "roleidunique": identify("roleunique", role.name, unit),
                "componentstate": 0,
                "ismanaged": False,
                "organizationid": people.ORGANIZATION_ID,
                "_businessunitid_value": unit_id(unit),
                "_parentroleid_value": parent and role_id(role.name, unit=parent),
                "_parentrootroleid_value": role_id(role.name, unit=ROOT),
            }


def _role_privileges() -> Iterator[Row]:
    for role in ROLES:
        for name, depth in _grants(role).items():
            yield {
                "roleprivilegeid": identify("roleprivilege", role.name, name),
                "roleid": role_id(role.name, unit=ROOT),
                "privilegeid": privilege_id(name),
                "privilegedepthmask": depth,
            }


def _grants(role: Role) -> dict[str, int]:
    granted = {
        f"prv{verb}{subject}": depth
        for subject, depth in role.read.items()
        for verb in ("Read", "AppendTo")
    }
    for subject, depth in role.write.items():
        for verb in ACCESS_RIGHTS:
            granted.setdefault(f"prv{verb}{subject}", depth)
    for name in role.extra:
        granted[name] = people.GLOBAL
    return granted


def _user(person: Person) -> Row:
    name = f"{person.first_name} {person.last_name}"
    return stamps() | {
        "ownerid": person.id,
        "systemuserid": person.id,
        "fullname": name,
        "firstname": person.first_name,
        "lastname": person.last_name,
        "domainname": person.domain_name,
        "internalemailaddress": person.domain_name,
        "azureactivedirectoryobjectid": person.object_id,
        "applicationid": person.application_id,
        "title": person.title,
        "jobtitle": person.title,
        "isdisabled": person.is_disabled,
        "islicensed": person.application_id is None,
        "setupuser": False,
        "isintegrationuser": False,
        "accessmode": 0 if person.application_id is None else 4,
        "azurestate": 0,
        "_businessunitid_value": unit_id(person.unit),
        "_parentsystemuserid_value": person.manager
        and identify("systemuser", person.manager),
    }


def _teams() -> Iterator[Row]:
    for team in TEAMS:
        yield stamps() | {
            "ownerid": team.id,
            "teamid": team.id,
            "name": team.name,
            "teamtype": team.kind,
            "membershiptype": 0,
            "isdefault": False,
            "systemmanaged": False,
            "_businessunitid_value": unit_id(team.unit),
            "_administratorid_value": identify("systemuser", "hedy"),
        }


def _memberships() -> Iterator[Row]:
    for team in TEAMS:
        for member in team.members:
            yield {
                "teammembershipid": identify("teammembership", team.name, member),
                "teamid": team.id,
                "systemuserid": identify("systemuser", member),
            }


def _user_roles() -> Iterator[Row]:
    for person in PEOPLE:
        for name in person.roles:
            yield {
                "systemuserroleid": identify("systemuserrole", person.key, name),
                "systemuserid": person.id,
                "roleid": role_id(name, unit=person.unit),
            }


def _team_roles() -> Iterator[Row]:
    for team in TEAMS:
        for name in team.roles:
            yield {
                "teamroleid": identify("teamrole", team.name, name),
                "teamid": team.id,
                "roleid": role_id(name, unit=team.unit),
            }
