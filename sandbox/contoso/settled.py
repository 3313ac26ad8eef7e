"""The few rows of tables that do not grow with the scale. Pure.

Products, positions, shares, the organization itself, and one published mobile
offline profile with its items. Shares open appointments only, and accounts to
those who may see all of them anyway; one was taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from sandbox.contoso import people
from sandbox.contoso.business import Row, Site
from sandbox.contoso.happenings import appointment_count
from sandbox.contoso.organization import EURO, FOUNDED, stamps
from sandbox.contoso.people import AUDIT_CIRCLE, PEOPLE_BY_KEY
from sandbox.contoso.schema import identify

GOODS = (
    "De-icing fluid", "Runway lamp", "Tow bar", "Baggage cart", "Fuel hose",
    "Wind sock", "Ground power unit", "Marshalling wand", "Wheel chock", "Fire foam",
    "Approach training", "Runway inspection", "Lamp service", "Pump service",
)  # fmt: skip
PROFILE = identify("mobileofflineprofile", "Field sales")
_READ = 1
# Table, its records (0 related only, 1 all, 2 filtered), and what follows it.
_ITEMS = (
    ("account", 2, ("contact_customer_accounts", "Account_Tasks")),
    ("contact", 2, ()),
    ("task", 0, ()),
    ("systemuser", 1, ()),
)


def settled_rows(all_sites: Sequence[Site]) -> dict[str, list[Row]]:
    """Return the rows of each table, by its name."""
    return {
        "product": list(_products()),
        "position": list(_positions()),
        "organization": [_organization()],
        "principalobjectaccess": list(_shares(all_sites)),
        "mobileofflineprofile": [_profile()],
        "mobileofflineprofileitem": list(_items()),
        "mobileofflineprofileitemassociation": list(_associations()),
        "usermobileofflineprofilemembership": list(_user_memberships()),
        "teammobileofflineprofilemembership": list(_team_memberships()),
    }


def _products() -> Iterator[Row]:
    for number, name in enumerate(GOODS):
        price = Decimal(number * 7919 % 100_000 + 995).scaleb(-2)
        money = price.quantize(Decimal("0.0001"))
        yield stamps() | {
            "productid": identify("product", name),
            "productnumber": f"P-{number + 1:03}",
            "name": name,
            "productstructure": 1,
            "producttypecode": 3 if number >= 10 else 1,
            "contoso_uses": ",".join(
                str(use) for use in range(1, 6) if number % use == 0
            ),
            "quantitydecimal": 2,
            "quantityonhand": Decimal(number * 100).scaleb(-5),
            "price": money,
            "price_base": money,
            "isstockitem": number < 10,
            "validfromdate": "2022-01-01",
            "_transactioncurrencyid_value": EURO,
            "exchangerate": Decimal("1.0000000000"),
            "statecode": 0,
            "statuscode": 1,
        }


def _positions() -> Iterator[Row]:
    parents = {"Head of sales": None, "Regional sales": "Head of sales",
               "Field sales": "Regional sales"}  # fmt: skip
    for name, parent in parents.items():
        yield stamps() | {
            "positionid": identify("position", name),
            "name": name,
            "_parentpositionid_value": parent and identify("position", parent),
        }


def _organization() -> Row:
    return stamps() | {
        "organizationid": people.ORGANIZATION_ID,
        "name": "contoso",
        "languagecode": 1033,
        "expirechangetrackingindays": 7,
        "expiresubscriptionsindays": 90,
        "ismobileofflineenabled": True,
        "mobileofflinesyncinterval": 10,
        "isconflictdetectionenabledformobileclient": False,
        "_defaultmobileofflineprofileid_value": PROFILE,
        "_basecurrencyid_value": EURO,
    }


def _shares(all_sites: Sequence[Site]) -> Iterator[Row]:
    for number in range(min(10, appointment_count(len(all_sites)))):
        yield _share(
            AUDIT_CIRCLE.id, "team", identify("appointment", number), "appointment"
        )
    barbara, hedy = PEOPLE_BY_KEY["barbara"].id, PEOPLE_BY_KEY["hedy"].id
    for site in all_sites[:5]:
        yield _share(barbara, "systemuser", site.id, "account")
    for site in all_sites[5:7]:
        yield _share(hedy, "systemuser", site.id, "account", mask=0)


def _share(
    principal: str, kind: str, row_id: str, table: str, mask: int = _READ
) -> Row:
    return {
        "principalobjectaccessid": identify("share", principal, row_id),
        "principalid": principal,
        "principaltypecode": kind,
        "objectid": row_id,
        "objecttypecode": table,
        "accessrightsmask": mask,
        "inheritedaccessrightsmask": 0,
        "changedon": FOUNDED,
    }


def _published() -> Row:
    return stamps() | {
        "componentstate": 0,
        "isvalidated": True,
        "publishedon": FOUNDED,
        "overwritetime": "1900-01-01T00:00:00Z",
        "ismanaged": False,
        "introducedversion": "1.0",
    }


def _profile() -> Row:
    return _published() | {
        "mobileofflineprofileid": PROFILE,
        "name": "Field sales",
        "description": "What goes along on the road.",
        "organizationid": people.ORGANIZATION_ID,
    }


def _item_id(table: str) -> str:
    return identify("mobileofflineprofileitem", table)


def _items() -> Iterator[Row]:
    for table, criteria, followers in _ITEMS:
        yield _published() | {
            "mobileofflineprofileitemid": _item_id(table),
            "name": table,
            "_regardingobjectid_value": PROFILE,
            "selectedentitytypecode": table,
            "recorddistributioncriteria": criteria,
            "recordsownedbyme": criteria == 2,
            "recordsownedbymyteam": criteria == 2,
            "recordsownedbymybusinessunit": False,
            "getrelatedentityrecords": bool(followers),
            "canbefollowed": False,
            "isvisibleingrid": True,
            "syncintervalinminutes": 10,
        }


def _associations() -> Iterator[Row]:
    for table, _, followers in _ITEMS:
        for relationship in followers:
            yield _published() | {
                "mobileofflineprofileitemassociationid": identify(
                    "mobileofflineprofileitemassociation", table, relationship
                ),
                "name": relationship,
                "_mobileofflineprofileitemid_value": _item_id(table),
                "relationshipid": identify("relationship", relationship),
                "relationshipname": relationship,
                "relationshipdisplayname": relationship,
            }


def _user_memberships() -> Iterator[Row]:
    name = "usermobileofflineprofilemembership"
    for key in ("ada", "linus", "grace"):
        yield stamps() | {
            f"{name}id": identify(name, key),
            "name": key,
            "_mobileofflineprofileid_value": PROFILE,
            "_systemuserid_value": PEOPLE_BY_KEY[key].id,
        }


def _team_memberships() -> Iterator[Row]:
    name = "teammobileofflineprofilemembership"
    yield stamps() | {
        f"{name}id": identify(name, people.ALASKA_CREW.name),
        "name": people.ALASKA_CREW.name,
        "_mobileofflineprofileid_value": PROFILE,
        "_teamid_value": people.ALASKA_CREW.id,
    }
