"""Holds one row against a user's privileges: which open it, and through whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

import psycopg

from replication.domain.patterns import Pattern
from replication.domain.security import Depth, Holder, Privilege, readable_rows
from replication.domain.tables import TableDef
from replication.visibility import token_users, wanted
from replication.visibility.explained import Named, Right
from replication.visibility.member import has_users

_NAMES = (
    ("systemuser", "systemuserid", "fullname"),
    ("team", "teamid", "name"),
    ("businessunit", "businessunitid", "name"),
)

_ANCESTORS = """
SELECT a.value FROM sync.closure c
JOIN sync.key_value u ON u.id = c.unit
JOIN sync.key_value a ON a.id = c.ancestor
WHERE u.value = %s
"""
_SHARES = f"""
SELECT principalid FROM data.principalobjectaccess WHERE objectid = %s
AND (coalesce(accessrightsmask, 0) | coalesce(inheritedaccessrightsmask, 0))
    & {wanted.READ_ACCESS} <> 0
"""
_SUPERIORS = """
SELECT s.value FROM sync.superior m
JOIN sync.key_value p ON p.id = m.principal
JOIN sync.key_value s ON s.id = m.superior
WHERE p.value = ANY(%s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Whom and what a row belongs to, as rights look at it."""

    owner: UUID | None
    unit: UUID | None
    # The row's unit and all above it.
    ancestors: frozenset[UUID]
    # With whom it is shared, and who is above its owner or them.
    through: frozenset[UUID]


def opened(
    conn: psycopg.Connection,
    table: TableDef,
    row_id: UUID,
    *,
    owner: UUID | None,
    unit: UUID | None,
    is_shared: bool,
    has_superiors: bool,
) -> Opened:
    shared: set[UUID] = set()
    if table.owner_column and is_shared:
        shared = {p for (p,) in conn.execute(_SHARES, (row_id,)) if p is not None}
    above: set[UUID] = set()
    if table.owner_column and has_superiors:
        people = [*shared, *([owner] if owner else [])]
        above = {s for (s,) in conn.execute(_SUPERIORS, (people,))}
    ancestors = {a for (a,) in conn.execute(_ANCESTORS, (unit,))} if unit else set()
    return Opened(
        owner=owner,
        unit=unit,
        ancestors=frozenset(ancestors | ({unit} if unit else set())),
        through=frozenset(shared | above),
    )


def rights(
    holder: Holder,
    privileges: Iterable[Privilege],
    row: Opened,
    names: Mapping[UUID, Named],
) -> Iterator[Right]:
    """The privileges that open the row, each with what it opens it by."""
    for privilege in privileges:
        for pattern in _sorted(readable_rows(holder, [privilege], is_opened=True)):
            opens = _matched(pattern, row)
            if opens is not None:
                by = next((v for v in pattern.attributes if v is not None), None)
                yield Right(
                    role=privilege.role,
                    depth=_DEPTHS[privilege.depth],
                    opens=opens,
                    team=named(privilege.team, names),
                    by=named(by, names),
                )


def _sorted(patterns: Iterable[Pattern]) -> list[Pattern]:
    return sorted(patterns, key=lambda pattern: str(pattern.attributes))


_DEPTHS = {
    Depth.USER: "user",
    Depth.BUSINESS_UNIT: "business unit",
    Depth.PARENT_CHILD: "parent: child business units",
    Depth.ORGANIZATION: "organization",
}


def _matched(pattern: Pattern, row: Opened) -> str | None:
    """By what the row matches; None if it does not."""
    if pattern.owner is not None:
        return "owner" if pattern.owner == row.owner else None
    if pattern.unit is not None:
        return "unit" if pattern.unit == row.unit else None
    if pattern.ancestor is not None:
        return "ancestor" if pattern.ancestor in row.ancestors else None
    if pattern.through is not None:
        return "through" if pattern.through in row.through else None
    return "everything"


def named(value: UUID | None, names: Mapping[UUID, Named]) -> Named | None:
    if value is None:
        return None
    return names.get(value, Named(id=value, table=""))


def names_of(
    conn: psycopg.Connection,
    values: Iterable[UUID | None],
    *,
    replicated: Collection[str],
) -> dict[UUID, Named]:
    """Users, teams and business units among the values, by id."""
    wanted_ids = [value for value in set(values) if value is not None]
    signed_in = token_users.names(conn, wanted_ids)
    found = {
        user: Named(id=user, table="user", name=name)
        for user, name in signed_in.items()
    }
    for table, key, name in _NAMES if has_users(replicated) else ():
        rows = conn.execute(
            f"SELECT {key}, coalesce({name}, '') FROM data.{table}"
            f" WHERE {key} = ANY(%s)",
            (wanted_ids,),
        )
        for value, text in rows:
            found[value] = Named(id=value, table=table, name=text)
    return found
