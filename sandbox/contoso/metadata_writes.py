"""Answer writes of metadata: tables and columns created, changed and deleted.

Whoever may write roles everywhere may do this. A new table comes with its
privileges, which the two administrators' roles hold at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from werkzeug.wrappers import Response

from sandbox.contoso import security
from sandbox.contoso.definitions import column_id, table_id
from sandbox.contoso.errors import (
    INVALID_ARGUMENT,
    NOT_IMPLEMENTED,
    PRIVILEGE_DENIED,
    TRACKING_STAYS_ON,
    WebApiError,
)
from sandbox.contoso.metadata import column_at, table_at
from sandbox.contoso.organization import ACCESS_RIGHTS, privilege_id, role_id
from sandbox.contoso.people import GLOBAL, ROOT
from sandbox.contoso.remodelling import Change, InvalidChangeError
from sandbox.contoso.requests import Call, no_content
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.store import Store, insert_rows, next_version
from sandbox.contoso.writes import Edit

_ADMINISTRATORS = ("System Administrator", "Waystation Replicator")
_TYPES = {"UniqueIdentifier": "Uniqueidentifier"}
_MEASURES = {
    "MaxLength": "max_length",
    "MinValue": "minimum",
    "MaxValue": "maximum",
    "Precision": "precision",
}

Payload = Mapping[str, Any]


def answer(call: Call, store: Store, connection: sqlite3.Connection) -> Response:
    """:raises WebApiError: not allowed, not possible, or no such place."""
    edit = Edit(connection, store.schema, store.clock(), call.caller.id)
    _insist_on_customizer(call, edit)
    try:
        return _carried_out(call, store, edit)
    except InvalidChangeError as error:
        raise WebApiError(400, INVALID_ARGUMENT, str(error)) from error


def remodel(store: Store, edit: Edit, change: Change) -> Schema:
    """Change the schema; a new table gets its privileges.

    :raises InvalidChangeError: the change does not fit.
    """
    after = store.remodel(edit.connection, change)
    table = after.tables.get(str(change["table"]))
    if change["kind"] == "add_table" and table is not None:
        _grant(edit, table)
    return after


def _carried_out(call: Call, store: Store, edit: Edit) -> Response:
    method, segments = call.request.method, call.segments
    head, below = segments[0], segments[1:]
    if method == "POST" and head in {"CreateEntities", "EntityDefinitions"}:
        return _create_tables(call, store, edit)
    if not head.startswith("EntityDefinitions("):
        raise _not_supported(head)
    table = table_at(store.schema, head)
    if not below:
        if method == "DELETE":
            remodel(store, edit, {"kind": "remove_table", "table": table.name})
            return no_content()
        remodel(store, edit, _table_change(table, call.body()))
        return no_content()
    if not below[0].startswith("Attributes"):
        raise _not_supported(below[0])
    return _column_written(call, store, edit, table)


def _column_written(call: Call, store: Store, edit: Edit, table: Table) -> Response:
    method, below = call.request.method, call.segments[1:]
    if method == "POST":
        document = _column(call.body())
        change: Change = {
            "kind": "add_column",
            "table": table.name,
            "column": document,
        }
        after = remodel(store, edit, change).tables[table.name]
        made = after.by_name[str(document["name"])]
        address = (
            f"{call.base}/EntityDefinitions({table_id(after)})"
            f"/Attributes({column_id(after, made)})"
        )
        return no_content(OData_EntityId=address)
    column = column_at(table, below[0])
    change = {"kind": "remove_column", "table": table.name, "name": column.name}
    if method != "DELETE":
        change = {
            **change,
            "kind": "change_column",
            **dict(_column_values(call.body())),
        }
    remodel(store, edit, change)
    return no_content()


def _create_tables(call: Call, store: Store, edit: Edit) -> Response:
    body: Payload = call.body()
    address = ""
    for document in body.get("Entities", [body]):
        change = _new_table(document)
        table = remodel(store, edit, change).tables[str(change["table"])]
        address = f"{call.base}/EntityDefinitions({table_id(table)})"
    return no_content(OData_EntityId=address)


def _new_table(document: Payload) -> Change:
    schema_name = str(document.get("SchemaName", ""))
    columns = document.get("Attributes", [])
    primary = [one for one in columns if one.get("IsPrimaryName")]
    return {
        "kind": "add_table",
        "table": schema_name.lower(),
        "schema_name": schema_name,
        "entity_set": str(document.get("EntitySetName") or f"{schema_name.lower()}s"),
        "label": _label(document.get("DisplayName")) or schema_name,
        "ownership": document.get("OwnershipType", "UserOwned"),
        "tracked": document.get("ChangeTrackingEnabled", True),
        "primary_name": primary[0]["SchemaName"].lower() if primary else None,
        "columns": [_column(one) for one in columns],
    }


def _table_change(table: Table, document: Payload) -> Change:
    if table.tracked and document.get("ChangeTrackingEnabled") is False:
        raise WebApiError(
            400,
            TRACKING_STAYS_ON,
            f"Change tracking of {table.name} cannot be disabled, because mobile"
            " offline is already enabled.",
        )
    members = {
        "IsAvailableOffline": "is_offline",
        "ChangeTrackingEnabled": "tracked",
        "EntitySetName": "entity_set",
    }
    values = {key: document[name] for name, key in members.items() if name in document}
    label = _label(document.get("DisplayName"))
    if label is not None:
        values["label"] = label
    return {"kind": "change_table", "table": table.name, **values}


def _column(document: Payload) -> dict[str, Any]:
    odata_type = str(document.get("@odata.type", "")).rpartition(".")[2]
    kind = odata_type.removeprefix("Complex").removesuffix("AttributeMetadata")
    name = str(document.get("LogicalName") or document.get("SchemaName", "")).lower()
    column: dict[str, Any] = {"name": name, "type": _TYPES.get(kind, kind)}
    column |= dict(_column_values(document))
    behavior = document.get("DateTimeBehavior")
    formats = (document.get("Format"), behavior and behavior.get("Value"))
    if "DateOnly" in formats:
        column["date_only"] = True
    return column


def _column_values(document: Payload) -> Iterator[tuple[str, Any]]:
    for member, name in _MEASURES.items():
        if document.get(member) is not None:
            yield name, document[member]
    label = _label(document.get("DisplayName"))
    if label is not None:
        yield "label", label
    options = document.get("OptionSet") or {}
    if options.get("Options"):
        yield (
            "options",
            [
                [one["Value"], _label(one.get("Label")) or str(one["Value"])]
                for one in options["Options"]
            ],
        )


def _label(document: Payload | None) -> str | None:
    labels = (document or {}).get("LocalizedLabels") or []
    return str(labels[0]["Label"]) if labels else None


def _grant(edit: Edit, table: Table) -> None:
    """Make the privileges of a new table, and give them to the administrators."""
    tables = edit.schema.tables
    for verb, right in ACCESS_RIGHTS.items():
        name = f"prv{verb}{table.privilege}"
        row = {
            "privilegeid": privilege_id(name),
            "name": name,
            "accessright": right,
            "canbebasic": table.is_user_owned,
            "canbelocal": table.is_user_owned,
            "canbedeep": table.is_user_owned,
            "canbeglobal": True,
        }
        edit.connection.execute(
            "DELETE FROM rows_privilege WHERE id = ?", (row["privilegeid"],)
        )
        version = next_version(edit.connection)
        arranged = tables["privilege"].arrange(row, version=version)
        insert_rows(edit.connection, tables["privilege"], [arranged])
        for role in _ADMINISTRATORS:
            edit.set_depth(
                role_id=role_id(role, unit=ROOT),
                privilege_id=privilege_id(name),
                depth=GLOBAL,
            )


def _insist_on_customizer(call: Call, edit: Edit) -> None:
    role = edit.schema.tables["role"]
    within = security.reach(edit.connection, call.caller, table=role, verb="Write")
    if not within.is_at_least(GLOBAL):
        raise WebApiError(
            403,
            PRIVILEGE_DENIED,
            f"Principal user (Id={call.caller.id}) is missing prvCreateEntity privilege.",
        )


def _not_supported(segment: str) -> WebApiError:
    return WebApiError(501, NOT_IMPLEMENTED, f"{segment} cannot be written here.")
