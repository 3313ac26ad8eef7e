"""A world that is arranged by hand, and what the oracle says of it."""

from __future__ import annotations

from typing import Any

from replication.domain.profiles import (
    Assignments,
    Policy,
    ProfileDef,
    ProfileItem,
)
from tests.oracle import filter_texts, world
from tests.oracle.oracle import Held, Oracle
from tests.oracle.pulled import PlayedSource
from tests.staged import guid

NOBODY = "Mary"


def profile(**chosen: Any) -> ProfileDef:
    return ProfileDef(
        name="Field sales",
        items=(ProfileItem(table="account", **chosen),),
        assignments=Assignments(everyone=True),
    )


def made() -> PlayedSource:
    """Ada works in North. No accounts, and nobody holds a role."""
    source = PlayedSource(world.TABLES)
    world.begin(source)
    for table in ("account", "systemuserroles", "teamroles", "principalobjectaccess"):
        for key in list(source.rows(table)):
            source.delete(table, key)
    return source


def held_by(source: PlayedSource, person: str, policy: Policy) -> Held | None:
    rows = {table: source.rows(table) for table in world.BY_NAME}
    oracle = Oracle(
        world.BY_NAME,
        rows,
        policy,
        now=world.BEGINNING,
        meaning=filter_texts.meaning,
    )
    return oracle.may_hold(guid(person))


def seen_by(
    source: PlayedSource, person: str, *profiles: ProfileDef, **common: Any
) -> list[str] | None:
    """Names of the accounts that the person may take along."""
    policy = Policy(profiles=profiles or (profile(),), **common)
    held = held_by(source, person, policy)
    if held is None:
        return None
    return sorted(str(row["name"]) for row in held.get("account", {}).values())


def give(source: PlayedSource, holder: str, depth: int, *, inherited: int = 0) -> None:
    world.set_role(source, holder, "Salesperson", held=True)
    world.set_depth(source, "Salesperson", "account", depth)
    source.put("role", guid("Salesperson"), isinherited=inherited)


def add(source: PlayedSource, name: str, *, owner: str, unit: str) -> None:
    world.put_row(source, "account", name, owner=owner, unit=unit)
