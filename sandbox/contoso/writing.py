"""Answer writes: create, update, upsert, delete and references between rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.wrappers import Response

from sandbox.contoso import security
from sandbox.contoso.errors import (
    DUPLICATE_KEY,
    VERSION_MISMATCH,
    WebApiError,
    bad_payload,
    no_such_resource,
    no_such_row,
)
from sandbox.contoso.reading import Reading
from sandbox.contoso.requests import Call, no_content, split_key
from sandbox.contoso.schema import ETAG, Table
from sandbox.contoso.store import Row, find
from sandbox.contoso.values import read_reference
from sandbox.contoso.writes import Edit

# Dataverse has messages of its own for these, or makes them itself.
_READ_ONLY = frozenset({"role", "privilege", "businessunit"})


@dataclass(frozen=True, slots=True)
class Writing:
    """One call that writes, in one transaction."""

    call: Call
    edit: Edit
    reading: Reading

    def create(self, table: Table) -> Response:
        self._refuse(table, "Create")
        return self._create(table, self.call.body())

    def update(self, table: Table, row_id: str) -> Response:
        """PATCH: an update, or a create when the row is missing and may be."""
        row = find(self.edit.connection, table, row_id)
        expected = self.call.request.headers.get("If-Match")
        if row is None:
            if expected is not None:
                raise no_such_row(table.name, row_id)
            self._refuse(table, "Create")
            return self._create(table, self.call.body() | {table.key: row_id})
        self._refuse_pairs(table, "Update")
        if self.call.request.headers.get("If-None-Match") == "*":
            raise WebApiError(
                412, DUPLICATE_KEY, "A record with matching key values already exists."
            )
        self._insist_on_version(row, expected)
        self._insist_on_reach(table, row, "Write")
        row = self.edit.update(table, row, self.call.body())
        if self.call.preferences.wants_representation:
            return self.reading.representation(table, row, status=200)
        return self._done(table, row)

    def delete(self, table: Table, row_id: str) -> Response:
        self._refuse(table, "Delete")
        row = self._row(table, row_id)
        self._insist_on_version(row, self.call.request.headers.get("If-Match"))
        self._insist_on_reach(table, row, "Delete")
        self.edit.delete(table, row)
        return no_content()

    def reference(self, table: Table, row_id: str, property_name: str) -> Response:
        """POST, PUT or DELETE `…/property/$ref`, or `…/property(id)/$ref`."""
        row = self._row(table, row_id)
        self._insist_on_reach(table, row, "Write")
        keyed = split_key(property_name)
        name = keyed[0] if keyed else property_name
        pairs = self.edit.schema.intersects.get(name)
        if pairs is not None:
            return self._pair(table, row_id, pairs, keyed[1] if keyed else None)
        if name not in table.binds or not table.binds[name][0].settable:
            raise no_such_resource(property_name)
        is_delete = self.call.request.method == "DELETE"
        value = None if is_delete else self.call.body().get("@odata.id")
        self.edit.update(table, row, {f"{name}@odata.bind": value})
        return no_content()

    def _pair(
        self, table: Table, row_id: str, pairs: Table, other_id: str | None
    ) -> Response:
        intersect = pairs.intersect
        assert intersect is not None
        if table.name not in {intersect.first, intersect.second}:
            raise no_such_resource(intersect.relationship)
        is_first = table.name == intersect.first
        wanted = intersect.second if is_first else intersect.first
        if other_id is None:
            other_id = self._referred(wanted)
        first, second = (row_id, other_id) if is_first else (other_id, row_id)
        if self.call.request.method == "DELETE":
            self.edit.disassociate(pairs, first=first, second=second)
        else:
            self.edit.associate(pairs, first=first, second=second)
        return no_content()

    def _referred(self, wanted: str) -> str:
        is_delete = self.call.request.method == "DELETE"
        text = (
            self.call.options.get("$id")
            if is_delete
            else self.call.body().get("@odata.id")
        )
        other, other_id = read_reference(self.edit.connection, self.edit.schema, text)
        if other.name != wanted:
            raise bad_payload(f"A reference to a {wanted} is needed.")
        return other_id

    def _create(self, table: Table, payload: Mapping[str, object]) -> Response:
        within = security.reach(
            self.edit.connection, self.call.caller, table=table, verb="Create"
        )
        row = self.edit.create(table, payload)
        if not within.includes(table, row):
            raise security.denied(self.call.caller, table=table, verb="Create", depth=8)
        if self.call.preferences.wants_representation:
            response = self.reading.representation(table, row, status=201)
            response.headers["OData-EntityId"] = self._address(table, row)
            return response
        return self._done(table, row)

    def _done(self, table: Table, row: Row) -> Response:
        address = self._address(table, row)
        return no_content(OData_EntityId=address, Location=address)

    def _address(self, table: Table, row: Row) -> str:
        return f"{self.call.base}/{table.entity_set}({row[table.key]})"

    def _row(self, table: Table, row_id: str) -> Row:
        row = find(self.edit.connection, table, row_id)
        if row is None:
            raise no_such_row(table.name, row_id)
        return row

    def _insist_on_reach(self, table: Table, row: Row, verb: str) -> None:
        security.insist_on_row(
            self.edit.connection, self.call.caller, table=table, row=row, verb=verb
        )

    def _insist_on_version(self, row: Row, expected: str | None) -> None:
        if expected is not None and expected not in {"*", row[ETAG]}:
            raise WebApiError(
                412,
                VERSION_MISMATCH,
                "The version of the existing record doesn't match the RowVersion"
                " property provided.",
            )

    def _refuse(self, table: Table, message: str) -> None:
        self._refuse_pairs(table, message)
        if table.name in _READ_ONLY:
            raise _not_supported(table, message)

    def _refuse_pairs(self, table: Table, message: str) -> None:
        if table.intersect is not None or table.name == "privilege":
            raise _not_supported(table, message)


def _not_supported(table: Table, message: str) -> WebApiError:
    return WebApiError(
        405,
        "0x80040800",
        f"The '{message}' method does not support entities of type '{table.name}'.",
    )
