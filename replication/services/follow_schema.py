"""Bring staging's tables to the definitions that the source has now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import errors

from project.errors import MisconfiguredError, TransientError
from provisioning import failpoints
from replication.domain import schema_changes as changes
from replication.domain.tables import SECURITY_TABLES, TableDef
from replication.staging import registry, schema, schema_changes
from replication.staging.registry import DefinitionMovedError, SourceTable
from replication.visibility import reconcile

logger = logging.getLogger(__name__)

# Readers let go of a table between two pieces of an answer.
_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 0.05

Done = TypeVar("Done")


class TableInUseError(TransientError):
    """A table was in use for so long that its definition could not be changed."""

    code = "table_in_use"


class SchemaConflictError(MisconfiguredError):
    """The source changed a security table in a way that staging cannot follow."""

    code = "schema_conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Tables whose pull has something to do now, and those that are gone.

    `is_settled`: nothing has to be looked at again before the source changes.
    """

    changed: tuple[str, ...] = ()
    # Security tables whose change cannot be followed.
    refused: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    is_settled: bool = True


def follow(
    conn: psycopg.Connection,
    definitions: Iterable[TableDef],
    *,
    asked: Collection[str],
) -> Followed:
    """Create, change and withdraw tables; each in a transaction. Repeatable.

    A table is withdrawn when two readings in succession do not name it.

    :raises TableInUseError: try again later.
    """
    found = {definition.name: definition for definition in definitions}
    created = schema.create_missing(conn, found.values())
    changed: list[str] = list(created)
    refused: list[str] = []
    for name, definition in found.items():
        if name not in created:
            outcome = _patiently(lambda n=name, d=definition: _changed(conn, n, d))  # type: ignore[misc]  # bound at once
            changed += [name] * (outcome is True)
            refused += [name] * (outcome is None)
    withdrawn, missing = _miss(conn, found.keys(), asked)
    if (changed or withdrawn) and reconcile.is_due(conn):
        reconcile.prepare(conn)
        reconcile.reconcile(conn)
    return Followed(
        changed=tuple(changed),
        refused=tuple(refused),
        withdrawn=withdrawn,
        is_settled=not (missing or refused),
    )


def _changed(conn: psycopg.Connection, name: str, definition: TableDef) -> bool | None:
    """Whether there was something to change; None when it cannot be."""
    staged = _staged(conn, name)
    came_back = _note_present(conn, staged)
    if came_back:
        schema_changes.bring_back(conn, staged)
        staged = _staged(conn, name)
    plan = changes.plan(
        staged.definition,
        definition,
        left_over=schema_changes.left_over(conn, staged.id),
    )
    if plan.is_refused:
        return None
    failpoints.reach("schema.planned")
    if schema_changes.apply(conn, staged, plan):
        logger.info(
            "Schema changed",
            extra={
                "table": name,
                "steps": [type(step).__name__ for step in plan.steps],
                "way": plan.way,
            },
        )
        return True
    return came_back


def _patiently(work: Callable[[], Done]) -> Done:
    """Do what needs a table for itself for a moment, in several attempts."""
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(_ATTEMPTS - 1):
        try:
            return work()
        except (errors.LockNotAvailable, errors.DeadlockDetected, DefinitionMovedError):
            time.sleep(pause)
            pause *= 2
    try:
        return work()
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        message = "A table was in use for too long to change its columns."
        raise TableInUseError(message) from error


def _note_present(conn: psycopg.Connection, staged: SourceTable) -> bool:
    """True when the table was withdrawn, and is there again."""
    row = conn.execute(
        "UPDATE sync.source SET missing_since = NULL"
        " WHERE id = %s AND missing_since IS NOT NULL"
        " RETURNING withdrawn_at IS NOT NULL",
        (staged.id,),
    ).fetchone()
    return row == (True,)


def _miss(
    conn: psycopg.Connection, found: Collection[str], asked: Collection[str]
) -> tuple[tuple[str, ...], bool]:
    """Tables that are withdrawn now, and whether others were missed for once.

    Security tables stay: without them nobody could be told apart.
    """
    withdrawn: list[str] = []
    is_missed = False
    rows = conn.execute(
        "SELECT name, missing_since IS NOT NULL FROM sync.source"
        " WHERE withdrawn_at IS NULL AND name <> ALL(%s) AND name = ANY(%s)",
        ([*found, *SECURITY_TABLES], list(asked)),
    ).fetchall()
    for name, was_missing in rows:
        if was_missing:
            _patiently(
                lambda n=name: schema_changes.withdraw(conn, _staged(conn, n))  # type: ignore[misc]  # bound at once
            )
            withdrawn.append(name)
        else:
            conn.execute(
                "UPDATE sync.source SET missing_since = now() WHERE name = %s", (name,)
            )
            is_missed = True
    return tuple(withdrawn), is_missed


def _staged(conn: psycopg.Connection, name: str) -> SourceTable:
    staged = registry.table(conn, name)
    assert staged is not None
    return staged
