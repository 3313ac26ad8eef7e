"""Bring a table's definition, and the columns of its relation, to what is planned.

Readers find the relation by the definition that their snapshot shows. So a relation
keeps its name as long as a snapshot may name it, and another one gets another name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import psycopg
from psycopg import sql

from provisioning import failpoints
from replication.domain.schema_changes import FIXED, SchemaPlan
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.staging import clock, columns, names, registry, schema
from replication.staging.registry import SourceTable
from replication.staging.sweep import begin_full_load

# Longer than any snapshot that may still name a relation.
READERS_ARE_GONE = timedelta(hours=1)

# Whoever waits for a table lets all others wait behind him, hence not for long.
_SHORT = "SET LOCAL lock_timeout = '2s'"


def left_over(conn: psycopg.Connection, source_id: int) -> dict[str, ColumnType]:
    """Retired columns that the table's relation still has."""
    found = conn.execute(
        "SELECT column_name, type FROM sync.retired_column WHERE source_id = %s",
        (source_id,),
    )
    return {name: ColumnType(kind) for name, kind in found}


def apply(conn: psycopg.Connection, source: SourceTable, plan: SchemaPlan) -> bool:
    """Carry the plan out in one transaction; False when nothing was to be done.

    :raises LockNotAvailable: readers kept the relation for too long; try again.
    :raises DefinitionMovedError: the plan was made for another definition.
    """
    if plan.is_empty and source.coming is None:
        return False
    with conn.transaction():
        conn.execute(_SHORT)
        _hold(conn, source)
        if not source.is_complete:
            changed = _begin_anew(conn, source, plan)
        else:
            changed = _change(conn, source, plan)
        failpoints.reach("schema.stored")
    failpoints.reach("schema.applied")
    return changed


def withdraw(conn: psycopg.Connection, source: SourceTable) -> None:
    """The source has the table no longer: it leaves every model, and its rules end
    when they are looked at next. The relation stays."""
    with conn.transaction():
        conn.execute(_SHORT)
        _hold(conn, source)
        _drop_coming(conn, source)
        conn.execute(
            "UPDATE sync.source SET withdrawn_at = now(), is_complete = false,"
            " loading = 'first', cursor_kind = NULL, cursor_link = NULL,"
            " coming = NULL, coming_way = NULL, definition_rev = definition_rev + 1"
            " WHERE id = %s",
            (source.id,),
        )
        _tell_devices(conn)
        failpoints.reach("schema.withdrawn")


def bring_back(conn: psycopg.Connection, source: SourceTable) -> None:
    """A table that was withdrawn is there again, and is loaded from nothing."""
    with conn.transaction():
        conn.execute(_SHORT)
        _hold(conn, source)
        conn.execute(
            "UPDATE sync.source SET withdrawn_at = NULL, missing_since = NULL,"
            " definition_rev = definition_rev + 1 WHERE id = %s",
            (source.id,),
        )
        begin_full_load(conn, source)


def adopt(conn: psycopg.Connection, source: SourceTable) -> None:
    """From now on the table is served in the form that its pull has loaded.

    `source` as pulls see it; the caller holds the fence, and locks the clock.
    """
    assert source.served is not None
    table = source.definition
    if source.replaces:
        retire_relation(conn, source.served)
        count = conn.execute(
            sql.SQL("SELECT count(*) FROM {}").format(schema.relation(table))
        ).fetchone()
        assert count is not None
        conn.execute(
            "UPDATE sync.source SET row_count = %s WHERE id = %s",
            (count[0], source.id),
        )
    # Columns of the former form that this one lacks are retired from now on.
    _note_retired(conn, source, _lost(source.served, table))
    _forget_retired(conn, source, (column.name for column in table.columns))
    conn.execute(
        "UPDATE sync.source SET definition = coming, relation = %s, coming = NULL,"
        " coming_way = NULL, definition_rev = definition_rev + 1 WHERE id = %s",
        (schema.relation_name(table), source.id),
    )


def copy_indexes(conn: psycopg.Connection, before: TableDef, after: TableDef) -> None:
    """Let rows of the new relation be found by the columns that served for that."""
    found = conn.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a"
        " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indrelid = to_regclass(%s) AND NOT i.indisprimary",
        (schema.relation(before).as_string(conn),),
    )
    by_identifier = {names.identifier(c.name): c.name for c in after.columns}
    for (name,) in found.fetchall():
        if name in by_identifier:
            schema.index(conn, after, by_identifier[name])
    conn.execute(sql.SQL("ANALYZE {}").format(schema.relation(after)))


def retire_relation(conn: psycopg.Connection, table: TableDef) -> None:
    conn.execute(
        "INSERT INTO sync.retired_relation (relation) VALUES (%s)"
        " ON CONFLICT (relation) DO UPDATE SET retired_at = now()",
        (schema.relation_name(table),),
    )


def _hold(conn: psycopg.Connection, source: SourceTable) -> None:
    """The table's row, which fences pages off; as it was when it was read."""
    row = conn.execute(
        "SELECT definition_rev FROM sync.source WHERE id = %s FOR UPDATE", (source.id,)
    ).fetchone()
    if row != (source.definition_rev,):
        message = f"The definition of table {source.definition.name} changed."
        raise registry.DefinitionMovedError(message)


def _change(conn: psycopg.Connection, source: SourceTable, plan: SchemaPlan) -> bool:
    coming = plan.coming
    is_under_way = _is_same(coming, source.coming) and plan.way == (
        source.coming_way or "none"
    )
    if is_under_way and plan.served == source.definition:
        return False
    if not is_under_way:
        _drop_coming(conn, source)
        coming = _make_room(conn, source, plan)
    else:
        coming = source.coming
    _note_retired(conn, source, plan.retired)
    _store(conn, source, served=plan.served, coming=coming, way=plan.way)
    staged = registry.table(conn, source.definition.name)
    assert staged is not None
    if plan.pulls_anew or not is_under_way:
        begin_full_load(conn, staged.pulled)
    if plan.served != source.definition:
        _tell_devices(conn)
    return True


def _is_same(planned: TableDef | None, present: TableDef | None) -> bool:
    if planned is None or present is None:
        return planned is present
    return planned == replace(present, relation=planned.relation)


def _make_room(
    conn: psycopg.Connection, source: SourceTable, plan: SchemaPlan
) -> TableDef | None:
    """What the rows are loaded into: new columns, or a relation of its own."""
    coming = plan.coming
    if coming is None:
        return None
    if plan.way == "replace":
        number = source.definition_rev + 1
        name = names.identifier(f"{source.definition.name}~{number}")
        coming = replace(coming, relation=name)
        conn.execute(schema.create_table(coming))
        return coming
    have = {column.name for column in source.definition.columns}
    for column in coming.columns:
        if column.name not in have:
            conn.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}").format(
                    schema.relation(coming),
                    columns.quoted(column.name),
                    columns.stored_type(column),
                )
            )
    return coming


def _begin_anew(
    conn: psycopg.Connection, source: SourceTable, plan: SchemaPlan
) -> bool:
    """Nobody has seen the table yet, so nothing of it needs to stay."""
    table = replace(plan.coming or plan.served, retired=())
    if table == source.definition:
        return False
    if table.name in FIXED:
        table = replace(table, relation=None)
        conn.execute(sql.SQL("DROP TABLE {}").format(schema.relation(table)))
    else:
        retire_relation(conn, source.definition)
        number = source.definition_rev + 1
        name = names.identifier(f"{table.name}~{number}")
        table = replace(table, relation=name)
    conn.execute(schema.create_table(table))
    conn.execute("DELETE FROM sync.retired_column WHERE source_id = %s", (source.id,))
    _store(conn, source, served=table, coming=None, way="none")
    staged = registry.table(conn, table.name)
    assert staged is not None
    begin_full_load(conn, staged)
    return True


def _store(
    conn: psycopg.Connection,
    source: SourceTable,
    *,
    served: TableDef,
    coming: TableDef | None,
    way: str,
) -> None:
    conn.execute(
        "UPDATE sync.source SET definition = %s, relation = %s, coming = %s,"
        " coming_way = %s, definition_rev = definition_rev + 1 WHERE id = %s",
        (
            registry.encode(served),
            schema.relation_name(served),
            registry.encode(coming) if coming else None,
            way if coming else None,
            source.id,
        ),
    )


def _drop_coming(conn: psycopg.Connection, source: SourceTable) -> None:
    """Nobody but the pull, which the table's row keeps off, knows what was begun."""
    if source.coming is None:
        return
    if source.coming_way == "fill":
        _note_retired(conn, source, _lost(source.coming, source.definition))
        return
    conn.execute(
        sql.SQL("DROP TABLE IF EXISTS {}").format(schema.relation(source.coming))
    )


def _lost(before: TableDef, after: TableDef) -> tuple[ColumnDef, ...]:
    present = {column.name for column in after.columns}
    return tuple(c for c in before.columns if c.name not in present)


def _note_retired(
    conn: psycopg.Connection, source: SourceTable, retired: Iterable[ColumnDef]
) -> None:
    for column in retired:
        conn.execute(
            "INSERT INTO sync.retired_column (source_id, column_name, type)"
            " VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (source.id, column.name, column.type.value),
        )


def _forget_retired(
    conn: psycopg.Connection, source: SourceTable, served: Iterable[str]
) -> None:
    conn.execute(
        "DELETE FROM sync.retired_column WHERE source_id = %s"
        " AND column_name = ANY(%s)",
        (source.id, list(served)),
    )


def _tell_devices(conn: psycopg.Connection) -> None:
    held = clock.lock(conn)
    held.changed_access = True
    clock.store(conn, held)


# Housekeeping


def tidy(conn: psycopg.Connection, *, retention: timedelta) -> None:
    """Drop relations that no snapshot names, and columns that no checkpoint does."""
    with conn.transaction():
        conn.execute(_SHORT)
        gone = conn.execute(
            "DELETE FROM sync.retired_relation WHERE retired_at < now() - %s"
            " RETURNING relation",
            (READERS_ARE_GONE,),
        ).fetchall()
        for (relation,) in gone:
            conn.execute(
                sql.SQL("DROP TABLE IF EXISTS {}").format(
                    sql.Identifier("data", relation)
                )
            )
    for source in registry.tables(conn):
        if source.coming is None:
            _drop_columns(conn, source, retention=retention)


def _drop_columns(
    conn: psycopg.Connection, source: SourceTable, *, retention: timedelta
) -> None:
    """Not before the rules were looked at since: one of them may name a column."""
    found = conn.execute(
        "SELECT column_name FROM sync.retired_column WHERE source_id = %s"
        " AND retired_at < now() - %s"
        " AND (SELECT rules_rev >= access_rev FROM sync.clock)",
        (source.id, retention),
    )
    going = {name for (name,) in found}
    if not going:
        return
    with conn.transaction():
        conn.execute(_SHORT)
        _hold(conn, source)
        for name in sorted(going):
            conn.execute(
                sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}").format(
                    schema.relation(source.definition), columns.quoted(name)
                )
            )
        _store(
            conn,
            source,
            served=_forgetting(source.definition, going),
            coming=None,
            way="none",
        )
        _forget_retired(conn, source, going)


def _forgetting(table: TableDef, going: set[str]) -> TableDef:
    kept = tuple(column for column in table.retired if column.name not in going)
    return replace(table, retired=kept)
