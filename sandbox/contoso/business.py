"""Accounts made from the world's airports, with contacts at them. Pure.

What a row says follows from its place and the seed; ids do not depend on the
seed, so that two organizations differ in values only.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import airportsdata

from sandbox.contoso.organization import EURO, unit_id
from sandbox.contoso.people import Person, Team, owner_of, sites_team
from sandbox.contoso.schema import LOOKUP_NOTE, identify

Row = dict[str, object]

OPENED = datetime(2022, 1, 3, 6, 0, tzinfo=UTC)
MINUTES = 3 * 365 * 24 * 60
_RATE = Decimal("1.0000000000")

FIRST_NAMES = (
    "Alma", "Ben", "Chiara", "Daniel", "Eva", "Felix", "Greta", "Hugo", "Ines",
    "Jonas", "Kira", "Leo", "Mila", "Noah", "Olga", "Pablo", "Rosa", "Samuel",
    "Tara", "Victor", "Wanda", "Xavier", "Yara", "Zeno", "Amina", "Kofi", "Mei",
)  # fmt: skip
LAST_NAMES = (
    "Abel", "Becker", "Costa", "Diaz", "Ek", "Fischer", "Garcia", "Hansen", "Ito",
    "Jansen", "Kowalski", "Larsen", "Moreau", "Novak", "Okoye", "Petrov", "Quinn",
    "Rossi", "Silva", "Tan", "Ueda", "Vogel", "Weber", "Xu", "Young", "Zhang",
)  # fmt: skip
JOBS = ("Airport manager", "Head of ground services", "Technician", "Buyer", "Clerk")


@dataclass(frozen=True, slots=True)
class Site:
    """An account before it is a row: what contacts and tasks need of it."""

    number: int
    id: str
    place: Mapping[str, object]
    copy: int
    owner: Person | Team

    @property
    def name(self) -> str:
        name = str(self.place["name"])
        return f"{name} {self.copy + 1}" if self.copy else name


def sites(scale: int) -> list[Site]:
    """Return `scale` sites, spread evenly over the world; more are numbered copies."""
    places = list(airportsdata.load("ICAO").values())
    total = len(places)
    owners = [
        owner_of(country=place["country"], subdivision=place["subd"], zone=place["tz"])
        for place in places
    ]
    found = []
    for number in range(scale):
        copy, index = divmod(number, total)
        left = min(total, scale - copy * total)
        at = index * total // left
        place = places[at]
        site_id = identify("account", place["icao"], copy)
        found.append(Site(number, site_id, place, copy, owners[at]))
    return found


def accounts(all_sites: Sequence[Site], *, seed: int) -> Iterator[Row]:
    with_contact = spread(len(all_sites), contact_count(len(all_sites)))
    for site in all_sites:
        n = dice(seed, "account", site.id)
        contact = with_contact.get(site.number)
        yield _account(site, n, primary_contact=contact) | made(n, site.owner)


def _account(site: Site, n: int, *, primary_contact: int | None) -> Row:
    place = site.place
    icao, revenue = str(place["icao"]), Decimal(n % 90_000_000 * 100).scaleb(-4)
    city, country = str(place["city"]), str(place["country"])
    return {
        "accountid": site.id,
        "name": site.name,
        "accountnumber": f"{icao}-{site.copy + 1:03}",
        "accountcategorycode": None if n % 5 == 0 else n % 2 + 1,
        "customertypecode": n % 12 + 1,
        "industrycode": n % 33 + 1,
        "ownershipcode": n % 4 + 1,
        "accountratingcode": 1,
        "territorycode": 1,
        "businesstypecode": 1,
        "revenue": revenue,
        "revenue_base": revenue,
        "creditlimit": Decimal("25000.0000") if n % 3 else None,
        "creditlimit_base": Decimal("25000.0000") if n % 3 else None,
        "creditonhold": n % 17 == 0,
        "donotemail": n % 7 == 0,
        "donotphone": n % 11 == 0,
        "donotfax": True,
        "donotpostalmail": False,
        "donotbulkemail": n % 2 == 0,
        "followemail": True,
        "merged": False,
        "numberofemployees": n % 5000,
        "description": f"Elevation {place['elevation']} ft. Time zone {place['tz']}.",
        "emailaddress1": f"office@{icao.lower()}.example",
        "telephone1": f"+{n % 89 + 10} 555 {n % 9000 + 1000}",
        "websiteurl": f"https://{icao.lower()}.example",
        "address1_addressid": identify("address", site.id),
        "address1_line1": f"{n % 200 + 1} Airport Road",
        "address1_city": city,
        "address1_stateorprovince": str(place["subd"])[:50],
        "address1_country": country,
        "address1_latitude": place["lat"],
        "address1_longitude": place["lon"],
        "address1_composite": f"{n % 200 + 1} Airport Road\n{city}\n{country}",
        "_primarycontactid_value": None
        if primary_contact is None
        else contact_id(primary_contact),
        "_transactioncurrencyid_value": EURO,
        "exchangerate": _RATE,
        "onholdtime": None,
        "statecode": 0,
        "statuscode": 1,
    }


def contacts(all_sites: Sequence[Site], *, seed: int) -> Iterator[Row]:
    for site_number, number in spread(
        len(all_sites), contact_count(len(all_sites))
    ).items():
        site = all_sites[site_number]
        n = dice(seed, "contact", number)
        first = FIRST_NAMES[n % len(FIRST_NAMES)]
        last = LAST_NAMES[n // 64 % len(LAST_NAMES)]
        reports = number % 40 == 39
        yield {
            "contactid": contact_id(number),
            "firstname": first,
            "lastname": last,
            "fullname": f"{first} {last}",
            "jobtitle": JOBS[n % len(JOBS)],
            "emailaddress1": f"{first}.{last}{number}@mail.example".lower(),
            "telephone1": f"+{n % 89 + 10} 555 {n % 9000 + 1000}",
            "birthdate": f"{1955 + n % 48}-{n % 12 + 1:02}-{n % 28 + 1:02}",
            "gendercode": n % 2 + 1,
            "familystatuscode": n % 4 + 1 if n % 3 else None,
            "preferredcontactmethodcode": n % 5 + 1,
            "numberofchildren": n % 4,
            "donotemail": False,
            "donotphone": n % 13 == 0,
            "donotfax": True,
            "donotpostalmail": False,
            "donotbulkemail": n % 2 == 0,
            "address1_city": site.place["city"],
            "address1_country": site.place["country"],
            "_parentcustomerid_value": contact_id(number - 1) if reports else site.id,
            f"_parentcustomerid_value{LOOKUP_NOTE}": "contact"
            if reports
            else "account",
            "_transactioncurrencyid_value": EURO,
            "exchangerate": _RATE,
            "statecode": 0,
            "statuscode": 1,
            **made(n, looks_after(site, n)),
        }


def contact_count(scale: int) -> int:
    return scale * 10 // 28


def spread(total: int, count: int) -> dict[int, int]:
    """Return number of site to number of contact or task, evenly."""
    return {number * total // count: number for number in range(count)}


def contact_id(number: int) -> str:
    return identify("contact", number)


def looks_after(site: Site, n: int) -> Person | Team:
    # Some rows on a person's account belong to colleagues.
    return sites_team(site.owner.unit) if n % 11 == 0 else site.owner


def dice(seed: int, *words: object) -> int:
    return zlib.crc32(f"{seed}/{words}".encode())


def wire(at: datetime) -> str:
    return f"{at.isoformat()[:19]}Z"


def made(n: int, owner: Person | Team) -> Row:
    """Who owns the row, and when and by whom it was made and changed."""
    is_person = isinstance(owner, Person)
    created = OPENED + timedelta(minutes=n % (MINUTES - 400_000))
    modified = created + timedelta(minutes=n // 7 % 400_000)
    author = owner.id if is_person else identify("systemuser", "hedy")
    return {
        "createdon": wire(created),
        "modifiedon": wire(modified),
        "_createdby_value": author,
        "_modifiedby_value": author,
        "_ownerid_value": owner.id,
        f"_ownerid_value{LOOKUP_NOTE}": "systemuser" if is_person else "team",
        "_owninguser_value": owner.id if is_person else None,
        "_owningteam_value": None if is_person else owner.id,
        "_owningbusinessunit_value": unit_id(owner.unit),
    }
