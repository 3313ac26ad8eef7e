"""Change rows: create, update, delete, and what follows from each.

Every change of a row takes the organization's next version. A new owner
recomputes owninguser, owningteam and owningbusinessunit; owners do not cascade
to related rows. A user or team that moves to another business unit takes the
rows it owns along, as edits of these rows; its roles stay. Deleting a row
deletes the activities regarding it and its notes, and empties other lookups
that point to it.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from sandbox.contoso import journal
from sandbox.contoso.errors import (
    CANNOT_DELETE,
    DUPLICATE_ALTERNATE_KEY,
    DUPLICATE_KEY,
    INVALID_ARGUMENT,
    WebApiError,
    no_such_row,
)
from sandbox.contoso.organization import EURO
from sandbox.contoso.schema import DELETE, LOOKUP_NOTE, RESTRICT, Schema, Table
from sandbox.contoso.store import (
    Row,
    find,
    insert_rows,
    next_version,
    rows_where,
    sql_name,
    update_row,
    wire_moment,
)
from sandbox.contoso.values import compute, read_payload

_NOTHING: Mapping[str, object] = {}

_FIRST_STATUS = {
    "task": {0: 2, 1: 5, 2: 6},
    "appointment": {0: 1, 1: 3, 2: 4, 3: 5},
    "product": {0: 1, 1: 2, 2: 0},
    "syncerror": {0: 0, 1: 1},
}
_UNPUBLISHED = 1
_USUAL_STATUS = {0: 1, 1: 2}


@dataclass(frozen=True, slots=True)
class Edit:
    """A transaction in which somebody changes rows."""

    connection: sqlite3.Connection
    schema: Schema
    now: datetime
    by: str
    # Who really calls, when `by` is impersonated.
    behalf: str | None = None
    references: Mapping[str, str] = field(default_factory=dict)

    def create(self, table: Table, payload: Mapping[str, object]) -> Row:
        """:raises WebApiError: 412 the id is taken; 400 or 404 bad payload."""
        values = self._read(table, payload)
        row_id = str(values.get(table.key) or uuid.uuid4())
        if find(self.connection, table, row_id) is not None:
            raise WebApiError(
                412,
                DUPLICATE_KEY,
                "A record with matching key values already exists.",
            )
        row = _defaults(table) | {table.key: row_id} | values
        row |= {
            "createdon": wire_moment(self.now),
            "_createdby_value": self.by,
            "_createdonbehalfby_value": self.behalf,
        }
        if table.base == "principal":
            row["ownerid"] = row_id
        if table.is_user_owned and row.get("_ownerid_value") is None:
            row |= {"_ownerid_value": self.by}
        self._derive(table, row, changed=set(row))
        self._check_keys(table, row)
        return self._save(table, row, changed=sorted(values), kind="create")

    def update(self, table: Table, row: Row, payload: Mapping[str, object]) -> Row:
        """:raises WebApiError: 400 or 404 bad payload."""
        values = self._read(table, payload)
        values.pop(table.key, None)
        if "statecode" in values and "statuscode" not in values:
            values["statuscode"] = _first_status(table, values["statecode"])
        changed = {name for name in values if values[name] != row.get(name)}
        row = row | values
        self._derive(table, row, changed=changed)
        self._check_tree(table, row, changed=changed)
        if any(changed & set(key.columns) for key in table.keys):
            self._check_keys(table, row)
        row = self._save(table, row, changed=sorted(values), kind="update")
        if table.base == "principal" and "_businessunitid_value" in changed:
            self._take_rows_along(row)
        return row

    def put(self, table: Table, row: Row, values: Row) -> Row:
        """Set what the server itself computes."""
        return self._save(table, row | values, changed=sorted(values), kind="update")

    def delete(self, table: Table, row: Row) -> None:
        """:raises WebApiError: 405 other rows need this one."""
        row_id = str(row[table.key])
        for referring, column in self.schema.referring.get(table.name, ()):
            for other in rows_where(
                self.connection, referring, **{column.wire: row_id}
            ):
                if column.on_delete == RESTRICT:
                    raise _in_use(table, row_id, by=referring)
                if column.on_delete == DELETE:
                    self.delete(referring, other)
                elif other[referring.key] != row_id:
                    other |= {column.wire: None, column.note: None}
                    self._save(referring, other, changed=[column.wire], kind="update")
        self._part_all(table, row_id)
        self._remove(table, row_id)

    def associate(self, pairs: Table, *, first: str, second: str) -> None:
        """Pair two rows; an existing pair stays as it is."""
        intersect = pairs.intersect
        assert intersect is not None
        ids = {intersect.first_column: first, intersect.second_column: second}
        if rows_where(self.connection, pairs, **ids):
            return
        self._save(
            pairs, {pairs.key: str(uuid.uuid4()), **ids}, changed=[], kind="create"
        )

    def disassociate(self, pairs: Table, *, first: str, second: str) -> None:
        """:raises WebApiError: 404 they are not paired."""
        intersect = pairs.intersect
        assert intersect is not None
        ids = {intersect.first_column: first, intersect.second_column: second}
        found = rows_where(self.connection, pairs, **ids)
        if not found:
            raise no_such_row(pairs.name, f"{first}, {second}")
        self._remove(pairs, str(found[0][pairs.key]))

    def set_depth(self, *, role_id: str, privilege_id: str, depth: int) -> None:
        """Grant a privilege to a root role at this depth; 0 takes it away."""
        pairs = self.schema.tables["roleprivileges"]
        ids = {"roleid": role_id, "privilegeid": privilege_id}
        found = rows_where(self.connection, pairs, **ids)
        if depth == 0:
            for row in found:
                self._remove(pairs, str(row[pairs.key]))
            return
        row = found[0] if found else {pairs.key: str(uuid.uuid4()), **ids}
        row["privilegedepthmask"] = depth
        kind = "update" if found else "create"
        self._save(pairs, row, changed=["privilegedepthmask"], kind=kind)

    def share(
        self, table: Table, row_id: str, *, principal: tuple[str, str], mask: int
    ) -> None:
        """Open a row to a user or team; mask 0 takes that back."""
        shares = self.schema.tables["principalobjectaccess"]
        kind, principal_id = principal
        found = rows_where(
            self.connection, shares, principalid=principal_id, objectid=row_id
        )
        row = (
            found[0]
            if found
            else {
                shares.key: str(uuid.uuid4()),
                "principalid": principal_id,
                "principaltypecode": kind,
                "objectid": row_id,
                "objecttypecode": table.name,
                "inheritedaccessrightsmask": 0,
            }
        )
        row |= {"accessrightsmask": mask, "changedon": wire_moment(self.now)}
        made = "update" if found else "create"
        self._save(shares, row, changed=["accessrightsmask"], kind=made)

    def publish(self, table: Table, row_id: str) -> None:
        """:raises WebApiError: there is no such row; 404."""
        row = find(self.connection, table, row_id)
        if row is None:
            raise no_such_row(table.name, row_id)
        row |= {"componentstate": 0, "publishedon": wire_moment(self.now)}
        self._save(table, row, changed=["componentstate"], kind="update")

    def _read(self, table: Table, payload: Mapping[str, object]) -> Row:
        return read_payload(
            self.connection,
            self.schema,
            table=table,
            payload=payload,
            references=self.references,
        )

    def _check_keys(self, table: Table, row: Row) -> None:
        """An alternate key names one row, unless a part of it is null."""
        for key in table.keys:
            values = {name: row.get(name) for name in key.columns}
            if None in values.values():
                continue
            others = rows_where(self.connection, table, **values)
            if any(other[table.key] != row[table.key] for other in others):
                raise WebApiError(
                    412,
                    DUPLICATE_ALTERNATE_KEY,
                    "A record that has the attribute values"
                    f" {', '.join(key.columns)} already exists. The entity key"
                    f" {key.name} requires that this set of attributes contains"
                    " unique values. Select unique values and try again.",
                )

    def _derive(self, table: Table, row: Row, *, changed: set[str]) -> None:
        if "_ownerid_value" in changed:
            row |= self._ownership(row)
        if "exchangerate" in table.by_wire and table.lookups:
            row |= self._currency(table, row, changed=changed)
        if table.name == "annotation":
            row["objecttypecode"] = row.get(f"_objectid_value{LOOKUP_NOTE}")
        if "documentbody" in changed:
            # Three bytes are written as four characters.
            body = str(row.get("documentbody") or "")
            row["filesize"] = len(body) // 4 * 3 - body[-2:].count("=")
        if "publishedon" in table.by_wire:
            row["componentstate"] = _UNPUBLISHED
        row |= compute(table, row, changed=changed)

    def _ownership(self, row: Row) -> Row:
        owner_id = str(row["_ownerid_value"])
        tables = self.schema.tables
        user = find(self.connection, tables["systemuser"], owner_id)
        owner = user or find(self.connection, tables["team"], owner_id)
        if owner is None:
            raise no_such_row("systemuser", owner_id)
        if user is None and owner["teamtype"] == 1:
            raise WebApiError(400, INVALID_ARGUMENT, "An access team owns no rows.")
        return {
            f"_ownerid_value{LOOKUP_NOTE}": "systemuser" if user else "team",
            "_owninguser_value": owner_id if user else None,
            "_owningteam_value": None if user else owner_id,
            "_owningbusinessunit_value": owner["_businessunitid_value"],
        }

    def _currency(self, table: Table, row: Row, *, changed: set[str]) -> Row:
        lookup = "_transactioncurrencyid_value"
        has_money = any(
            column.type == "Money" and row.get(column.wire) is not None
            for column in table.columns
        )
        if lookup not in table.by_wire:
            return {}
        currency_id = row.get(lookup) or (EURO if has_money else None)
        if currency_id is None or (lookup not in changed and row.get(lookup)):
            return {}
        currencies = self.schema.tables["transactioncurrency"]
        currency = find(self.connection, currencies, str(currency_id))
        changed.add("exchangerate")
        rate = Decimal(1) if currency is None else currency["exchangerate"]
        return {lookup: currency_id, "exchangerate": rate}

    def _check_tree(self, table: Table, row: Row, *, changed: set[str]) -> None:
        """Business units form one tree, whose root stays the root."""
        lookup = "_parentbusinessunitid_value"
        if lookup not in changed:
            return
        above = row[lookup]
        while above is not None and above != row[table.key]:
            unit = find(self.connection, table, str(above))
            above = None if unit is None else unit[lookup]
        before = find(self.connection, table, str(row[table.key]))
        was_root = before is not None and before[lookup] is None
        if above is not None or row[lookup] is None or was_root:
            raise WebApiError(
                400, INVALID_ARGUMENT, "Business units cannot form a cycle."
            )

    def _take_rows_along(self, principal: Row) -> None:
        unit = principal["_businessunitid_value"]
        for table in self.schema.tables.values():
            if not table.is_user_owned:
                continue
            for row in rows_where(
                self.connection, table, _ownerid_value=principal["ownerid"]
            ):
                row["_owningbusinessunit_value"] = unit
                self._save(
                    table, row, changed=["_owningbusinessunit_value"], kind="update"
                )

    def _part_all(self, table: Table, row_id: str) -> None:
        for pairs in self.schema.intersects.values():
            intersect = pairs.intersect
            assert intersect is not None
            for side, column in (
                (intersect.first, intersect.first_column),
                (intersect.second, intersect.second_column),
            ):
                if side == table.name:
                    for row in rows_where(self.connection, pairs, **{column: row_id}):
                        self._remove(pairs, str(row[pairs.key]))

    def _save(self, table: Table, row: Row, *, changed: list[str], kind: str) -> Row:
        if "modifiedon" in table.by_wire:
            row["modifiedon"] = wire_moment(self.now)
            row["_modifiedby_value"] = self.by
            row["_modifiedonbehalfby_value"] = self.behalf
        row = table.arrange(row, version=next_version(self.connection))
        if kind == "create":
            insert_rows(self.connection, table, [row])
        else:
            update_row(self.connection, table, row)
        names = changed or [name for name in row if "@" not in name]
        self._note(
            table,
            str(row[table.key]),
            changed=changed,
            kind=kind,
            values={name: row.get(name) for name in names},
        )
        return row

    def _remove(self, table: Table, row_id: str) -> None:
        version = next_version(self.connection)
        self.connection.execute(f"DELETE FROM {sql_name(table)} WHERE id=?", (row_id,))
        self.connection.execute(
            "INSERT INTO deleted VALUES (?, ?, ?)", (table.name, version, row_id)
        )
        self._note(table, row_id, changed=[], kind="delete")

    def _note(
        self,
        table: Table,
        row_id: str,
        *,
        changed: list[str],
        kind: str,
        values: Mapping[str, object] = _NOTHING,
    ) -> None:
        journal.note(
            self.connection,
            journal.Written(
                at=wire_moment(self.now),
                by=self.by,
                behalf=self.behalf,
                kind=kind,
                table=table.name,
                row_id=row_id,
                changed=changed,
                values=values,
            ),
        )


def _defaults(table: Table) -> Row:
    row: Row = {
        column.wire: False for column in table.columns if column.type == "Boolean"
    }
    if "statecode" in table.by_wire:
        row |= {"statecode": 0, "statuscode": _first_status(table, 0)}
    if "activitytypecode" in table.by_wire:
        row["activitytypecode"] = table.name
    return row


def _first_status(table: Table, state: object) -> object:
    known = _FIRST_STATUS.get(table.name, _USUAL_STATUS)
    return known.get(state) if isinstance(state, int) else None


def _in_use(table: Table, row_id: str, *, by: Table) -> WebApiError:
    return WebApiError(
        405,
        CANNOT_DELETE,
        f"The {table.name} With Id = {row_id} cannot be deleted because it is"
        f" referenced by a {by.name}.",
    )
