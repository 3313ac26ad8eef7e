"""Rules: which rows of a table the feed hands out, and by which key attributes.

A rule's content is its `RuleSpec`. Its entries have the row's owner (k1) and business
unit (k2), in shape `deep` through whom else the row may be read (k3), and the
attributes of the choice (k4 and on). A grant may fix any of them, so one rule serves
every profile and depth that needs the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from replication.domain.choices import (
    BASE,
    DEEP,
    Choice,
    Opening,
    RuleSpec,
    Shape,
    spec_of,
)
from replication.domain.tables import TableDef
from replication.staging.install import FEED_KEYS

__all__ = ["BASE", "DEEP", "Identity", "Rule", "in_use", "living", "partition"]

# What grants look up rules by.
Identity = tuple[int, Shape, Choice]

# Of every rule; attributes of its choice come after them.
_OWN_KEYS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A row of `sync.rule`."""

    id: int
    source_id: int
    state: str
    spec: RuleSpec
    # The moment at which moving windows of its filters were last looked at.
    as_of: datetime
    # The profile items that it is for.
    slots: tuple[str, ...] = ()
    # Its entries are being brought in line with a change of many rows.
    is_stale: bool = False

    @property
    def shape(self) -> Shape:
        return self.spec.shape

    @property
    def choice(self) -> Choice:
        return self.spec.choice

    @property
    def identity(self) -> Identity:
        return (self.source_id, *self.spec.is_for)

    @property
    def partition(self) -> sql.Identifier:
        return partition(self.id)

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns that its entries use."""
        return FEED_KEYS[: _OWN_KEYS + len(self.choice.attributes)]


def partition(rule_id: int) -> sql.Identifier:
    return sql.Identifier("sync", f"feed_{rule_id}")


_COLUMNS = "id, source_id, state, spec, as_of, slots, stale_after IS NOT NULL"


def living(conn: psycopg.Connection, source_id: int | None = None) -> tuple[Rule, ...]:
    """Rules that are built or being built, of one table or of all."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM sync.rule WHERE state <> 'retired'"
        " AND (%s::int IS NULL OR source_id = %s) ORDER BY id",
        (source_id, source_id),
    )
    return tuple(_rule(row) for row in rows)


def in_use(
    living: Iterable[Rule], *, served: Mapping[int, str]
) -> dict[Identity, Rule]:
    """Active rules by what grants look them up by.

    `served` has the organization filter by source id. While a changed one waits to
    take effect, there is a rule for the same rows under each of them, and nobody must
    be handed what his own forbids.
    """
    found: dict[Identity, Rule] = {}
    for rule in living:
        if rule.state == "active":
            other = found.get(rule.identity)
            if other is None or _is_rather(rule, other, served.get(rule.source_id, "")):
                found[rule.identity] = rule
    return found


def _is_rather(later: Rule, earlier: Rule, served: str) -> bool:
    return later.spec.served == served or earlier.spec.served != served


def one(conn: psycopg.Connection, rule_id: int) -> Rule:
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM sync.rule WHERE id = %s", (rule_id,)
    ).fetchone()
    assert row is not None
    return _rule(row)


def _rule(row: tuple[Any, ...]) -> Rule:
    rule_id, source_id, state, spec, as_of, slots, is_stale = row
    return Rule(
        id=rule_id,
        source_id=source_id,
        state=state,
        spec=spec_of(spec),
        as_of=as_of,
        slots=tuple(slots),
        is_stale=is_stale,
    )


def openings(
    table: TableDef,
    *,
    held_deep: Iterable[str],
    shared: Iterable[str],
    hierarchy: Opening | None,
) -> tuple[Opening, ...]:
    """Through whom else than owner and unit rows of the table may be read.

    `held_deep` are the lower-case read privileges that some role holds at
    parent:child depth; `shared` the tables of which rows are shared.
    """
    if table.read_privilege is None:
        return ()
    found: list[Opening] = []
    if table.unit_column and table.read_privilege.lower() in held_deep:
        found.append("ancestors")
    if table.owner_column and table.name in shared:
        found.append("shares")
    if table.owner_column and hierarchy is not None:
        found.append(hierarchy)
    return tuple(found)
