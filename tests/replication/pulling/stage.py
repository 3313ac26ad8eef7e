"""One staging database with the played source's tables, and workers that pull them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from psycopg import sql

from project.errors import TransientError
from replication.domain.tables import TableDef
from replication.odata import csdl
from replication.odata.answers import Reply
from replication.odata.client import ODataSource
from replication.services.pull import Progress, PullOrder, pull_table
from replication.staging import registry, schema
from replication.staging.registry import FencedError, SourceTable
from sandbox.plain.rows import key_of
from sandbox.plain.tables import METADATA, SETS
from tests.oracle.failures import MismatchError
from tests.oracle.workers import Interruption, WorkerConnection, WorkerDiedError
from tests.replication.pulling import expected
from tests.replication.pulling.occurrences import Occurrences
from tests.replication.pulling.played import ENDPOINT, Played
from tests.replication.pulling.values import extremes

ONE_DAY = timedelta(days=1)
AT_ONCE = timedelta(0)
LONG = timedelta(minutes=1)

_UNTRACKED = csdl.load_tables(METADATA, tuple(SETS))
_TRACKED = tuple(
    replace(table, name=f"{table.name}_tracked", tracked=True)
    for table in _UNTRACKED
    if table.name in {"products", "orderlines", "notes", "samples"}
)
TABLES = {table.name: table for table in (*_UNTRACKED, *_TRACKED)}

# A source that fails, and not one that is misunderstood.
_FAILURES = frozenset({"source_timeout", "resync_required"})
_OPTIONS = "-c timezone=UTC -c lock_timeout=5s"


class _Wire:
    """One worker's way to the source, cut when the worker is gone."""

    def __init__(self, played: Played) -> None:
        self._played = played
        self.is_cut = False

    def get(self, url: str, **options: Any) -> Reply:
        if self.is_cut:
            raise TransientError("The worker is gone.")
        return self._played.get(url, **options)


class Stage:
    """Begins anew for every life."""

    def __init__(self, conninfo: str, *, leases: int = 0) -> None:
        self._conninfo = conninfo
        self._connections: dict[str, WorkerConnection] = {}
        self._epoch = leases
        self._modes: dict[str, str | None] = {}
        self.occurred = Occurrences()
        self.played = Played()
        schema.create_missing(self.connection(""), TABLES.values())

    def begin(self) -> None:
        self.occurred.begin_run()
        self._modes.clear()
        self.played = Played(self.occurred.note)
        conn = self.connection("")
        for staged in registry.tables(conn):
            for relation in (
                schema.relation(staged.definition),
                schema.seen(staged.id),
            ):
                conn.execute(sql.SQL("DELETE FROM {}").format(relation))
        conn.execute("DELETE FROM sync.set_aside")
        conn.execute(
            "UPDATE sync.source SET cursor_kind = NULL, cursor_link = NULL,"
            " loading = 'first', is_complete = false, row_count = 0, mode = NULL,"
            " watermark_column = NULL, watermark = NULL, reconciled_at = NULL,"
            # A process before this one may have counted further.
            " fencing_epoch = 0"
        )

    def connection(self, purpose: str) -> WorkerConnection:
        conn = self._connections.get(purpose)
        if conn is None or conn.closed:
            conn = WorkerConnection.connect(
                self._conninfo, autocommit=True, options=_OPTIONS
            )
            self._connections[purpose] = conn
        return conn

    def close(self) -> None:
        for conn in self._connections.values():
            conn.close()

    def pull(
        self,
        table: str,
        *,
        page_size: int = 3,
        interruption: Interruption | None = None,
        worker: str = "",
        **changes: Any,
    ) -> Progress | None:
        """Pull once; None when the worker or the source failed in the middle."""
        conn = self.connection(f"{table} {worker}")
        wire = _Wire(self.played)
        epoch = self.lease()
        values = {"time_slice": LONG, "reconcile_every": ONE_DAY} | changes
        order = PullOrder(table=table, epoch=epoch, renew=lambda: None, **values)
        source = ODataSource(wire, endpoint=ENDPOINT, kind="odata", page_size=page_size)
        conn.interruption = interruption
        before = self.staged(table)
        try:
            return pull_table(conn, source, order)
        except WorkerDiedError:
            self.occurred.note("worker died")
        except FencedError:
            self.occurred.note("lease lost")
        except TransientError as error:
            # Who has lost his table may stumble over what his successor left.
            if error.code not in _FAILURES and not (worker or interruption):
                raise
        finally:
            wire.is_cut = True
            conn.interruption = None
            self._note_change(table, before)
        return None

    def lease(self) -> int:
        """Return the epoch of the next lease."""
        self._epoch += 1
        return self._epoch

    def _note_change(self, table: str, before: SourceTable) -> None:
        after = self.staged(table)
        mode = after.mode
        if mode == "watermark" and before.reconciled_at != after.reconciled_at:
            self.occurred.note("reconciled")
        if after.found is not None and self._modes.get(table) != mode:
            if table in self._modes:
                self.occurred.note("mode changed")
            self.occurred.note(f"mode: {mode}")
            self._modes[table] = mode

    def staged(self, table: str) -> SourceTable:
        staged = registry.table(self.connection(""), table)
        assert staged is not None
        return staged

    def settle(self, table: str, *, reconcile_every: timedelta) -> None:
        """Nothing happens any more: pull until there is nothing new."""
        self.played.forget_plans()
        for _ in range(2):
            progress = self.pull(table, page_size=3, reconcile_every=reconcile_every)
            if progress is None or not progress.is_finished:
                raise MismatchError(f"A quiet pull of {table} does not finish.")

    def check_polled(
        self, definition: TableDef, hidden: Iterable[Mapping[str, Any]]
    ) -> None:
        """Polls alone have brought all that they can see. They see no deletes."""
        rows = dict(self.played.rows.all(definition.entity_set))
        for key in hidden:
            rows.pop(key_of(SETS[definition.entity_set], key), None)
        wanted = expected.at_source(definition, rows)
        found = expected.staged(self.connection(""), definition)
        known = {key: values for key, values in found.items() if key in wanted}
        _compare(definition, wanted, known)

    def check(self, definition: TableDef) -> None:
        """Staging is the source, value for value."""
        rows = self.played.rows.all(definition.entity_set)
        wanted = expected.at_source(definition, rows)
        found = expected.staged(self.connection(""), definition)
        _compare(definition, wanted, found)
        for extreme in extremes(rows.values()):
            self.occurred.note(extreme)
        counted = self.connection("").execute(
            "SELECT row_count FROM sync.source WHERE name = %s", (definition.name,)
        )
        if counted.fetchone() != (len(wanted),):
            raise MismatchError(f"The rows of {definition.name} are miscounted.")


def _compare(
    table: TableDef, wanted: dict[str, list[Any]], found: dict[str, list[Any]]
) -> None:
    surplus, missing = found.keys() - wanted.keys(), wanted.keys() - found.keys()
    if surplus or missing:
        raise MismatchError(f"{table.name}: too many {surplus}, missing {missing}")
    for key, values in wanted.items():
        for column, one, two in zip(table.columns, values, found[key], strict=True):
            if one != two or type(one) is not type(two):
                said = f"{str(two)[:80]!r} instead of {str(one)[:80]!r}"
                raise MismatchError(f"{table.name} {key} {column.name}: {said}")
