"""Make the organization's file at the first start, whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from sandbox.contoso import business, happenings, store
from sandbox.contoso.field_security import field_security_rows
from sandbox.contoso.organization import security_rows
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.settled import settled_rows
from sandbox.contoso.tables import first_schema

DEFAULT_SCALE = 28_000
DEFAULT_SEED = 1
_FIRST_VERSION = 1_000_000
# Rises with what the file holds; a file of another form is made anew.
_FORM = "4"


class OtherDataError(Exception):
    """The file was made with another seed or scale than the one asked for."""


def prepare(path: Path, *, seed: int | None = None, scale: int | None = None) -> None:
    """Make the file unless it is there.

    :raises OtherDataError: it is there, with another seed or scale.
    """
    if path.exists() and _has_form(path):
        _compare(path, seed=seed, scale=scale)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        _fill(
            connection,
            schema=first_schema(),
            seed=DEFAULT_SEED if seed is None else seed,
            scale=DEFAULT_SCALE if scale is None else scale,
        )
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    unfinished.replace(path)


def _has_form(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return store.meta(connection, "form") == _FORM


def _compare(path: Path, *, seed: int | None, scale: int | None) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for name, wanted in (("seed", seed), ("scale", scale)):
            actual = store.meta(connection, name)
            if wanted is not None and str(wanted) != actual:
                raise OtherDataError(
                    f"{path} was made with {name} {actual}, not {wanted};"
                    " remove it to start anew."
                )


def _fill(
    connection: sqlite3.Connection, *, schema: Schema, seed: int, scale: int
) -> None:
    # The file counts only after it was renamed, so it needs no journal. A row
    # takes half of a page of the usual size, which would leave every second empty.
    connection.executescript(
        "PRAGMA page_size=16384; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
    )
    store.create_tables(connection, schema)
    connection.execute("BEGIN")
    version = _FIRST_VERSION
    for table, rows in _everything(schema, seed=seed, scale=scale):
        store.insert_rows(connection, table, _numbered(table, rows, after=version))
        version += 1 + _count(connection, table)
    for key, value in (
        ("form", _FORM),
        ("seed", seed),
        ("scale", scale),
        ("version", version),
        ("metadata_version", schema.version),
    ):
        store.set_meta(connection, key, value)
    store.create_indexes(connection, schema)
    connection.execute("COMMIT")


def _everything(
    schema: Schema, *, seed: int, scale: int
) -> Iterator[tuple[Table, Iterable[business.Row]]]:
    for name, rows in security_rows().items():
        yield schema.tables[name], rows
    sites = business.sites(scale)
    yield schema.tables["account"], business.accounts(sites, seed=seed)
    yield schema.tables["contact"], business.contacts(sites, seed=seed)
    yield schema.tables["task"], happenings.tasks(sites, seed=seed)
    yield schema.tables["appointment"], happenings.appointments(sites, seed=seed)
    yield schema.tables["activityparty"], happenings.parties(sites)
    yield schema.tables["annotation"], happenings.notes(sites, seed=seed)
    yield schema.tables["postfollow"], happenings.follows(sites)
    for name, rows in (settled_rows(sites) | field_security_rows()).items():
        yield schema.tables[name], rows


def _numbered(
    table: Table, rows: Iterable[business.Row], *, after: int
) -> Iterator[store.Row]:
    for version, row in enumerate(rows, start=after + 1):
        yield table.arrange(row, version=version)


def _count(connection: sqlite3.Connection, table: Table) -> int:
    query = f"SELECT count(*) FROM {store.sql_name(table)}"
    return int(connection.execute(query).fetchone()[0])
