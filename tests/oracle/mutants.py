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


MUTANTS = (
    Mutant(
        name="cursor_first",
        story="The cursor is saved before the page: a crash in between loses the page.",
        edits=(
            Edit(
                module="replication.services.commit",
                old="""\
    with conn.transaction():
        registry.hold_fence(conn, source.definition.name, epoch=epoch)
""",
                new="""\
    registry.store_cursor(conn, source.definition.name, following(page))
    with conn.transaction():
        registry.hold_fence(conn, source.definition.name, epoch=epoch)
""",
            ),
        ),
    ),
    Mutant(
        name="no_tombstone",
        story="A row that goes to another owner leaves no tombstone under the old key.",
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
    feed.derive_early(conn, table, rules.living(conn, source.id))
    held = clock.lock(conn)
""",
            ),
            Edit(
                module="replication.visibility.feed",
                old="def note_keys(\n",
                new="""\
def derive_early(
    conn: psycopg.Connection, table: TableDef, living: Iterable[Rule]
) -> None:
    note_keys(conn, table, _TOUCHED)
    for rule in living:
        name = sql.Identifier(f"early_{rule.id}")
        conn.execute(
            sql.SQL(
                "CREATE TEMP TABLE {name} ON COMMIT DROP AS {wanted}"
            ).format(name=name, wanted=rules.wanted_keys(rule, table, _TOUCHED))
        )


def _early(
    conn: psycopg.Connection, rule: Rule, table: TableDef
) -> sql.Composable:
    found = conn.execute(
        "SELECT to_regclass(%s)", (f"pg_temp.early_{rule.id}",)
    ).fetchone()
    if found is None or found[0] is None:
        return rules.wanted_keys(rule, table, sql.SQL("touched_once"))
    return sql.SQL("SELECT * FROM {}").format(sql.Identifier(f"early_{rule.id}"))


def note_keys(
""",
            ),
            Edit(
                module="replication.visibility.feed",
                old='wanted=rules.wanted_keys(rule, table, sql.SQL("touched_once"))',
                new="wanted=_early(conn, rule, table)",
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
                module="replication.visibility.rows",
                old="(SELECT e.row_id, e.rev FROM",
                new="(SELECT e.row_id, e.rev, e.live FROM",
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
)

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
