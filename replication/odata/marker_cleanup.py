"""Removes markers that no retry will ever ask for."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct, field

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata import markers
from replication.odata.client import ODataSource
from replication.odata.literals import escaped
from replication.odata.writing import Write, WriteRefusedError

# All of them go in one request, as one change set.
MOST = 200


class _Marker(Struct):
    id: str = field(name=markers.KEY)


class _Markers(Struct):
    value: list[_Marker]


def remove_old(source: ODataSource, *, before: datetime) -> int:
    """Remove markers made before a moment, some of them; return how many went.

    Repeat it while it returns `MOST`. An organization without markers has none to lose.

    :raises SyncError: the source cannot be asked, or refuses.
    """
    writer = source.writer()
    entity_set = writer.marker_set()
    if entity_set is None:
        return 0
    moment = before.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    path = (
        f"{entity_set}?$select={markers.KEY}"
        f"&$filter={escaped(f'createdon lt {moment}Z')}&$top={MOST}"
    )
    found = source.document(path, shape=_Markers).value
    table = _table(entity_set)
    gone = [Write(table=table, op="delete", key=(marker.id,)) for marker in found]
    if not gone:
        return 0
    try:
        writer.send(gone, caller=None)
    except WriteRefusedError as error:
        if error.reason != "not_found":
            raise
        # Somebody else removes them as well.
        return 0
    return len(gone)


def _table(entity_set: str) -> TableDef:
    key = ColumnDef(
        name=markers.KEY, type=ColumnType.GUID, source_name=markers.KEY, required=True
    )
    return TableDef(
        name=markers.TABLE, entity_set=entity_set, key=(markers.KEY,), columns=(key,)
    )
