"""Keep the organization as it is under a name, and bring it back."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sandbox.contoso.store import Store, current_version

_NAME = re.compile(r"[\w-]{1,60}")


class UnknownSnapshotError(Exception):
    """There is no snapshot of this name, or it is no name."""


def keep(store: Store, name: str) -> int:
    """Keep everything there is now; return the version.

    :raises UnknownSnapshotError: no name for a snapshot.
    """
    path = _path(store, name)
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(store.path)) as source,
        closing(sqlite3.connect(unfinished)) as kept,
    ):
        source.backup(kept)
        version = current_version(kept)
    unfinished.replace(path)
    return version


def restore(store: Store, name: str) -> None:
    """Bring everything back; requests that read meanwhile still see what was.

    :raises UnknownSnapshotError: there is no such snapshot.
    """
    path = _path(store, name)
    if not path.exists():
        raise UnknownSnapshotError(f"There is no snapshot '{name}'.")
    with store.exclusively(), closing(sqlite3.connect(path)) as kept:
        with closing(sqlite3.connect(store.path, timeout=30)) as live:
            kept.backup(live)
        store.reload()


def _path(store: Store, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UnknownSnapshotError(f"'{name}' is no name for a snapshot.")
    return store.path.with_name(f"{store.path.stem}.snapshot-{name}.db")
