"""Edits as devices make them, and what the sandbox says became of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from replication.domain.tables import TableDef
from replication.odata.writing import Marker, Write
from sandbox.contoso.people import PEOPLE_BY_KEY
from tests.sandbox.running import Client

ADA = UUID(PEOPLE_BY_KEY["ada"].object_id)
HEDY = UUID(PEOPLE_BY_KEY["hedy"].object_id)


def create(table: TableDef, key: Any = None, **values: Any) -> Write:
    own = key if isinstance(key, tuple) else (key or str(uuid4()),)
    return Write(table=table, op="create", key=own, values=values)


def update(
    table: TableDef, key: Any, *, if_match: str | None = None, **values: Any
) -> Write:
    own = key if isinstance(key, tuple) else (key,)
    return Write(table=table, op="update", key=own, values=values, if_match=if_match)


def delete(table: TableDef, key: Any, *, if_match: str | None = None) -> Write:
    own = key if isinstance(key, tuple) else (key,)
    return Write(table=table, op="delete", key=own, if_match=if_match)


def marker() -> Marker:
    return Marker(id=uuid4(), name="Ada's tablet 17")


def row(contoso: Client, entity_set: str, key: object) -> dict[str, Any]:
    answer = contoso.get(f"{entity_set}({key})")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def version(contoso: Client) -> int:
    found: int = contoso.control("GET", "").json()["version"]
    return found


def writes_after(contoso: Client, version: int) -> list[dict[str, Any]]:
    answer = contoso.control("GET", f"journal?after={version}")
    found: list[dict[str, Any]] = answer.json()["writes"]
    return found
