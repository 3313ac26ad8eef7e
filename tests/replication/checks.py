"""What must be true of a staging database whenever nobody is at work."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from replication.domain.tables import TableDef
from replication.staging import columns, registry, schema
from replication.visibility import rules
from replication.visibility.feed import key_lists
from replication.visibility.wanted import wanted_keys
from tests.replication.worlds import World

Row = dict[str, str | None]


def assert_equals_source(world: World) -> None:
    """Every table is the source's, value for value, and so is what follows from it."""
    for table in world.tables:
        assert staged_rows(world, table) == source_rows(world, table), table.name
    assert_sound(world)


def assert_sound(world: World) -> None:
    """The feed says of the staged rows what the rules say, and its revs are in order."""
    conn = world.database.kept("test")
    by_id = {table.id: table for table in registry.tables(conn)}
    for rule in rules.living(conn):
        assert rule.state == "active"
        assert not rule.is_stale
        tables = {t.definition.name: t.definition for t in by_id.values()}
        wanted = wanted_keys(rule, by_id[rule.source_id].definition, tables)
        live = sql.SQL("SELECT row_id, {} FROM {} WHERE live").format(
            key_lists(rule)["keys"], rule.partition
        )
        for one, other in ((wanted, live), (live, wanted)):
            query = sql.SQL("({}) EXCEPT ALL ({})").format(one, other)
            assert conn.execute(query).fetchall() == []
    revs = world.values("SELECT rev FROM sync.feed WHERE rev > 0")
    assert len(revs) == len(set(revs))
    assert max(revs, default=0) <= world.rev
    assert world.values("SELECT count(*) FROM sync.catchup") == [0]
    for table in by_id.values():
        counted = world.values(
            "SELECT row_count FROM sync.source WHERE id = %s", table.id
        )
        assert counted == [len(staged_rows(world, table.definition))]


def staged_rows(world: World, table: TableDef) -> list[Row]:
    names = sql.SQL(", ").join(columns.quoted(c.name) for c in table.columns)
    query = sql.SQL("SELECT {} FROM {}").format(names, schema.relation(table))
    found = world.database.kept("test").execute(query).fetchall()
    return _sorted(
        {c.name: _text(v) for c, v in zip(table.columns, row, strict=True)}
        for row in found
    )


def source_rows(world: World, table: TableDef) -> list[Row]:
    return _sorted(
        {c.name: _text(row.get(c.name)) for c in table.columns}
        for row in world.source.rows(table.name).values()
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _sorted(rows: Any) -> list[Row]:
    return sorted(rows, key=str)
