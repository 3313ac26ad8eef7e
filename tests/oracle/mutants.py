"""Bugs that the machine must find: what a first version of such a service gets wrong.

Each one changes the text of a module (see `seeding`). They are written as somebody
would who has not thought of it, and break nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """`old` stands in the module exactly once."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    name: str
    # What goes wrong, for who reads a failure.
    story: str
    edits: tuple[Edit, ...]
    # Found so soon that `make test` can afford to look for it.
    is_quick: bool = False


MUTANTS = (
    Mutant(
        name="cursor_first",
        story="The cursor is saved before the page: a crash in between loses the page.",
        edits=(
            Edit(
                module="replication.services.commit",
                old="""\
    with conn.transaction():
        registry.hold_fence(
            conn,
            source.definition.name,
            epoch=epoch,
            definition_rev=source.definition_rev,
        )
""",
                new="""\
    registry.store_cursor(conn, source.definition.name, following(page))
    with conn.transaction():
        registry.hold_fence(
            conn,
            source.definition.name,
            epoch=epoch,
            definition_rev=source.definition_rev,
        )
""",
            ),
        ),
    ),
    Mutant(
        name="no_tombstone",
        story="A row that goes to another owner leaves no tombstone under the old key.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.visibility.feed",
                old="    held.take(written.rowcount)\n",
                new="""\
    held.take(written.rowcount)
    conn.execute(
        sql.SQL(
            "DELETE FROM {feed} f WHERE NOT f.live AND EXISTS"
            " (SELECT FROM {feed} o WHERE o.row_id = f.row_id AND o.live)"
        ).format(feed=rule.partition)
    )
""",
            ),
        ),
    ),
    Mutant(
        name="torn_download",
        story="A checkpoint line is sent before the rows that it vouches for.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.visibility.answer",
                old="            yield from piece.spool.drain()\n",
                new="""\
            waiting: list[Message] = []
            for message in piece.spool.drain():
                if hasattr(message, "deletes"):
                    waiting.append(message)
                    continue
                if getattr(message, "complete", False):
                    yield from waiting
                    waiting = []
                yield message
                yield from waiting
                waiting = []
""",
            ),
        ),
    ),
    Mutant(
        name="keys_before_clock",
        story="A page's wanted keys are derived before the clock is locked.",
        edits=(
            Edit(
                module="replication.services.commit",
                old="    held = clock.lock(conn)\n",
                new="""\
    derive.feed.derive_early(conn, source)
    held = clock.lock(conn)
""",
            ),
            Edit(
                module="replication.visibility.feed",
                old="def leave_for_catchup(\n",
                new="""\
def derive_early(conn: psycopg.Connection, source: SourceTable) -> None:
    from replication.staging import registry
    from replication.visibility import key_values, rules

    living = rules.living(conn)
    touched = sql.SQL("(SELECT DISTINCT row_id FROM touched)")
    key_values.note(conn, source, living, rows=touched)
    tables = {t.definition.name: t.definition for t in registry.tables(conn)}
    for rule in living:
        if rule.source_id == source.id:
            name = sql.Identifier(f"early_{rule.id}")
            keys = wanted.wanted_keys(rule, source.definition, tables, rows=touched)
            conn.execute(
                sql.SQL("CREATE TEMP TABLE {name} ON COMMIT DROP AS {keys}").format(
                    name=name, keys=keys
                )
            )


def _early(
    conn: psycopg.Connection,
    rule: Rule,
    table: TableDef,
    tables: Mapping[str, TableDef],
) -> sql.Composable:
    found = conn.execute(
        "SELECT to_regclass(%s)", (f"pg_temp.early_{rule.id}",)
    ).fetchone()
    if found is None or found[0] is None:
        return wanted.wanted_keys(rule, table, tables, rows=sql.SQL("touched_once"))
    return sql.SQL("SELECT * FROM {}").format(sql.Identifier(f"early_{rule.id}"))


def leave_for_catchup(
""",
            ),
            Edit(
                module="replication.visibility.feed",
                old="""\
                wanted.wanted_keys(rule, table, tables, rows=sql.SQL("touched_once")),
""",
                new="""\
                _early(conn, rule, table, tables),
""",
            ),
        ),
    ),
    Mutant(
        name="basis_last_issued",
        story="A device is taken to hold what it was last sent, not what it presents.",
        edits=(
            Edit(
                module="replication.visibility.answer",
                old="class Answer:\n",
                new="""\
_last_issued: dict[UUID, Checkpoint] = {}


class Answer:
""",
            ),
            Edit(
                module="replication.visibility.answer",
                old="                self._bytes += piece.size\n",
                new="""\
                _last_issued[self._request.device_id] = piece.checkpoint()
                self._bytes += piece.size
""",
            ),
            Edit(
                module="replication.visibility.answer",
                old="        return holdings.of_checkpoint(self._checkpoint, sets)\n",
                new="""\
        held = holdings.of_checkpoint(self._checkpoint, sets)
        last = _last_issued.get(self._request.device_id)
        if last is None or last.epoch != reading.epoch:
            return held
        later = holdings.of_checkpoint(
            last, subscriptions.grant_sets(conn, reading.epoch, last.grants_ids())
        )
        for name in held.keys() & later.keys():
            held[name].grants = later[name].grants
        return held
""",
            ),
        ),
    ),
    Mutant(
        name="delete_despite_other_key",
        story="A tombstone is sent as a delete though another key holds the row.",
        edits=(
            Edit(
                module="replication.visibility.entries",
                old="SELECT e.row_id, e.rev FROM",
                new="SELECT e.row_id, e.rev, e.live FROM",
            ),
            Edit(
                module="replication.visibility.entries",
                old="SELECT x.row_id, x.rev FROM",
                new="SELECT x.row_id, x.rev, x.live FROM",
            ),
            Edit(
                module="replication.visibility.rows",
                old="(SELECT DISTINCT row_id FROM m)",
                new="(SELECT row_id, bool_and(live) AS live FROM m GROUP BY row_id)",
            ),
            Edit(
                module="replication.visibility.rows",
                old="(SELECT d.row_id, {visible} AS visible FROM d)",
                new="(SELECT d.row_id, d.live AND {visible} AS visible FROM d)",
            ),
        ),
    ),
    Mutant(
        name="sweep_unchanged",
        story="A full load takes rows that did not change for rows that are gone.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.staging.merge",
                old="(INSERT INTO {} SELECT row_id FROM i)",
                new="(INSERT INTO {} SELECT row_id FROM i WHERE false)",
            ),
            Edit(
                module="replication.staging.merge",
                old="    return [rows[place - 1] for (place,) in found]\n",
                new="""\
    news = [rows[place - 1] for (place,) in found]
    if notes_seen:
        _note_seen(conn, source, [codec.key(row) for row in news])
    return news
""",
            ),
        ),
    ),
    Mutant(
        name="purged_too_early",
        story="Tombstones newer than the horizon are purged.",
        edits=(
            Edit(
                module="replication.services.housekeeping",
                old='"DELETE FROM {} WHERE NOT live AND rev <= %s"',
                new='"DELETE FROM {} WHERE NOT live AND %s IS NOT NULL"',
            ),
        ),
    ),
    Mutant(
        name="segment_not_topped_up",
        story="Stored rows are handed out as they were, whatever moved since.",
        edits=(
            Edit(
                module="replication.visibility.segments",
                old="return Run(segment=segment, blocks=blocks, moved=moved)",
                new="return Run(segment=segment, blocks=blocks, moved=())",
            ),
        ),
    ),
    Mutant(
        name="segment_below_horizon",
        story="A segment is used though tombstones that it needs may be gone.",
        edits=(
            Edit(
                module="replication.visibility.segments",
                old='"horizon": reading.horizon,',
                new='"horizon": 0,',
            ),
        ),
    ),
)
