"""The edits in the database: in which order they go out, and what became of them.

Nothing here opens or ends the transaction, except that of whoever calls it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from uuid import uuid4

from sandbox.device.edits import Body, Edit, Outcome, Status, body_of
from sandbox.device.values import compact_json

VOID: Body = {"op": "void"}
_COLUMNS = "number, id, sequence, status, was_sent, body, outcome"


def add(connection: sqlite3.Connection, body: Body) -> Edit:
    """Queue an edit; it takes the next sequence."""
    return _insert(connection, body, sequence=_take_sequence(connection))


def edits(
    connection: sqlite3.Connection, condition: str = "TRUE", *values: object
) -> list[Edit]:
    """Return the edits that meet a condition in SQL, in the order of making."""
    query = f"SELECT {_COLUMNS} FROM waystation_edits WHERE {condition} ORDER BY number"
    return [_edit_of(row) for row in connection.execute(query, values)]


def edit(connection: sqlite3.Connection, number: int) -> Edit | None:
    return next(iter(edits(connection, "number = ?", number)), None)


def of_row(connection: sqlite3.Connection, table: str, key: str) -> list[Edit]:
    return edits(connection, "table_name = ? AND row_key = ?", table, key)


def next_run(connection: sqlite3.Connection, *, limit: int) -> list[Edit]:
    """Return what has to be sent next: edits whose sequences have no gap."""
    query = (
        f"SELECT {_COLUMNS} FROM waystation_edits WHERE status = 'queued'"
        " ORDER BY sequence LIMIT ?"
    )
    found = [_edit_of(row) for row in connection.execute(query, [limit])]
    run: list[Edit] = []
    for one in found:
        if run and one.sequence != (run[-1].sequence or 0) + 1:
            break
        run.append(one)
    return run


def count(connection: sqlite3.Connection, *statuses: Status) -> int:
    marks = ", ".join("?" * len(statuses))
    query = f"SELECT count(*) FROM waystation_edits WHERE status IN ({marks})"
    return int(connection.execute(query, statuses).fetchone()[0])


def note_sent(connection: sqlite3.Connection, sent: Iterable[Edit]) -> None:
    """Note, before they are sent, that the service may know them from now on."""
    connection.executemany(
        "UPDATE waystation_edits SET was_sent = 1 WHERE number = ?",
        [(one.number,) for one in sent],
    )


def record(
    connection: sqlite3.Connection,
    outcomes: Iterable[Outcome],
    *,
    is_with_rows: bool = False,
) -> None:
    """Note what the service says; edits that nobody knows any more are passed over.

    Answers may overtake each other: news that is older by its nature changes nothing.
    `is_with_rows`: it came among the rows, so that the effect has come as well.
    """
    heard = [(o.status, compact_json(o.document), o.id) for o in outcomes]
    connection.executemany(
        "UPDATE waystation_edits SET status = ?1, outcome = ?2, was_sent = 1"
        " WHERE id = ?3 AND status <> 'applied'"
        " AND (?1 <> 'accepted' OR status = 'queued')",
        heard,
    )
    if is_with_rows:
        connection.executemany(
            "UPDATE waystation_edits SET is_with_rows = 1 WHERE id = ?",
            [(id_,) for *_, id_ in heard],
        )


def cover(connection: sqlite3.Connection, through: int) -> None:
    """Let go of applied edits: up to this sequence the synced rows contain them.

    To be called when the synced rows are all that the user may see.
    """
    connection.execute(
        "DELETE FROM waystation_edits WHERE status = 'applied'"
        " AND (sequence IS NULL OR sequence <= ?)",
        [through],
    )
    # The synced row stands for it now, and goes when the user may not see it any more.
    connection.execute(
        "UPDATE waystation_edits SET outcome = json_remove(outcome, '$.row')"
        " WHERE status = 'conflict' AND is_with_rows"
    )
    # Settled, but the outcome never came: asking again brings it.
    connection.execute(
        "UPDATE waystation_edits SET status = 'queued'"
        " WHERE status = 'accepted' AND sequence <= ?",
        [through],
    )


def cover_what_came(connection: sqlite3.Connection) -> None:
    """Let go of applied edits whose outcome came among the rows, now that all came.

    An answer that has nothing to say does not tell up to which sequence.
    """
    connection.execute(
        "DELETE FROM waystation_edits WHERE status = 'applied' AND is_with_rows"
    )


def last_accepted(connection: sqlite3.Connection) -> Edit | None:
    """Return the newest edit of which the service should know without more ado."""
    newest = (
        "SELECT max(sequence) FROM waystation_edits"
        " WHERE status IN ('accepted', 'applied')"
    )
    return next(iter(edits(connection, f"sequence = ({newest})")), None)


def restart(connection: sqlite3.Connection) -> None:
    """Queue again what is not confirmed: the service may have forgotten it.

    What is settled gives its sequence up, which belongs to a former history.
    """
    connection.execute(
        "UPDATE waystation_edits SET status = 'queued'"
        " WHERE status IN ('accepted', 'parked') AND sequence IS NOT NULL"
    )
    connection.execute(
        "UPDATE waystation_edits SET sequence = NULL WHERE status <> 'queued'"
    )


def align(connection: sqlite3.Connection, *, expected: int) -> None:
    """Make the first queued edit the one that the service expects.

    Sequences that are missing in between are taken by voids. Where the service is
    ahead, other edits have taken these sequences: ours move behind them.
    """
    queued = edits(connection, "status = 'queued'")
    first = min((one.sequence or 0 for one in queued), default=expected)
    if first < expected:
        _renumber(connection, queued, start=expected)
    if first > expected:
        connection.execute(
            "UPDATE waystation_edits SET sequence = NULL WHERE sequence >= ?"
            " AND sequence < ? AND status NOT IN ('queued', 'accepted')",
            [expected, first],
        )
        for sequence in range(expected, first):
            _insert(connection, VOID, sequence=sequence)


def withdraw(connection: sqlite3.Connection, edit: Edit) -> None:
    """Let a void take the place of an edit that was never sent."""
    drop(connection, [edit])
    assert edit.sequence is not None
    _insert(connection, VOID, sequence=edit.sequence)


def refuse(
    connection: sqlite3.Connection, edit: Edit, *, reason: str, message: str
) -> None:
    """Reject an edit that cannot be sent; a void takes its place."""
    outcome = {"status": "rejected", "reason": reason, "message": message}
    connection.execute(
        "UPDATE waystation_edits SET status = 'rejected', outcome = ?, sequence = NULL"
        " WHERE number = ?",
        [compact_json(outcome), edit.number],
    )
    assert edit.sequence is not None
    _insert(connection, VOID, sequence=edit.sequence)


def replace(connection: sqlite3.Connection, edit: Edit, body: Body) -> Edit:
    """Queue a failed edit anew, as one that the service has not seen."""
    added = add(connection, body)
    connection.execute(
        "UPDATE waystation_file_pieces SET edit = ? WHERE edit = ?",
        [added.number, edit.number],
    )
    drop(connection, [edit])
    return added


def drop(connection: sqlite3.Connection, gone: Iterable[Edit]) -> None:
    connection.executemany(
        "DELETE FROM waystation_edits WHERE number = ?",
        [(one.number,) for one in gone],
    )


def start_at(connection: sqlite3.Connection, sequence: int) -> None:
    """Take over from the service where sequences stand, if nothing else is known."""
    if not count(connection, Status.QUEUED, Status.ACCEPTED):
        _put_next(connection, max(sequence, _next_sequence(connection)))


def _insert(connection: sqlite3.Connection, body: Body, *, sequence: int) -> Edit:
    number = connection.execute(
        "INSERT INTO waystation_edits (id, sequence, status, table_name, row_key, body)"
        " VALUES (?, ?, 'queued', ?, ?, ?) RETURNING number",
        [
            str(uuid4()),
            sequence,
            body.get("table"),
            body.get("key"),
            compact_json(body),
        ],
    ).fetchone()[0]
    added = edit(connection, number)
    assert added is not None
    return added


def _renumber(
    connection: sqlite3.Connection, queued: Sequence[Edit], *, start: int
) -> None:
    ordered = sorted(queued, key=lambda one: one.sequence or 0)
    # Twice, because two edits may not have one sequence in between.
    for sign in (-1, 1):
        connection.executemany(
            "UPDATE waystation_edits SET sequence = ? WHERE number = ?",
            [(sign * (start + at), one.number) for at, one in enumerate(ordered)],
        )
    _put_next(connection, start + len(ordered))


def _take_sequence(connection: sqlite3.Connection) -> int:
    sequence = _next_sequence(connection)
    _put_next(connection, sequence + 1)
    return sequence


def _next_sequence(connection: sqlite3.Connection) -> int:
    found = connection.execute(
        "SELECT value FROM waystation_meta WHERE name = 'next_sequence'"
    ).fetchone()
    return int(found[0]) if found else 1


def _put_next(connection: sqlite3.Connection, sequence: int) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO waystation_meta VALUES ('next_sequence', ?)",
        [str(sequence)],
    )


def _edit_of(row: tuple[object, ...]) -> Edit:
    number, id_, sequence, status, was_sent, body, outcome = row
    assert isinstance(number, int)
    return Edit(
        number=number,
        id=str(id_),
        sequence=sequence if isinstance(sequence, int) else None,
        status=Status(str(status)),
        was_sent=bool(was_sent),
        body=body_of(str(body)),
        outcome=json.loads(str(outcome)),
    )
