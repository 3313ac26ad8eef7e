"""Who works at Contoso: business units, roles, people and teams. Pure.

Each person stands for one way of seeing rows (accounts, contacts and tasks):

- ada, linus: their own, and those of the team US Key Accounts
- grace: her own; through the team Europe Service also its rows and those of the
  unit Europe, though she works in Germany
- sofia: two roles, of which the deeper (business unit Spain) counts
- yuki: accounts of Asia Pacific and below, but only her own contacts and tasks
- joao: the business unit Brazil; marie: Europe and below; barbara, hedy: all
- katherine: her own and Alaska Crew's, by that team's inherited role only
- mary: Pacific Service Desk's by its role that is not inherited, so not her own
- niels: no role; dorothy: disabled

Read depths are those of `privilegedepthmask`. A role grants reading by table
and, at the same or a smaller depth, everything else; what may be read may also
be referred to (AppendTo).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

from sandbox.contoso.schema import identify

BASIC, LOCAL, DEEP, GLOBAL = 1, 2, 4, 8

TENANT_ID = identify("tenant")
ORGANIZATION_ID = identify("organization")
APPLICATION_ID = identify("application", "waystation")
ROOT = "Contoso"

# Business unit to its parent; third-level units stand for one country each.
UNITS: Mapping[str, str | None] = {
    ROOT: None,
    "Americas": ROOT,
    "Europe": ROOT,
    "Asia Pacific": ROOT,
    "Middle East and Africa": ROOT,
    "United States": "Americas",
    "Canada": "Americas",
    "Brazil": "Americas",
    "Germany": "Europe",
    "France": "Europe",
    "Spain": "Europe",
    "United Kingdom": "Europe",
    "Sweden": "Europe",
    "Australia": "Asia Pacific",
    "Japan": "Asia Pacific",
    "India": "Asia Pacific",
    "South Africa": "Middle East and Africa",
}

COUNTRY_UNITS: Mapping[str, str] = {
    "US": "United States",
    "CA": "Canada",
    "BR": "Brazil",
    "DE": "Germany",
    "FR": "France",
    "ES": "Spain",
    "GB": "United Kingdom",
    "SE": "Sweden",
    "AU": "Australia",
    "JP": "Japan",
    "IN": "India",
    "ZA": "South Africa",
}

# First part of the time zone of a place to the region that looks after it.
REGIONS: Mapping[str, str] = {
    "America": "Americas",
    "Europe": "Europe",
    "Atlantic": "Europe",
    "Arctic": "Europe",
    "Africa": "Middle East and Africa",
    "Asia": "Asia Pacific",
    "Australia": "Asia Pacific",
    "Pacific": "Asia Pacific",
    "Indian": "Asia Pacific",
    "Antarctica": "Asia Pacific",
}

BUSINESS = ("Account", "Contact", "Activity", "Note", "PostFollow", "SyncError")
DIRECTORY = ("User", "Team", "BusinessUnit", "Role", "TransactionCurrency",
             "Product", "Position", "Organization", "MobileOfflineProfile")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    name: str
    # Subject to depth; subjects that are missing are granted nothing.
    read: Mapping[str, int]
    write: Mapping[str, int] = field(default_factory=dict)
    # 1: a member of a team that holds the role has it as if it were his own.
    is_inherited: int = 1
    extra: tuple[str, ...] = ("prvGoMobile", "prvGoOffline")


def _all(depth: int) -> dict[str, int]:
    return dict.fromkeys(BUSINESS, depth)


_DIRECTORY_READ = dict.fromkeys(DIRECTORY, GLOBAL)

ROLES = (
    Role(
        name="System Administrator",
        read=_all(GLOBAL) | _DIRECTORY_READ,
        write=_all(GLOBAL) | _DIRECTORY_READ,
        extra=("prvGoMobile", "prvGoOffline", "prvActOnBehalfOfAnotherUser"),
    ),
    Role(
        name="Waystation Replicator",
        read=_all(GLOBAL) | _DIRECTORY_READ,
        write=_all(GLOBAL) | _DIRECTORY_READ,
        extra=("prvActOnBehalfOfAnotherUser",),
    ),
    Role(
        name="Field Salesperson",
        read=_all(BASIC) | _DIRECTORY_READ,
        write=_all(BASIC),
    ),
    Role(
        name="Country Manager",
        read=_all(LOCAL) | _DIRECTORY_READ,
        write=_all(LOCAL),
    ),
    Role(
        name="Regional Manager",
        read=_all(DEEP) | _DIRECTORY_READ,
        write=_all(LOCAL),
    ),
    Role(
        name="Back Office",
        read=_all(GLOBAL) | _DIRECTORY_READ,
        write=_all(BASIC),
    ),
    Role(
        name="Account Overview",
        read={"Account": DEEP} | _DIRECTORY_READ,
    ),
    Role(
        name="Unit Reader",
        read=_all(LOCAL) | _DIRECTORY_READ,
    ),
    Role(
        name="Team Worker",
        read=_all(BASIC) | _DIRECTORY_READ,
        write=_all(BASIC),
    ),
    Role(
        name="Service Desk",
        read=_all(BASIC) | _DIRECTORY_READ,
        write=_all(BASIC),
        is_inherited=0,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Person:
    key: str
    first_name: str
    last_name: str
    unit: str
    roles: tuple[str, ...]
    title: str
    manager: str | None = None
    is_disabled: bool = False
    application_id: str | None = None

    @cached_property
    def id(self) -> str:
        return identify("systemuser", self.key)

    @cached_property
    def object_id(self) -> str:
        return identify("object", self.key)

    @property
    def domain_name(self) -> str:
        return f"{self.key}@contoso.example"


def _person(  # Keeps the list below readable as a table.
    key: str, first: str, last: str, unit: str, title: str, *roles: str, **more: object
) -> Person:
    return Person(
        key=key,
        first_name=first,
        last_name=last,
        unit=unit,
        title=title,
        roles=roles,
        **more,  # type: ignore[arg-type]  # Person checks the words at import.
    )


_FIELD = "Field Salesperson"
PEOPLE = (
    _person("waystation", "Waystation", "Replicator", ROOT, "Application",
            "Waystation Replicator", application_id=APPLICATION_ID),
    _person("hedy", "Hedy", "Keller", ROOT, "Administrator", "System Administrator"),
    _person("barbara", "Barbara", "Lindqvist", ROOT, "Back office", "Back Office"),
    _person("marie", "Marie", "Dubois", "Europe", "Regional manager",
            "Regional Manager"),
    _person("joao", "João", "Almeida", "Brazil", "Country manager", "Country Manager"),
    _person("ada", "Ada", "Whitfield", "United States", "Field sales", _FIELD),
    _person("linus", "Linus", "Park", "United States", "Field sales", _FIELD),
    _person("grace", "Grace", "Hoffman", "Germany", "Field sales", _FIELD,
            manager="marie"),
    _person("sofia", "Sofía", "Herrera", "Spain", "Field sales and country manager",
            _FIELD, "Country Manager", manager="marie"),
    _person("yuki", "Yuki", "Tanaka", "Asia Pacific", "Field sales", _FIELD,
            "Account Overview"),
    _person("katherine", "Katherine", "Osei", "United States", "Field technician"),
    _person("mary", "Mary", "Chen", "Asia Pacific", "Service desk"),
    _person("niels", "Niels", "Brandt", "Germany", "Trainee", manager="marie"),
    _person("dorothy", "Dorothy", "Vance", "United States", "Field sales", _FIELD,
            is_disabled=True),
)  # fmt: skip
PEOPLE_BY_KEY: Mapping[str, Person] = {person.key: person for person in PEOPLE}


@dataclass(frozen=True, kw_only=True)
class Team:
    name: str
    unit: str
    members: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    # 0 owner team, 1 access team (owns nothing).
    kind: int = 0

    @cached_property
    def id(self) -> str:
        return identify("team", self.name)


@cache
def sites_team(unit: str) -> Team:
    """The team that owns whatever nobody else in the unit does."""
    return Team(name=f"{unit} Sites", unit=unit)


KEY_ACCOUNTS = Team(
    name="US Key Accounts", unit="United States", members=("ada", "linus")
)
ALASKA_CREW = Team(
    name="Alaska Crew",
    unit="United States",
    members=("katherine",),
    roles=("Team Worker",),
)
SERVICE_DESK = Team(
    name="Pacific Service Desk",
    unit="Asia Pacific",
    members=("mary",),
    roles=("Service Desk",),
)
EUROPE_SERVICE = Team(
    name="Europe Service", unit="Europe", members=("grace",), roles=("Unit Reader",)
)
AUDIT_CIRCLE = Team(name="Audit Circle", unit=ROOT, members=("barbara", "ada"), kind=1)
TEAMS = (
    KEY_ACCOUNTS,
    ALASKA_CREW,
    SERVICE_DESK,
    EUROPE_SERVICE,
    AUDIT_CIRCLE,
    *map(sites_team, UNITS),
)

# (country, subdivision or "") to the person or team whose accounts these are.
TERRITORIES: Mapping[tuple[str, str], Person | Team] = {
    ("US", "Texas"): PEOPLE_BY_KEY["ada"],
    ("US", "Florida"): KEY_ACCOUNTS,
    ("US", "Alaska"): ALASKA_CREW,
    ("BR", "São Paulo"): PEOPLE_BY_KEY["joao"],
    ("NZ", ""): SERVICE_DESK,
    ("PG", ""): SERVICE_DESK,
    ("IT", ""): EUROPE_SERVICE,
    ("JP", ""): PEOPLE_BY_KEY["mary"],
    **{
        ("US", name): PEOPLE_BY_KEY[owner]
        for owner, names in {
            "linus": ("California", "Nevada", "Arizona", "Oregon"),
            "katherine": ("Hawaii", "Puerto Rico", "Washington"),
            "dorothy": ("New York",),
        }.items()
        for name in names
    },
    **{
        (code, ""): PEOPLE_BY_KEY[owner]
        for owner, codes in {
            "grace": ("DE", "AT", "CH", "PL", "CZ"),
            "sofia": ("ES", "PT"),
            "marie": ("IE", "NL", "BE", "NO", "DK"),
            "yuki": ("ID", "TH", "MY"),
        }.items()
        for code in codes
    },
}


def owner_of(*, country: str, subdivision: str, zone: str) -> Person | Team:
    """Return who looks after the sites of a place."""
    owner = TERRITORIES.get((country, subdivision)) or TERRITORIES.get((country, ""))
    if owner is not None:
        return owner
    region = REGIONS.get(zone.partition("/")[0], ROOT)
    return sites_team(COUNTRY_UNITS.get(country, region))
