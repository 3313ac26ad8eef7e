"""Changes through which rows open to somebody, or close: shares, follows, superiors."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.oracle import changes, world
from tests.oracle.changes import Change
from tests.oracle.pulled import PlayedSource
from tests.staged import guid


@dataclass(frozen=True)
class Share(Change):
    """Own and inherited rights; None takes the share away."""

    row: tuple[str, str]
    principal: str
    masks: tuple[int | None, int | None] | None

    def make(self, source: PlayedSource) -> None:
        world.set_share(source, *self.row, self.principal, masks=self.masks)


@dataclass(frozen=True)
class Follow(Change):
    person: str
    row: tuple[str, str]
    follows: bool

    def make(self, source: PlayedSource) -> None:
        world.set_follow(source, self.person, *self.row, follows=self.follows)


@dataclass(frozen=True)
class Refollow(Change):
    """What somebody followed is exchanged for something else."""

    number: int
    row: tuple[str, str]

    def make(self, source: PlayedSource) -> None:
        follows = sorted(source.rows("postfollow"))
        if follows:
            source.put(
                "postfollow",
                follows[self.number % len(follows)],
                regardingobjectid=str(guid(self.row[1])),
                regardingobjectid__type=self.row[0],
            )


@dataclass(frozen=True)
class Regard(Change):
    """A task is about another row; `of` says that this is one of another table."""

    name: str
    about: tuple[str, str | None]
    of: str = ""

    def make(self, source: PlayedSource) -> None:
        if str(guid(self.name)) in source.rows("task"):
            world.set_regarding(source, self.name, *self.about, of=self.of)


@dataclass(frozen=True)
class Connect(Change):
    account: str
    contact: str
    is_one: bool

    def make(self, source: PlayedSource) -> None:
        world.set_stakeholder(source, self.account, self.contact, is_one=self.is_one)


@dataclass(frozen=True)
class Report(Change):
    """A person has another superior, or none; never one who reports to him."""

    name: str
    superior: str | None

    def make(self, source: PlayedSource) -> None:
        column = "parentsystemuserid"
        if not _leads_to(source, "systemuser", column, self.superior, self.name):
            world.set_superior(source, self.name, self.superior)


@dataclass(frozen=True)
class Appoint(Change):
    name: str
    position: str | None

    def make(self, source: PlayedSource) -> None:
        world.set_position(source, self.name, self.position)


@dataclass(frozen=True)
class Raise(Change):
    name: str
    parent: str | None

    def make(self, source: PlayedSource) -> None:
        column = "parentpositionid"
        if not _leads_to(source, "position", column, self.parent, self.name):
            world.put_position(source, self.name, parent=self.parent)


@dataclass(frozen=True)
class Permit(Change):
    """The column profile lets the secured column be read, or not."""

    can_read: int

    def make(self, source: PlayedSource) -> None:
        world.permit_column(source, self.can_read)


@dataclass(frozen=True)
class HoldColumns(Change):
    holder: str
    held: bool

    def make(self, source: PlayedSource) -> None:
        world.set_column_profile(source, self.holder, held=self.held)


@dataclass(frozen=True)
class Speak(Change):
    person: str
    language: int | None

    def make(self, source: PlayedSource) -> None:
        world.put_language(source, self.person, self.language)


def _leads_to(
    source: PlayedSource, table: str, column: str, begin: str | None, end: str
) -> bool:
    """The way up from the first leads through the last."""
    place = str(guid(begin)) if begin else None
    met: set[str] = set()
    while place is not None and place not in met:
        if place == str(guid(end)):
            return True
        met.add(place)
        place = source.rows(table).get(place, {}).get(column)
    return False


_accounts = st.sampled_from(world.ACCOUNTS)
_contacts = st.sampled_from(world.CONTACTS)
_rows = st.one_of(
    st.tuples(st.just("account"), _accounts),
    st.tuples(st.just("account"), _accounts),
    st.tuples(st.just("contact"), _contacts),
    st.tuples(st.just("task"), st.sampled_from(world.TASKS)),
)
_people = st.sampled_from(("Ada", "Grace", "Linus", "Mary"))
_with_devices = st.sampled_from(("Ada", "Grace", "Ada"))
_principals = st.sampled_from(("Ada", "Grace", "Inspectors", "Linus", "Ada", "Mary"))
_masks = st.sampled_from(((1, 0), (0, 1), (5, None), (0, 0), (2, 4), (None, None)))
_about = st.one_of(
    st.tuples(st.just("account"), _accounts),
    st.tuples(st.just("contact"), _contacts),
)


def _shares(rows: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[Change]:
    return st.builds(
        lambda row, principal, masks: Share(
            "principalobjectaccess", row, principal, masks
        ),
        rows,
        _principals,
        st.none() | _masks,
    )


shares = _shares(_rows)
shares_of_accounts = _shares(st.tuples(st.just("account"), _accounts))


def _follows(
    rows: st.SearchStrategy[tuple[str, str]], *ends: bool
) -> st.SearchStrategy[Change]:
    return st.builds(
        lambda row, person, follows: Follow("postfollow", person, row, follows),
        rows,
        _with_devices,
        st.sampled_from(ends),
    )


def follows_of(table: str) -> st.SearchStrategy[Change]:
    """Who has devices begins, rather than ends, to follow rows of the table."""
    rows = st.tuples(st.just(table), st.sampled_from(world.KEYS[table]))
    return _follows(rows, True, True, False)


follows = _follows(_rows, True, False)
_refollows = st.builds(
    lambda row, number: Refollow("postfollow", number, row),
    _rows,
    st.integers(0, 3),
)
regards = st.builds(
    lambda task, about, of: Regard("task", task, about, of),
    st.sampled_from(world.TASKS),
    st.one_of(_about, _about, st.just(("account", None))),
    st.sampled_from(("", "", "", "account", "contact")),
)
_connects = st.builds(
    Connect, st.just("stakeholder"), _accounts, _contacts, st.booleans()
)
# Lookups and links by which associations lead.
link_changes: st.SearchStrategy[Change] = st.one_of(regards, _connects, _refollows)

_reports = st.builds(
    Report,
    st.just("systemuser"),
    _people,
    st.sampled_from(("Ada", "Grace", "Linus", None)),
)
_positions = st.sampled_from(world.POSITIONS)
_appointments = st.builds(
    Appoint, st.just("systemuser"), _people, st.none() | _positions
)
_raises = st.builds(Raise, st.just("position"), _positions, st.none() | _positions)
_permits = st.builds(Permit, st.just("fieldpermission"), st.sampled_from((4, 0)))
_columns_of_people = st.builds(
    HoldColumns, st.just("systemuserprofiles"), _with_devices, st.booleans()
)
_columns_of_teams = st.builds(
    HoldColumns, st.just("teamprofiles"), st.sampled_from(world.TEAMS), st.booleans()
)
_languages = st.builds(
    Speak,
    st.just("usersettings"),
    _with_devices,
    st.sampled_from((*world.LANGUAGES, None)),
)
# What is not in the rows themselves.
opening_changes: st.SearchStrategy[Change] = st.one_of(
    shares,
    shares,
    follows,
    _reports,
    _appointments,
    _raises,
    _permits,
    _columns_of_people,
    _columns_of_teams,
    _languages,
)
row_changes: st.SearchStrategy[Change] = st.one_of(changes.row_changes, link_changes)
right_changes: st.SearchStrategy[Change] = st.one_of(
    changes.right_changes, opening_changes
)

# Of tables whose changes come page by page.
tracked_changes: st.SearchStrategy[Change] = st.one_of(
    changes.account_changes,
    changes.account_changes,
    regards,
    _refollows,
    shares,
    follows,
)


def _share(
    row: tuple[str, str], person: str, masks: tuple[int | None, int | None] | None
) -> Share:
    return Share("principalobjectaccess", row, person, masks)


_opened = st.sampled_from(((1, 0), (0, 1), (None, 1)))
_closed = st.sampled_from((None, (0, 0), (2, None)))
_teams = st.sampled_from(world.TEAMS)
# For whom something opens, the change that does it, and the one that takes it back.
ThereAndBack = tuple[str, Change, Change]
_shared = st.builds(
    lambda row, person, there, back: (
        person,
        _share(row, person, there),
        _share(row, person, back),
    ),
    _rows,
    _with_devices,
    _opened,
    _closed,
)
there_and_back: st.SearchStrategy[ThereAndBack] = st.one_of(
    _shared,
    _shared,
    st.builds(
        lambda row, person: (
            person,
            Follow("postfollow", person, row, True),
            Follow("postfollow", person, row, False),
        ),
        _rows,
        _with_devices,
    ),
    st.builds(
        lambda report, person: (
            person,
            Report("systemuser", report, person),
            Report("systemuser", report, None),
        ),
        st.sampled_from(("Linus", "Mary")),
        _with_devices,
    ),
    st.builds(
        lambda member, person, team: (
            person,
            changes.Join("teammembership", member, team, True),
            changes.Join("teammembership", member, team, False),
        ),
        st.sampled_from(("Linus", "Linus", "Mary", "Ada")),
        _with_devices,
        _teams,
    ),
    st.builds(
        lambda person: (
            person,
            HoldColumns("systemuserprofiles", person, True),
            HoldColumns("systemuserprofiles", person, False),
        ),
        _with_devices,
    ),
    st.builds(
        lambda person, account, contact: (
            person,
            Connect("stakeholder", account, contact, True),
            Connect("stakeholder", account, contact, False),
        ),
        _with_devices,
        _accounts,
        _contacts,
    ),
)
