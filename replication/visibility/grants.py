"""Which entries of the feed a user's alternatives and rights come to: his grants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from uuid import UUID

import psycopg

from replication.domain.alternatives import Alternative, Takes, Wanted
from replication.domain.choices import BASE, DEEP, PLAIN, Choice, Shape
from replication.domain.filter_operators import AttributeKind
from replication.domain.patterns import Pattern, intersection
from replication.domain.units import UnitTree, flattened, spread
from replication.visibility.checkpoints import Grant, as_grant
from replication.visibility.member import NotReadyError, Values
from replication.visibility.rules import Rule

# A user with more keys than this to one table would make every answer slow.
MOST_GRANTS = 50_000

# Active rules of one table.
RulesOfTable = Mapping[tuple[Shape, Choice], Rule]


class TooManyGrantsError(NotReadyError):
    """The user's filters and rights come to more keys than can be served.

    No refusal: the device keeps what it has until an administrator has found out.
    """


class Grants:
    """The small integers of principals and units, read once per user."""

    def __init__(self, conn: psycopg.Connection, values: Values) -> None:
        self._conn = conn
        self._values = values
        self._ids: dict[UUID, int] | None = None
        self._tree = _units(conn) if values.has_units else UnitTree({})

    def of_table(
        self,
        ways: Iterable[Alternative],
        readable: Iterable[Pattern],
        rules: RulesOfTable,
    ) -> frozenset[Grant]:
        """What the ways and the rights allow at once; what no active rule or entry
        can match is left out.

        :raises TooManyGrantsError: nobody could be served so many keys.
        """
        grants: set[Grant] = set()
        allowed = tuple(readable)
        for choice, takes in _by_choice(ways).items():
            for grant in self._of_choice(choice, takes, allowed, rules):
                grants.add(grant)
                if len(grants) > MOST_GRANTS:
                    raise TooManyGrantsError("The user has too many keys to a table.")
        return frozenset(grants)

    def _of_choice(
        self,
        choice: Choice,
        takes: list[Takes],
        readable: tuple[Pattern, ...],
        rules: RulesOfTable,
    ) -> Iterator[Grant]:
        if choice == PLAIN:
            patterns = intersection(readable, self._patterns(takes))
            return self._placed(patterns, choice, ((),), rules)
        attributes = {keys for one in takes for keys in self._attributes(one)}
        if not choice.attributes:
            attributes = {()}
        return self._placed(readable, choice, attributes, rules)

    def _placed(
        self,
        patterns: Iterable[Pattern],
        choice: Choice,
        attributes: Iterable[tuple[int | None, ...]],
        rules: RulesOfTable,
    ) -> Iterator[Grant]:
        base, deep = rules.get((BASE, choice)), rules.get((DEEP, choice))
        opens = deep.spec.opens if deep else ()
        wanted = {part for one in patterns for part in spread(one, self._tree)}
        if "ancestors" not in opens:
            wanted = {flat for one in wanted for flat in flattened(one, self._tree)}
        for pattern in wanted:
            rule = deep if pattern.ancestor or pattern.through else base
            keys = self._keys(pattern)
            if rule is not None and keys is not None:
                for more in attributes:
                    yield as_grant((rule.id, *keys, *more))

    def _keys(self, pattern: Pattern) -> tuple[int | None, ...] | None:
        """None when no entry can match: a value has no number yet."""
        third = pattern.ancestor or pattern.through
        keys = []
        for value in (pattern.owner, pattern.unit, third):
            if value is not None and value not in self._numbers:
                return None
            keys.append(None if value is None else self._numbers[value])
        return tuple(keys)

    def _patterns(self, takes: Iterable[Takes]) -> Iterator[Pattern]:
        for one in takes:
            if not any(one):
                yield Pattern()
            else:
                owner, unit = one
                for value in self._values_of(owner):
                    yield Pattern(owner=value)
                for value in self._values_of(unit):
                    yield Pattern(unit=value)

    def _values_of(self, wanted: Wanted | None) -> frozenset[UUID]:
        return self._values.of(wanted) if wanted else frozenset()

    def _attributes(self, takes: Takes) -> Iterator[tuple[int | None, ...]]:
        """Every combination of numbers that the user's values allow."""
        return product(*(self._numbers_of(wanted) for wanted in takes))

    def _numbers_of(self, wanted: Wanted | None) -> list[int | None]:
        if wanted is None:
            return [None]
        values = self._values.of(wanted)
        if wanted.negated and self._values.lacks(wanted):
            return []
        if wanted.negated:
            return [n for value, n in self._numbers.items() if value not in values]
        if wanted.kind is AttributeKind.CLAIM:
            return self._looked_up(values)
        return [self._numbers[v] for v in values if v in self._numbers]

    def _looked_up(self, values: frozenset[UUID]) -> list[int | None]:
        """Columns that claims are compared with may have millions of values."""
        rows = self._conn.execute(
            "SELECT id FROM sync.key_value WHERE value = ANY(%s)", (list(values),)
        )
        return [number for (number,) in rows]

    @property
    def _numbers(self) -> dict[UUID, int]:
        if self._ids is None:
            rows = self._conn.execute("SELECT value, id FROM sync.key_value")
            self._ids = dict(rows.fetchall())
        return self._ids


def _units(conn: psycopg.Connection) -> UnitTree:
    rows = conn.execute(
        "SELECT businessunitid, parentbusinessunitid FROM data.businessunit"
    )
    return UnitTree(dict(rows.fetchall()))


def _by_choice(ways: Iterable[Alternative]) -> dict[Choice, list[Takes]]:
    found: dict[Choice, list[Takes]] = {}
    for way in ways:
        found.setdefault(way.choice, []).append(way.takes)
    return found
