"""Change tracking: whole loads, deltas after a token, and tokens that expire.

A run covers what happened up to the version at its first page. A load hands
out all rows in order of arrival; a delta first the changed rows by version,
then the deletes. So a row that was created and deleted between two runs
appears as a delete only, and one that was deleted and created again with the
same id appears as both, the delete last although it is older.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sandbox.contoso.errors import (
    EXPIRED_VERSION_STAMP,
    TRACKING_OFF,
    WebApiError,
    bad_query,
)
from sandbox.contoso.paging import Cookie
from sandbox.contoso.schema import Table
from sandbox.contoso.store import current_version, meta, sql_name

REFUSED_OPTIONS = ("$filter", "$orderby", "$expand", "$top")
DEFAULT_TOKEN_LIFE = timedelta(days=7)

_TOKEN = re.compile(r"(\d{1,18})!(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)")
_TIME = "%m/%d/%Y %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Token:
    """All changes up to `version` are known, as of a moment."""

    version: int
    at: datetime

    def write(self) -> str:
        return f"{self.version}!{self.at.strftime(_TIME)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A load (`since` is None) or a delta, from its first page to its last."""

    since: int | None
    until: int
    started_at: datetime
    # The last place (load) or version (delta) that was handed out.
    upserts_after: int = 0
    deletes_after: int = 0
    page_number: int = 1

    @property
    def token(self) -> Token:
        return Token(self.until, self.started_at)

    def cookie(self, table: Table, *, upserts_after: int, deletes_after: int) -> Cookie:
        return Cookie(
            table=table.name,
            page_number=self.page_number + 1,
            is_tracking=True,
            place={
                "s": -1 if self.since is None else self.since,
                "v": self.until,
                "t": int(self.started_at.timestamp()),
                "u": upserts_after,
                "d": deletes_after,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """One page of a run: the next cookie, or the token when it was the last."""

    bodies: Sequence[bytes]
    deleted: Sequence[str] = field(default_factory=tuple)
    next_cookie: Cookie | None = None
    token: Token | None = None


def insist_on_tracking(table: Table) -> None:
    """:raises WebApiError: the table does not track changes; 400."""
    if not table.tracked:
        raise WebApiError(
            400,
            TRACKING_OFF,
            f"Change tracking is not enabled for entity '{table.name}'.",
        )


def refuse_options(names: Sequence[str]) -> None:
    """:raises WebApiError: an option that tracking does not take; 400."""
    for name in REFUSED_OPTIONS:
        if name in names:
            raise bad_query(
                f'The "{name}" query parameter isn\'t supported when'
                " Change Tracking is enabled."
            )


def read_token(text: str) -> Token:
    """:raises WebApiError: malformed; 400."""
    match = _TOKEN.fullmatch(text)
    try:
        if match is not None:
            at = datetime.strptime(match[2], _TIME).replace(tzinfo=UTC)
            return Token(int(match[1]), at)
    except ValueError:
        pass
    raise bad_query(f"The delta token '{text}' is malformed.")


def begin(connection: sqlite3.Connection, *, since: Token | None, now: datetime) -> Run:
    return Run(
        since=None if since is None else since.version,
        until=current_version(connection),
        started_at=now.replace(microsecond=0),
        deletes_after=0 if since is None else since.version,
        upserts_after=0 if since is None else since.version,
    )


def resume(cookie: Cookie) -> Run:
    place = cookie.place
    return Run(
        since=None if place["s"] < 0 else place["s"],
        until=place["v"],
        started_at=datetime.fromtimestamp(place["t"], tz=UTC),
        upserts_after=place["u"],
        deletes_after=place["d"],
        page_number=cookie.page_number,
    )


def insist_on_fresh(
    connection: sqlite3.Connection, table: Table, token: Token, *, now: datetime
) -> None:
    """:raises WebApiError: too old, from before a metadata change, or from another
    time line (the organization was restored); by default 400."""
    life = timedelta(
        seconds=float(
            meta(connection, "token_life") or DEFAULT_TOKEN_LIFE.total_seconds()
        )
    )
    oldest = max(
        int(meta(connection, name) or -1)
        for name in ("expired_through", f"expired_through:{table.name}")
    )
    in_range = oldest < token.version <= current_version(connection)
    if in_range and now - token.at <= life:
        return
    raise WebApiError(
        int(meta(connection, "expiry_status") or 400),
        EXPIRED_VERSION_STAMP,
        "Version stamp associated with the client has expired."
        " Please perform a full sync.",
    )


def changes(
    connection: sqlite3.Connection, table: Table, run: Run, *, size: int
) -> Changes:
    """Return the next page of the run."""
    if run.since is None:
        return _load(connection, table, run, size=size)
    return _delta(connection, table, run, size=size)


def pending(connection: sqlite3.Connection, table: Table, *, since: Token) -> int:
    """Return how many changes there are after a token."""
    changed = connection.execute(
        f"SELECT count(*) FROM {sql_name(table)} WHERE version > ?", (since.version,)
    ).fetchone()[0]
    gone = connection.execute(
        "SELECT count(*) FROM deleted WHERE table_name = ? AND version > ?",
        (table.name, since.version),
    ).fetchone()[0]
    return int(changed) + int(gone)


def _load(
    connection: sqlite3.Connection, table: Table, run: Run, *, size: int
) -> Changes:
    rows = connection.execute(
        f"SELECT place, CAST(body AS BLOB) FROM {sql_name(table)}"
        " WHERE place > ? ORDER BY place LIMIT ?",
        (run.upserts_after, size + 1),
    ).fetchall()
    bodies = [body for _, body in rows[:size]]
    if len(rows) <= size:
        return Changes(bodies=bodies, token=run.token)
    cookie = run.cookie(table, upserts_after=rows[size - 1][0], deletes_after=0)
    return Changes(bodies=bodies, next_cookie=cookie)


def _delta(
    connection: sqlite3.Connection, table: Table, run: Run, *, size: int
) -> Changes:
    upserts = connection.execute(
        f"SELECT version, CAST(body AS BLOB) FROM {sql_name(table)}"
        " WHERE version > ? AND version <= ? ORDER BY version LIMIT ?",
        (run.upserts_after, run.until, size + 1),
    ).fetchall()
    room = max(0, size - len(upserts))
    deletes = connection.execute(
        "SELECT version, id FROM deleted WHERE table_name = ?"
        " AND version > ? AND version <= ? ORDER BY version LIMIT ?",
        (table.name, run.deletes_after, run.until, room + 1),
    ).fetchall()
    bodies = [body for _, body in upserts[:size]]
    deleted = [row_id for _, row_id in deletes[:room]]
    if len(upserts) <= size and len(deletes) <= room:
        return Changes(bodies=bodies, deleted=deleted, token=run.token)
    cookie = run.cookie(
        table,
        upserts_after=upserts[len(bodies) - 1][0] if bodies else run.upserts_after,
        deletes_after=deletes[len(deleted) - 1][0] if deleted else run.deletes_after,
    )
    return Changes(bodies=bodies, deleted=deleted, next_cookie=cookie)
