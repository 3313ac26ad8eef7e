"""Makes what writes to a source, by the kind of service that it is."""

from __future__ import annotations

from typing import Protocol

from replication.odata.metadata import Reader
from replication.odata.service_ways import Documents, ServiceWays
from replication.odata.transport import Transport, writing
from replication.odata.ways import Memory, Ways
from replication.odata.writing import SourceWriter


class Metadata(Reader, Documents, Protocol):
    """Reads what a source says of its tables."""


def writer_of(
    metadata: Metadata,
    transport: Transport,
    *,
    base: str,
    is_dataverse: bool,
    memory: Memory,
) -> SourceWriter:
    """Return what writes through this transport.

    :raises TypeError: the transport only reads.
    """
    ways = Ways(metadata, memory) if is_dataverse else ServiceWays(metadata, memory)
    return SourceWriter(
        writing(transport),
        base=base,
        is_dataverse=is_dataverse,
        references=ways,
        memory=memory,
    )
