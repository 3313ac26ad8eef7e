"""Keeps the rows of the plain service in memory, with their versions and times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sandbox.plain.tables import SETS, EntitySet

Row = dict[str, Any]


class UnknownSetError(Exception):
    """There is no such entity set."""


class Rows:
    """All entity sets. Rows are what JSON says of them, by property."""

    def __init__(self, *, clock: Callable[[], datetime] | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = clock or (lambda: datetime.now(UTC))
        self._rows: dict[str, dict[str, Row]] = {name: {} for name in SETS}
        self._versions: dict[tuple[str, str], int] = {}
        self._last_version = 0

    def all(self, name: str) -> dict[str, Row]:
        return self._rows[entity_set(name).name]

    def put(
        self, name: str, values: Mapping[str, Any], *, keeps_time: bool = False
    ) -> None:
        """Create a row, or change columns of it.

        `keeps_time`: as writers do that bypass the service's own code.
        """
        kind = entity_set(name)
        with self.lock:
            key = key_of(kind, values)
            row = dict(self._rows[name].get(key, {})) | dict(values)
            if kind.stamp is not None and not keeps_time:
                now = self.clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
                row[kind.stamp] = f"{now.isoformat()}Z"
            for column, value in row.items():
                if kind.types.get(column) == "decimal" and value is not None:
                    row[column] = Decimal(value)
            self._rows[name][key] = row
            self._last_version += 1
            self._versions[name, key] = self._last_version

    def delete(self, name: str, values: Mapping[str, Any]) -> bool:
        """Remove a row by its key; False when it is not there."""
        kind = entity_set(name)
        with self.lock:
            return self._rows[name].pop(key_of(kind, values), None) is not None

    def etag(self, name: str, key: str) -> str | None:
        if not entity_set(name).has_etags:
            return None
        return f'W/"{self._versions[name, key]}"'


def entity_set(name: str) -> EntitySet:
    """:raises UnknownSetError: there is none of this name."""
    try:
        return SETS[name]
    except KeyError:
        raise UnknownSetError(name) from None


def key_of(kind: EntitySet, values: Mapping[str, Any]) -> str:
    return "\0".join(str(values[part]) for part in kind.key)
