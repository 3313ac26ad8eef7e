"""Read a stored mutation, and say whether its user may make that edit now. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, cast
from uuid import UUID

import msgspec

from replication.domain.same_values import same_value
from replication.domain.tables import ColumnDef, TableDef
from replication.domain.upload_order import Place, named_rows
from replication.domain.writing_back import Intent, RowOp, Settled
from replication.odata.values import GUID
from replication.odata.wire_values import UnfitValueError, key_segment
from replication.odata.writing import Write
from replication.staging.write_backs import Stored
from replication.visibility.access import TableAccess
from replication.visibility.writable import ColumnRight, StagedRow, Writable

ROW_OPS = frozenset({"create", "update", "delete"})
LINK_OPS = frozenset({"associate", "disassociate"})

VOID = Settled(status="applied")
GROUP_FAILED = "Not done, because mutation {} of its group failed."
# Without a name the edit would be made with the service's own rights.
NOBODY = Settled(
    status="rejected",
    reason="not_permitted",
    message="The source does not know in whose name to do this.",
)
NO_ACCESS = Settled(
    status="rejected",
    reason="not_permitted",
    message="The user may not take anything along now.",
)


class Body(msgspec.Struct, frozen=True):
    """The members of a mutation that its columns in staging do not repeat."""

    values: dict[str, Any] = {}
    base_values: dict[str, Any] = {}
    relationship: str | None = None
    other_key: Any = None


_decoder = msgspec.json.Decoder(Body, float_hook=Decimal)
# NUL as JSON writes it; a backslash before it may be one that was escaped itself.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# Names are the device's, of any length; a message only has to be recognized.
_NAME_LENGTH = 100


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A mutation as it is carried out."""

    stored: Stored
    # None: staging has no such table, or the mutation names none.
    table: TableDef | None = None

    @cached_property
    def body(self) -> Body:
        return _decoder.decode(self.stored.body)

    @cached_property
    def has_nul(self) -> bool:
        """Whether a text or a name holds NUL, for which PostgreSQL has no room."""
        return _NUL.search(self.stored.body) is not None

    @property
    def is_of_row(self) -> bool:
        return self.stored.op in ROW_OPS

    @property
    def key(self) -> tuple[Any, ...]:
        key = self.stored.key or []
        return tuple(
            part.lower() if isinstance(part, str) and GUID.fullmatch(part) else part
            for part in key
        )

    @property
    def other_key(self) -> tuple[Any, ...]:
        other = self.body.other_key
        return tuple(other) if isinstance(other, list) else (other,)

    @cached_property
    def values(self) -> dict[str, Any]:
        """What is to be written, beside the key."""
        key = self.table.key if self.table else ()
        return {n: value for n, value in self.body.values.items() if n not in key}

    @cached_property
    def intent(self) -> Intent:
        return Intent(
            op=cast(RowOp, self.stored.op),
            base_version=self.stored.base_version,
            values=self.values,
            base_values=self.body.base_values,
        )

    @cached_property
    def place(self) -> Place:
        """What decides on its turn."""
        columns = {c.name: c for c in self.table.columns} if self.table else {}
        # What holds NUL is refused, and no row has such a key.
        names = frozenset() if self.has_nul else named_rows(self.values, columns)
        if self.stored.op in LINK_OPS and len(self.other_key) == 1:
            names |= {(None, str(self.other_key[0]).lower())}
        return Place(
            id=self.stored.id,
            sequence=self.stored.sequence,
            op=self.stored.op,
            row=self.stored.row,
            group=self.stored.group_id,
            names=names,
            accepted_at=self.stored.accepted_at,
        )

    def write(
        self,
        *,
        values: Mapping[str, Any] | None = None,
        if_match: str | None = None,
    ) -> Write:
        assert self.table is not None
        is_link = self.stored.op in LINK_OPS
        return Write(
            table=self.table,
            op=cast(Any, self.stored.op),
            key=self.key,
            values=self.values if values is None else values,
            if_match=if_match,
            relationship=self.body.relationship,
            other_key=self.other_key if is_link else (),
        )

    def same(self, column: str, left: Any, right: Any) -> bool:
        """Whether two values of a column are one, however each is written."""
        try:
            kind = self.table.column(column).type if self.table else None
        except KeyError:
            kind = None
        return left == right if kind is None else same_value(kind, left, right)


def refusal(
    edit: Edit, rights: Writable, *, own: tuple[str, UUID] | None
) -> Settled | None:
    """Why the user may not make this edit now; None if he may.

    `own`: the version that this device's last edit of the row has left, and whose edit
    it was. A row that is still so is the device's, though no filter includes it.
    """
    stored = edit.stored
    if rights.access is None:
        return NO_ACCESS
    if edit.has_nul:
        return _refused("invalid", "A text holds NUL, which is never stored.")
    table = rights.table(stored.table)
    if table is None or not table.writable:
        return _table_refusal(stored.table, table)
    if not is_key_of(table.source.definition, edit.key):
        return _refused("invalid", f"The key is none of {stored.table}.")
    if stored.op != "create" and stored.row is not None:
        staged = rights.row(stored.row)
        if not (staged.is_visible or is_own(stored.user_id, staged, own)):
            return _refused("not_found", "The user has no such row.")
    return _column_refusal(edit, table, rights) if edit.is_of_row else None


def _table_refusal(name: str | None, table: TableAccess | None) -> Settled:
    if name is None:
        # Of a relationship: it is known by its row, and there is none.
        return _refused("not_found", "The user has no such row.")
    if table is None:
        return _refused("not_permitted", f"{name} is not among the user's data.")
    return _refused("not_writable", f"{name} is not to be edited on devices.")


def is_own(user_id: UUID, staged: StagedRow, own: tuple[str, UUID] | None) -> bool:
    """Whether the user's device has edited the row last, and nobody since."""
    if own is None or own[1] != user_id:
        return False
    return staged.version in (None, own[0])


def is_key_of(table: TableDef, key: tuple[Any, ...]) -> bool:
    """Whether a row may have this key.

    Rows are read back by conditions that are made of their keys; what is no value of
    its column could be any other condition.
    """
    try:
        key_segment(table, key)
    except UnfitValueError:
        return False
    return True


def _column_refusal(edit: Edit, table: TableAccess, rights: Writable) -> Settled | None:
    definition = table.source.definition
    columns: dict[str, ColumnDef] = {column.name: column for column in table.columns}
    right: ColumnRight = "cancreate" if edit.stored.op == "create" else "canupdate"
    for name, value in edit.body.values.items():
        if name in definition.key:
            position = definition.key.index(name)
            if edit.same(name, value, edit.key[position]):
                continue
            return _refused("not_writable", f"Column {name} is the row's key.")
        column = columns.get(name)
        if column is None or not rights.may_write(table, column, right):
            return _refused(
                "not_writable", f"Column {name[:_NAME_LENGTH]} is not to be written."
            )
    return None


def _refused(reason: str, message: str) -> Settled:
    return Settled(status="rejected", reason=reason, message=message)
