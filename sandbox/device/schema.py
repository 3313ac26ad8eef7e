"""Which SQL turns the tables of one client model into those of another. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.device.model import (
    MARK_COLUMN,
    VERSION_COLUMN,
    Column,
    Model,
    Table,
)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def migration(before: Model | None, after: Model) -> tuple[str, ...]:
    """Return the statements, to be run in the transaction that adopts `after`."""
    held = {} if before is None else dict(before.tables)
    kept = {
        name: held.pop(name)
        for name, table in after.tables.items()
        if name in held and _same_key(held[name], table)
    }
    # What goes makes room first: a newcomer may have inherited its local name.
    statements = [f"DROP TABLE {quoted(table.local)}" for table in held.values()]
    for name, table in after.tables.items():
        if name in kept:
            statements.extend(_alterations(kept[name], table))
        else:
            statements.append(_creation(table))
    return tuple(statements)


def _same_key(before: Table, after: Table) -> bool:
    return [(column.name, column.type) for column in before.key_columns] == [
        (column.name, column.type) for column in after.key_columns
    ]


def _creation(table: Table) -> str:
    columns = [_declaration(table, column) for column in table.columns.values()]
    key = ", ".join(quoted(column.local) for column in table.key_columns)
    body = ", ".join(
        [*columns, f"{quoted(MARK_COLUMN)} INTEGER NOT NULL", f"PRIMARY KEY ({key})"]
    )
    return f"CREATE TABLE {quoted(table.local)} ({body}) STRICT"


def _declaration(table: Table, column: Column) -> str:
    name = quoted(column.local)
    needed = column.name in table.primary_key or column.name == VERSION_COLUMN
    null = " NOT NULL" if needed else ""
    return f"{name} {column.codec.declaration.format(name)}{null}"


def _alterations(before: Table, after: Table) -> Iterator[str]:
    table = quoted(after.local)
    # A column whose type changed starts empty: the service sends the table again.
    for column in before.columns.values():
        if after.columns.get(column.name) != column:
            yield f"ALTER TABLE {table} DROP COLUMN {quoted(column.local)}"
    for column in after.columns.values():
        if before.columns.get(column.name) != column:
            yield f"ALTER TABLE {table} ADD COLUMN {_declaration(after, column)}"
