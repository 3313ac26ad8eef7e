"""What an app does with the store: edit rows, look at them, settle what failed.

An edit is durable, with its sequence, before these methods return.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO
from uuid import uuid4

from sandbox.device import decisions, drafts, edit_queue, file_store, views
from sandbox.device.drafts import Create, Delete, Link, Update, Wish
from sandbox.device.edits import FAILED, Body, Edit, Status
from sandbox.device.errors import EditError, StoreError
from sandbox.device.model import Limits, Model, Table
from sandbox.device.reading import Row
from sandbox.device.store import Store
from sandbox.device.views import Dispute

__all__ = ["Create", "Delete", "Dispute", "Editor", "Link", "Pending", "Update"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """How many edits wait for the service, and how many for the user."""

    unsent: int
    undecided: int
    failed: int


class Editor:
    def __init__(self, store: Store) -> None:
        self._store = store

    def edit(self, *wishes: Wish) -> tuple[Edit, ...]:
        """Queue edits; several of one call are applied all or none.

        :raises EditError: one of them cannot be; none is queued.
        """
        group = str(uuid4()) if len(wishes) > 1 else None
        with self._store.database.transaction() as connection:
            queued = tuple(
                edit_queue.add(connection, _grouped(body, group))
                for body in self._bodies(connection, wishes)
            )
            _insist_on_limits(queued, self._model().limits)
        return queued

    def create(self, table: str, values: Mapping[str, object]) -> Edit:
        return self.edit(Create(table, values))[0]

    def update(self, table: str, key: str, values: Mapping[str, object]) -> Edit:
        return self.edit(Update(table, key, values))[0]

    def delete(self, table: str, key: str) -> Edit:
        return self.edit(Delete(table, key))[0]

    def attach(
        self, table: str, key: str, column: str, content: BinaryIO, *, name: str = ""
    ) -> Edit:
        """Queue a file or a photo; the content is copied into the database.

        :raises EditError: the user does not see that row.
        """
        with self._store.database.transaction() as connection:
            self._seen(connection, self._store.table(table), key)
            place = {"table": table, "key": key, "column": column}
            etag = file_store.known_etag(connection, table, key, column)
            about = {**place, "name": name, "etag": etag}
            queued = edit_queue.add(connection, drafts.attached(about))
            file_store.keep(connection, queued, content)
        return queued

    def rows(
        self, table: str, *, where: str | None = None, limit: int | None = None
    ) -> dict[str, Row]:
        """Return the rows as the user sees them; `where` is local SQL."""
        with self._store.database.snapshot() as connection:
            found = views.rows(connection, self._store.table(table), where=where)
            return dict(islice(found, limit))

    def row(self, table: str, key: str) -> Row | None:
        with self._store.database.snapshot() as connection:
            return views.row(connection, self._store.table(table), key)

    def file(self, table: str, key: str, column: str) -> Iterator[bytes] | None:
        """Return the pieces of a file that the user attached and that is not settled.

        None: the service has the file, or there is none.
        """
        connection = self._store.connection
        attached = [
            edit
            for edit in edit_queue.of_row(connection, table, key)
            if edit.op == "file" and edit.body.get("column") == column
        ]
        return file_store.pieces(connection, attached[-1]) if attached else None

    def edits(self) -> list[Edit]:
        """Return the edits that are not settled, oldest first."""
        every = edit_queue.edits(self._store.connection)
        return [edit for edit in every if edit.op != "void"]

    def pending(self) -> Pending:
        with self._store.database.snapshot() as connection:
            return Pending(
                unsent=edit_queue.count(connection, Status.QUEUED),
                undecided=edit_queue.count(connection, Status.ACCEPTED),
                failed=edit_queue.count(connection, *FAILED),
            )

    def disputes(self) -> list[Dispute]:
        """Return what the user has to decide, mine beside theirs."""
        with self._store.database.snapshot() as connection:
            return views.disputes(connection, self._store.model)

    def keep_mine(self, number: int) -> list[Edit]:
        """Send a failed edit once more, upon what the server has now.

        :raises EditError: it has not failed.
        """
        with self._store.database.transaction() as connection:
            return decisions.keep_mine(connection, self._store.model, number)

    def keep_theirs(self, number: int) -> None:
        """Give a failed edit up.

        :raises EditError: it has not failed.
        """
        with self._store.database.transaction() as connection:
            decisions.keep_theirs(connection, number)

    def undo(self, number: int) -> None:
        """Give up an edit that failed, or take one back that was never sent.

        :raises EditError: it is on its way.
        """
        with self._store.database.transaction() as connection:
            decisions.undo(connection, number)

    def _bodies(
        self, connection: sqlite3.Connection, wishes: Iterable[Wish]
    ) -> Iterator[Body]:
        # One after the other: a wish sees what those before it have done.
        for wish in wishes:
            body = self._body(connection, wish)
            drafts.insist_on_text(body)
            yield body

    def _body(self, connection: sqlite3.Connection, wish: Wish) -> Body:
        table = self._table(wish.table)
        if isinstance(wish, Create):
            body = drafts.created(table, wish)
            if views.row(connection, table, str(body["key"])) is not None:
                raise EditError(f"{table.name} has a row {body['key']} already.")
            return body
        seen = self._seen(connection, table, wish.key)
        version = views.base_version(connection, table, wish.key)
        match wish:
            case Update():
                return drafts.updated(table, wish, seen=seen, version=version)
            case Delete():
                return drafts.deleted(wish, version=version)
            case Link():
                return drafts.linked(wish)

    def _seen(self, connection: sqlite3.Connection, table: Table, key: str) -> Row:
        row = views.row(connection, table, key)
        if row is None:
            raise EditError(f"{table.name} has no row {key}.")
        return row

    def _table(self, name: str) -> Table:
        table = self._model().tables.get(name)
        if table is None:
            raise EditError(f"There is no table {name}.")
        return table

    def _model(self) -> Model:
        model = self._store.model
        if model is None:
            raise StoreError(f"{self._store.path} has no client model yet.")
        return model


def _grouped(body: Body, group: str | None) -> Body:
    return body if group is None else {**body, "group": group}


def _insist_on_limits(queued: Iterable[Edit], limits: Limits) -> None:
    """:raises EditError: they would not go into one request together."""
    sizes = [drafts.size_of(edit.body) for edit in queued]
    if len(sizes) > limits.mutations_per_request or sum(sizes) > limits.request_bytes:
        raise EditError(
            f"The service takes {limits.mutations_per_request} edits and"
            f" {limits.request_bytes} bytes at once."
        )
