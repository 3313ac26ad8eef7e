"""By which state of the source's metadata staging's tables were made."""

from __future__ import annotations

import psycopg


def stamp(conn: psycopg.Connection) -> str | None:
    """None: they have to be compared with the metadata again."""
    row = conn.execute("SELECT stamp FROM sync.metadata").fetchone()
    return row[0] if row else None


def note(conn: psycopg.Connection, found: str | None) -> None:
    conn.execute(
        "INSERT INTO sync.metadata (stamp) VALUES (%s) ON CONFLICT (singleton)"
        " DO UPDATE SET stamp = excluded.stamp, read_at = now()",
        (found,),
    )
