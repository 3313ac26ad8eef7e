"""Change what tables look like: columns and tables added, widened, renamed, removed.

A change is a plain document, so that the changes of an organization can be kept
and done again at the next start. Pure, except `migrate`, which brings the stored
rows into their new form; they keep their versions, as in Dataverse.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox.contoso import columns as c
from sandbox.contoso.schema import (
    LOOKUP_NOTE,
    LOOKUP_TYPES,
    Column,
    Navigation,
    Schema,
    Table,
)

Change = Mapping[str, Any]

# Into which other types a type can be widened.
_WIDER = {
    "String": {"Memo"},
    "Integer": {"BigInt", "Decimal", "Double"},
    "BigInt": {"Decimal"},
    "Decimal": {"Double"},
}
_TYPES = frozenset(
    {
        "String", "Memo", "Integer", "BigInt", "Decimal", "Double", "Money", "Boolean",
        "DateTime", "Picklist", "MultiSelectPicklist", "Uniqueidentifier", "Lookup",
    }
)  # fmt: skip
_MEASURES = ("max_length", "minimum", "maximum", "precision")
_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "String": {"max_length": 100},
    "Memo": {"max_length": 2000},
    "Integer": {"minimum": -2147483648, "maximum": 2147483647},
    "Decimal": {"precision": 10, "minimum": -1e11, "maximum": 1e11},
    "Double": {"precision": 5, "minimum": -1e11, "maximum": 1e11},
    "Money": {"precision": 4, "minimum": -9.2e14, "maximum": 9.2e14},
    "Boolean": {"options": ((0, "No"), (1, "Yes"))},
}


class InvalidChangeError(Exception):
    """The change cannot be made; the message says why."""


def changed(schema: Schema, change: Change) -> Schema:
    """Return the schema after a change, one version on.

    :raises InvalidChangeError: it does not fit.
    """
    kind = str(change.get("kind"))
    if kind not in _KINDS:
        raise InvalidChangeError(f"There is no change '{kind}'.")
    tables = dict(schema.tables)
    after = _KINDS[kind](schema, change)
    name = str(change["table"])
    if after is None:
        del tables[name]
    else:
        tables[name] = after
    return Schema(tables=tables, version=schema.version + 1)


def migrate(connection: sqlite3.Connection, change: Change, table: Table) -> None:
    """Give the stored rows of a changed table, as it is now, their new form."""
    rows = f'"rows_{table.name}"'
    if change["kind"] == "add_column":
        default = json.dumps(change["column"].get("default"))
        # New columns stand at the end of a row, whose text ends in a brace.
        connection.execute(
            f"UPDATE {rows} SET body = substr(body, 1, length(body) - 1) || ?",
            (f',"{table.columns[-1].wire}":{default}}}',),
        )
    elif change["kind"] == "remove_column":
        wire = f"_{change['name']}_value"
        names = (change["name"], wire, f"{wire}{LOOKUP_NOTE}")
        paths = [f'$."{name}"' for name in names]
        connection.execute(
            f"UPDATE {rows} SET body = json_remove(body, ?, ?, ?)", paths
        )
    elif change["kind"] == "rename_column":
        column = table.by_name[change["to"]]
        old = replace(column, name=change["name"])
        # A quote within a value is escaped, so this text is a name and no value.
        for before, after in ((old.wire, column.wire), (old.note, column.note)):
            connection.execute(
                f"UPDATE {rows} SET body = replace(body, ?, ?)",
                (f'"{before}":', f'"{after}":'),
            )


def _add_column(schema: Schema, change: Change) -> Table:
    table = _table(schema, change)
    column = read_column(schema, change.get("column"), table=str(change["table"]))
    if column.name in table.by_name or column.wire in table.by_wire:
        raise InvalidChangeError(f"{table.name} has a column '{column.name}' already.")
    column = replace(column, generation=schema.version + 1)
    return replace(table, columns=(*table.columns, column))


def _remove_column(schema: Schema, change: Change) -> Table:
    table = _table(schema, change)
    column = _own_column(table, change)
    kept = tuple(other for other in table.columns if other is not column)
    return replace(table, columns=kept)


def _rename_column(schema: Schema, change: Change) -> Table:
    table = _table(schema, change)
    column, name = _own_column(table, change), str(change.get("to"))
    if not name.isidentifier() or name in table.by_name:
        raise InvalidChangeError(f"'{name}' is no name for another column.")
    renamed = replace(column, name=name, generation=schema.version + 1)
    return _exchanged(table, column, renamed)


def _change_column(schema: Schema, change: Change) -> Table:
    table = _table(schema, change)
    column = table.by_name.get(str(change.get("name")))
    if column is None:
        raise InvalidChangeError(f"{table.name} has no column '{change.get('name')}'.")
    kind = change.get("type", column.type)
    if kind != column.type and kind not in _WIDER.get(column.type, ()):
        raise InvalidChangeError(f"A {column.type} cannot become a {kind}.")
    values = {name: change[name] for name in (*_MEASURES, "label") if name in change}
    if kind != column.type:
        values = {**_DEFAULTS.get(kind, {}), **values, "type": kind}
    if "options" in change:
        values["options"] = _options(change["options"])
    return _exchanged(table, column, replace(column, **values))


def _change_table(schema: Schema, change: Change) -> Table:
    table = _table(schema, change)
    known = ("entity_set", "label", "tracked", "is_offline")
    values = {name: change[name] for name in known if name in change}
    other = schema.by_set.get(values.get("entity_set", ""))
    if other is not None and other is not table:
        raise InvalidChangeError(f"'{other.entity_set}' is the set of {other.name}.")
    if table.tracked and values.get("tracked") is False:
        raise InvalidChangeError("Change tracking cannot be switched off again.")
    return replace(table, **values)


def _add_table(schema: Schema, change: Change) -> Table:
    name = str(change.get("table", ""))
    if not name.isidentifier() or name != name.lower() or name in schema.tables:
        raise InvalidChangeError(f"'{name}' is no name for another table.")
    entity_set = str(change.get("entity_set") or f"{name}s")
    if entity_set in schema.by_set:
        raise InvalidChangeError(f"There is a set '{entity_set}' already.")
    own = [read_column(schema, one, table=name) for one in change.get("columns", [])]
    schema_name = str(change.get("schema_name") or name)
    is_owned = change.get("ownership", "UserOwned") == "UserOwned"
    primary = str(change.get("primary_name") or (own[0].name if own else "name"))
    if primary not in {column.name for column in own}:
        own.insert(0, c.text(primary, 100))
    return Table(
        name=name,
        schema_name=schema_name,
        entity_set=entity_set,
        key=f"{name}id",
        primary_name=primary,
        code=10_000 + schema.version % 100_000,
        ownership="UserOwned" if is_owned else "OrganizationOwned",
        privilege=schema_name,
        label=str(change.get("label") or schema_name),
        tracked=bool(change.get("tracked", True)),
        is_custom=True,
        generation=schema.version + 1,
        columns=(
            c.guid(f"{name}id"),
            *own,
            c.state(),
            c.status(),
            *c.stamps(name),
            *_owner(name, is_owned=is_owned),
            c.version(),
        ),
    )


def _owner(name: str, *, is_owned: bool) -> Sequence[Column]:
    if not is_owned:
        return ()
    return c.ownership(
        user=f"user_{name}", team=f"team_{name}", unit=f"business_unit_{name}"
    )


def _remove_table(schema: Schema, change: Change) -> None:
    table = _table(schema, change)
    if not table.is_custom:
        raise InvalidChangeError(f"{table.name} is a table of the system.")
    for target, _ in schema.collections:
        if target == table.name:
            raise InvalidChangeError(f"Other tables look {table.name} up.")


def read_column(schema: Schema, document: object, *, table: str) -> Column:
    """:raises InvalidChangeError: not the description of a column."""
    if not isinstance(document, Mapping):
        raise InvalidChangeError("A column is an object with name and type.")
    name, kind = str(document.get("name", "")), str(document.get("type", "String"))
    if not name.isidentifier() or name != name.lower() or kind not in _TYPES:
        raise InvalidChangeError(f"'{name}' of type {kind} cannot be a column.")
    values: dict[str, Any] = dict(_DEFAULTS.get(kind, {}))
    known = (*_MEASURES, "date_only", "required", "label", "global_set")
    values |= {key: document[key] for key in known if key in document}
    values.setdefault("label", name.replace("_", " ").capitalize())
    if "options" in document:
        values["options"] = _options(document["options"])
    if kind in LOOKUP_TYPES:
        targets = tuple(map(str, document.get("targets", ())))
        if not targets or not all(target in schema.tables for target in targets):
            raise InvalidChangeError("A lookup has targets, which are tables.")
        values |= {"targets": targets, "navigations": _ways(name, targets, table)}
    return Column(name=name, type=kind, **values)


def _ways(name: str, targets: Sequence[str], table: str) -> tuple[Navigation, ...]:
    is_one = len(targets) == 1
    return tuple(
        Navigation(
            name=name if is_one else f"{name}_{target}",
            target=target,
            relationship=f"{target}_{table}_{name}",
        )
        for target in targets
    )


def _options(pairs: object) -> tuple[tuple[int, str], ...]:
    if not isinstance(pairs, list | tuple):
        raise InvalidChangeError("Options are pairs of a number and a label.")
    return tuple((int(value), str(label)) for value, label in pairs)


def _table(schema: Schema, change: Change) -> Table:
    table = schema.tables.get(str(change.get("table")))
    if table is None:
        raise InvalidChangeError(f"There is no table '{change.get('table')}'.")
    return table


def _own_column(table: Table, change: Change) -> Column:
    """Return a column that the table can do without."""
    column = table.by_name.get(str(change.get("name")))
    if column is None:
        raise InvalidChangeError(f"{table.name} has no column '{change.get('name')}'.")
    is_needed = column.indexed or column.type in {"State", "Status", "Owner"}
    needed = {table.key, table.primary_name, "versionnumber", "createdon", "ownerid"}
    if is_needed or column.name in needed:
        raise InvalidChangeError(f"{table.name} needs its column '{column.name}'.")
    return column


def _exchanged(table: Table, before: Column, after: Column) -> Table:
    columns = tuple(after if one is before else one for one in table.columns)
    return replace(table, columns=columns)


_KINDS: Mapping[str, Callable[[Schema, Change], Table | None]] = {
    "add_column": _add_column,
    "change_column": _change_column,
    "rename_column": _rename_column,
    "remove_column": _remove_column,
    "add_table": _add_table,
    "change_table": _change_table,
    "remove_table": _remove_table,
}
KINDS = tuple(_KINDS)
