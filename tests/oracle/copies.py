"""Copies of a whole staging database, kept in schemas of their own."""

from __future__ import annotations

from typing import Any

import psycopg


def _columns(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """Stored columns of every table of a staging database, feeds included."""
    rows = conn.execute(
        "SELECT format('%s.%s', n.nspname, c.relname),"
        " string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " AND NOT a.attisdropped AND a.attgenerated = ''"
        " WHERE n.nspname IN ('data', 'sync') AND c.relkind = 'r' GROUP BY 1"
    )
    return dict(rows.fetchall())


def rule_ids(conn: psycopg.Connection[Any]) -> list[int]:
    return [rule for (rule,) in conn.execute("SELECT id FROM sync.rule ORDER BY id")]


def keep(conn: psycopg.Connection[Any], name: str) -> None:
    """Copy all tables of staging into a schema of this name."""
    kept, columns = _tables(conn, name), _columns(conn)
    statements = [f"CREATE SCHEMA IF NOT EXISTS {name}"]
    statements += [f'DROP TABLE {name}."{table}"' for table in kept - columns.keys()]
    for table, names in columns.items():
        if table in kept:
            statements.append(f'DELETE FROM {name}."{table}"')
            statements.append(
                f'INSERT INTO {name}."{table}" SELECT {names} FROM {table}'
            )
        else:
            statements.append(
                f'CREATE TABLE {name}."{table}" AS SELECT {names} FROM {table}'
            )
    with conn.transaction():
        conn.execute("; ".join(statements))


def _tables(conn: psycopg.Connection[Any], name: str) -> set[str]:
    found = conn.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s", (name,)
    )
    return {table for (table,) in found}


def restore(conn: psycopg.Connection[Any], name: str) -> None:
    """Make staging what it was; feeds that the copy lacks are dropped."""
    kept = _tables(conn, name)
    columns = _columns(conn)
    drops = [f"DROP TABLE {table}" for table in sorted(columns.keys() - kept)]
    # Rules refer to sources.
    emptied = sorted(kept, key=lambda table: table != "sync.rule")
    deletes = [f"DELETE FROM {table}" for table in emptied]
    inserts = [
        f"INSERT INTO {table} ({columns[table]}) OVERRIDING SYSTEM VALUE"
        f' SELECT * FROM {name}."{table}"'
        for table in reversed(emptied)
    ]
    counters = [
        f"SELECT setval(pg_get_serial_sequence('sync.{table}', 'id'),"
        f" (SELECT coalesce(max(id), 0) + 1 FROM sync.{table}), false)"
        for table in ("rule", "key_value")
    ]
    with conn.transaction():
        conn.execute("; ".join([*drops, *deletes, *inserts, *counters]))
