"""The client model of PROTOCOL §5, from what a user may take along. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from replication.domain.file_edits import LARGEST_FILE
from replication.domain.tables import ColumnDef
from replication.visibility.access import Access, TableAccess

MUTATIONS_PER_REQUEST = 1_000
REQUEST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class ClientModel:
    version: str
    document: dict[str, object]


def client_model(access: Access) -> ClientModel:
    document: dict[str, object] = {
        "version": access.model,
        "tables": [_table(name, table) for name, table in access.tables.items()],
        "limits": {
            "mutations_per_request": MUTATIONS_PER_REQUEST,
            "request_bytes": REQUEST_BYTES,
            "file_bytes": LARGEST_FILE,
        },
    }
    return ClientModel(version=access.model, document=document)


def _table(name: str, table: TableAccess) -> dict[str, object]:
    definition = table.source.definition
    described: dict[str, object] = {
        "name": name,
        "entity_set": definition.entity_set,
        "primary_key": list(definition.key),
        "primary_name": definition.primary_name,
        "writable": table.writable,
        "conflicts": table.conflicts,
        "sync_interval_minutes": table.sync_interval_minutes,
        "columns": [_column(c, is_key=c.name in definition.key) for c in table.columns],
    }
    if definition.files:
        # What can be fetched and sent alone; rows bring nothing of it.
        described["files"] = [
            {"name": file.name, "kind": file.kind} for file in definition.files
        ]
    return described


def _column(column: ColumnDef, *, is_key: bool) -> dict[str, object]:
    described: dict[str, object] = {"name": column.name, "type": column.type.value}
    if column.required or is_key:
        described["required"] = True
    for name in ("max_length", "precision", "scale"):
        if (value := getattr(column, name)) is not None:
            described[name] = value
    if column.references:
        described["references"] = list(column.references)
    if column.options:
        described["options"] = {str(value): label for value, label in column.options}
    return described
