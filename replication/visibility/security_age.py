"""Security tables that were last complete too long ago are not to be believed."""

from __future__ import annotations

import psycopg
from psycopg import sql

from replication.domain.tables import MORE_SECURITY_TABLES, SECURITY_TABLES

# Older ones might hand out what was revoked long ago.
SECURITY_STALE_AFTER = "24 hours"

# Settings of users decide what a filter means to them, and reveal nothing.
_REVEALING = tuple(name for name in MORE_SECURITY_TABLES if name != "usersettings")

# A condition that needs no table beside it. What was never complete says nothing about
# anybody's rights; the tables that not every source has grant nothing until they are.
IS_STALE = sql.SQL(
    "EXISTS (SELECT FROM sync.source"
    " WHERE (name = ANY ({all}::text[]) AND last_complete_at < now() - {age}::interval)"
    " OR (name = ANY ({needed}::text[]) AND last_complete_at IS NULL))"
).format(
    all=sql.Literal("{" + ",".join((*SECURITY_TABLES, *_REVEALING)) + "}"),
    age=sql.Literal(SECURITY_STALE_AFTER),
    needed=sql.Literal("{" + ",".join(SECURITY_TABLES) + "}"),
)


def is_security_stale(conn: psycopg.Connection) -> bool:
    return conn.execute(sql.SQL("SELECT {}").format(IS_STALE)).fetchone() != (False,)
