"""Answer writes: create, update, upsert, delete, one property, references between rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.wrappers import Response

from sandbox.contoso import column_rights, files, objections, security
from sandbox.contoso.addresses import Key, find_by, read_key, resolve, split_key
from sandbox.contoso.errors import (
    DUPLICATE_KEY,
    VERSION_MISMATCH,
    WebApiError,
    bad_payload,
    no_such_property,
    no_such_resource,
    no_such_row,
)
from sandbox.contoso.reading import Reading
from sandbox.contoso.requests import Call, no_content
from sandbox.contoso.schema import ETAG, FILE_TYPES, Table
from sandbox.contoso.store import Row, find
from sandbox.contoso.values import BIND
from sandbox.contoso.writes import Edit

# Dataverse has messages of its own for these, or makes them itself.
_READ_ONLY = frozenset({"role", "privilege", "businessunit", "organization"})
# Who owns a row is a matter of Assign, not of Append.
_OWNERS = frozenset({"ownerid"})


@dataclass(frozen=True, slots=True)
class Writing:
    """One call that writes, in one transaction."""

    call: Call
    edit: Edit
    reading: Reading

    def create(self, table: Table, payload: Mapping[str, object]) -> Response:
        row = self.created(table, payload)
        if self.call.preferences.wants_representation:
            response = self.reading.representation(table, row, status=201)
            response.headers["OData-EntityId"] = self._address(table, row)
            return response
        return self._done(table, row)

    def update(self, table: Table, key: Key, payload: Mapping[str, object]) -> Response:
        """PATCH: an update, or a create when the row is missing and may be."""
        row = find_by(self.edit.connection, table, key)
        headers = self.call.request.headers
        if row is None:
            if headers.get("If-Match") is not None:
                raise no_such_row(table.name, key.text)
            return self.create(table, {**payload, **key.values})
        if headers.get("If-None-Match") == "*":
            raise WebApiError(
                412, DUPLICATE_KEY, "A record with matching key values already exists."
            )
        self._insist_on_version(row, headers.get("If-Match"))
        row = self.updated(table, row, payload)
        if self.call.preferences.wants_representation:
            return self.reading.representation(table, row, status=200)
        return self._done(table, row)

    def delete(self, table: Table, key: Key) -> Response:
        self._refuse(table, "Delete")
        row = self._row(table, key)
        self._insist_on_version(row, self.call.request.headers.get("If-Match"))
        self._insist_on_reach(table, row, "Delete")
        self._insist_on_no_objection(table, "delete", row)
        self.edit.delete(table, row)
        return no_content()

    def set_property(self, table: Table, key: Key, name: str) -> Response:
        """PUT `accounts(id)/name` sets one property, DELETE empties it."""
        column = table.by_wire.get(name)
        if column is None or column.is_lookup:
            raise no_such_property(name, type_name=table.name)
        is_delete = self.call.request.method == "DELETE"
        value = None if is_delete else self.call.body().get("value")
        row = self._row(table, key)
        self._insist_on_version(row, self.call.request.headers.get("If-Match"))
        self.updated(table, row, {name: value})
        return no_content()

    def set_file(self, table: Table, key: Key, name: str) -> Response:
        """PATCH `accounts(id)/contract` brings a file, whole or a block of it."""
        column = table.by_name.get(name)
        if column is None or column.type not in FILE_TYPES:
            raise no_such_property(name, type_name=table.name)
        row = self._row(table, key)
        self._insist_on_version(row, self.call.request.headers.get("If-Match"))
        self._insist_on_reach(table, row, "Write")
        self._insist_on_columns(table, {column.wire: ""}, "canupdate")
        self._insist_on_no_objection(table, "update", row)
        return files.upload(self.edit, self.call, table=table, row=row, column=column)

    def reference(self, table: Table, key: Key, property_name: str) -> Response:
        """POST, PUT or DELETE `…/property/$ref`, or `…/property(id)/$ref`."""
        row = self._row(table, key)
        keyed = split_key(property_name)
        name = keyed[0] if keyed else property_name
        pairs = self.edit.schema.intersects.get(name)
        if pairs is not None:
            self._insist_on_reach(table, row, "Write")
            return self._pair(table, str(row[table.key]), pairs, keyed)
        collection = self.edit.schema.collections.get((table.name, name))
        if collection is not None:
            return self._link(table, row, name, keyed)
        if name not in table.binds or not table.binds[name][0].settable:
            raise no_such_resource(property_name)
        is_delete = self.call.request.method == "DELETE"
        value = None if is_delete else self.call.body().get("@odata.id")
        self.updated(table, row, {f"{name}{BIND}": value})
        return no_content()

    def created(self, table: Table, payload: Mapping[str, object]) -> Row:
        """:raises WebApiError: the caller may not, or the payload does not fit."""
        self._refuse(table, "Create")
        within = security.reach(
            self.edit.connection, self.call.caller, table=table, verb="Create"
        )
        self._insist_on_columns(table, payload, "cancreate")
        row = self.edit.create(table, payload)
        self._insist_on_no_objection(table, "create", row)
        if not within.includes(table, row):
            raise security.denied(self.call.caller, table=table, verb="Create", depth=8)
        self._insist_on_links(table, row, payload)
        return row

    def updated(self, table: Table, row: Row, payload: Mapping[str, object]) -> Row:
        """:raises WebApiError: the caller may not, or the payload does not fit."""
        if not table.is_writable:
            raise not_supported(table, "Update")
        self._insist_on_reach(table, row, "Write")
        self._insist_on_columns(table, payload, "canupdate")
        after = self.edit.update(table, row, payload)
        self._insist_on_no_objection(table, "update", after)
        if after.get("_ownerid_value") != row.get("_ownerid_value"):
            self._insist_on_reach(table, row, "Assign")
        self._insist_on_links(table, after, payload)
        return after

    def _pair(
        self, table: Table, row_id: str, pairs: Table, keyed: tuple[str, str] | None
    ) -> Response:
        intersect = pairs.intersect
        assert intersect is not None
        if table.name not in {intersect.first, intersect.second}:
            raise no_such_resource(intersect.relationship)
        is_first = table.name == intersect.first
        wanted = self.edit.schema.tables[
            intersect.second if is_first else intersect.first
        ]
        other_id = self._referred(wanted, keyed)
        first, second = (row_id, other_id) if is_first else (other_id, row_id)
        if self.call.request.method == "DELETE":
            self.edit.disassociate(pairs, first=first, second=second)
        else:
            self.edit.associate(pairs, first=first, second=second)
        return no_content()

    def _link(
        self, table: Table, row: Row, name: str, keyed: tuple[str, str] | None
    ) -> Response:
        """Let a row of a collection refer to this one, or no more."""
        source, column = self.edit.schema.collections[table.name, name]
        way = next(n for n in column.navigations if n.relationship == name)
        other_id = self._referred(source, keyed)
        other = find(self.edit.connection, source, other_id)
        assert other is not None
        is_delete = self.call.request.method == "DELETE"
        address = f"{table.entity_set}({row[table.key]})"
        bound = {f"{way.name}{BIND}": None if is_delete else address}
        self.updated(source, other, bound)
        return no_content()

    def _referred(self, wanted: Table, keyed: tuple[str, str] | None) -> str:
        """Return the id of the other row of `$ref`, which must be of this table."""
        connection = self.edit.connection
        if keyed is not None:
            row = find_by(connection, wanted, read_key(wanted, keyed[1]))
            if row is None:
                raise no_such_row(wanted.name, keyed[1])
            return str(row[wanted.key])
        is_delete = self.call.request.method == "DELETE"
        text = (
            self.call.options.get("$id")
            if is_delete
            else self.call.body().get("@odata.id")
        )
        other, other_id = resolve(
            connection, self.edit.schema, text, references=self.call.references
        )
        if other.name != wanted.name:
            raise bad_payload(f"A reference to a {wanted.name} is needed.")
        return other_id

    def _done(self, table: Table, row: Row) -> Response:
        address = self._address(table, row)
        return no_content(OData_EntityId=address, Location=address)

    def _address(self, table: Table, row: Row) -> str:
        return f"{self.call.base}/{table.entity_set}({row[table.key]})"

    def _row(self, table: Table, key: Key) -> Row:
        row = find_by(self.edit.connection, table, key)
        if row is None:
            raise no_such_row(table.name, key.text)
        return row

    def _insist_on_reach(self, table: Table, row: Row, verb: str) -> None:
        security.insist_on_row(
            self.edit.connection, self.call.caller, table=table, row=row, verb=verb
        )

    def _insist_on_links(
        self, table: Table, row: Row, payload: Mapping[str, object]
    ) -> None:
        """A row may refer to another by Append on it and AppendTo on the other."""
        named = {name.removesuffix(BIND) for name in payload if payload[name]}
        for name in named & table.binds.keys():
            column, _ = table.binds[name]
            if row[column.wire] is None or column.name in _OWNERS:
                continue
            self._insist_on_reach(table, row, "Append")
            target = self.edit.schema.tables[str(row[column.note])]
            other = find(self.edit.connection, target, str(row[column.wire]))
            if other is not None:
                self._insist_on_reach(target, other, "AppendTo")

    def _insist_on_columns(
        self, table: Table, payload: Mapping[str, object], right: str
    ) -> None:
        column_rights.insist(
            self.edit.connection,
            self.call.caller,
            table=table,
            right=right,
            written=payload,
        )

    def _insist_on_no_objection(self, table: Table, kind: str, row: Row) -> None:
        objections.insist_on_none(self.edit.connection, table=table, kind=kind, row=row)

    def _insist_on_version(self, row: Row, expected: str | None) -> None:
        if expected is not None and expected not in {"*", row[ETAG]}:
            raise WebApiError(
                412,
                VERSION_MISMATCH,
                "The version of the existing record doesn't match the RowVersion"
                " property provided.",
            )

    def _refuse(self, table: Table, message: str) -> None:
        if not table.is_writable or table.name in _READ_ONLY:
            raise not_supported(table, message)


def not_supported(table: Table, message: str) -> WebApiError:
    return WebApiError(
        405,
        "0x80040800",
        f"The '{message}' method does not support entities of type '{table.name}'.",
    )
