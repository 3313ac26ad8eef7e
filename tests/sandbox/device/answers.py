"""Models and lines of answers, as the service would write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

ADA = "00000000-0000-0000-0000-00000000000a"
GRACE = "00000000-0000-0000-0000-00000000000b"
EDSGER = "00000000-0000-0000-0000-00000000000c"


def table(table_name, /, *, key=("id",), **columns):
    """Describe a table; by default its key is a GUID named `id`."""
    types = {**dict.fromkeys(key, "guid"), **(columns or {"name": "string"})}
    return {
        "name": table_name,
        "entity_set": f"{table_name}s",
        "primary_key": list(key),
        "columns": [
            {"name": column, "type": type_name} for column, type_name in types.items()
        ],
    }


def model(version="M1", *tables):
    return {"version": version, "tables": list(tables or [table("account")])}


def columns_of(document) -> dict[str, list[str]]:
    return {
        described["name"]: [
            *(column["name"] for column in described["columns"]),
            "_version",
        ]
        for described in document["tables"]
    }


def line(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def snapshot(document, name="c1") -> bytes:
    return line(
        {
            "type": "begin",
            "kind": "snapshot",
            "snapshot": name,
            "model": document["version"],
            "columns": columns_of(document),
        }
    )


def delta(document) -> bytes:
    return line(
        {
            "type": "begin",
            "kind": "delta",
            "model": document["version"],
            "columns": columns_of(document),
        }
    )


def reset(table: str) -> bytes:
    return line({"type": "reset", "table": table})


def rows(table: str, *upserts: Sequence[object], deletes: Iterable[str] = ()) -> bytes:
    message = {"deletes": list(deletes), "upserts": [list(row) for row in upserts]}
    return line({"type": "rows", "table": table, **message})


def checkpoint(name: str, **more: object) -> bytes:
    return line({"type": "checkpoint", "checkpoint": name, "complete": False, **more})


def complete(name: str, **more: object) -> bytes:
    return checkpoint(name, complete=True, **more)


def download(document, *upserts, name="c1", checkpoint="k1", table="account"):
    """Return a whole first download of one table."""
    return [snapshot(document, name), rows(table, *upserts), complete(checkpoint)]


def remaining(lines: Sequence[bytes], checkpoint: str | None) -> list[bytes]:
    """Return the answer that continues `lines` from a checkpoint."""
    for place, text in enumerate(lines):
        message = json.loads(text)
        if message["type"] == "checkpoint" and message["checkpoint"] == checkpoint:
            return [lines[0], *lines[place + 1 :]]
    return list(lines)


def names(store, table="account") -> dict[str, object]:
    """Return the names in a table by key."""
    return {key: row["name"] for key, row in store.rows(table).items()}


def state(store) -> dict[str, object]:
    """Return all that a store knows."""
    return {
        "tables": {table: store.rows(table) for table in store.tables()},
        "columns": store.model and store.model.local_names,
        "model": store.model and store.model.version,
        "checkpoint": store.checkpoint,
        "snapshot": store.snapshot,
        "complete": store.is_complete,
        "resets": store.resets_wanted,
    }
