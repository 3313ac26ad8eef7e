"""Ask a source how many rows a table has."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from replication.domain.tables import TableDef
from replication.odata.answers import Reply, check
from replication.odata.errors import (
    AccessRefusedError,
    MalformedAnswerError,
    RequestRefusedError,
)

if TYPE_CHECKING:
    from replication.odata.client import ODataSource

# Dataverse counts no further.
_COUNT_LIMIT = 5000


class _Totals(msgspec.Struct):
    values: list[int] = msgspec.field(name="Values")


class _TotalRecordCount(msgspec.Struct):
    totals: _Totals = msgspec.field(name="EntityRecordCountCollection")


def count(source: ODataSource, table: TableDef, *, is_dataverse: bool) -> int | None:
    """Return the number, None where the source does not tell.

    Beyond 5,000, Dataverse knows only what it was within the last day.
    """
    try:
        number = _read(source.plain(f"{quote(table.entity_set)}/$count"))
        if number is None or not is_dataverse or number < _COUNT_LIMIT:
            return number
        path = f"RetrieveTotalRecordCount(EntityNames=['{quote(table.name)}'])"
        totals = source.document(path, shape=_TotalRecordCount).totals.values
    except (RequestRefusedError, AccessRefusedError, MalformedAnswerError):
        return None
    return totals[0] if totals else None


def _read(reply: Reply) -> int | None:
    check(reply, content_type="plain")
    text = reply.body.decode("utf-8-sig", errors="replace").strip()
    is_number = text.isascii() and text.isdigit() and len(text) < 19
    return int(text) if is_number else None
