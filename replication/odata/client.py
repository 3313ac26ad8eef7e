"""Implements the port `Source` for Dataverse and for other OData v4 services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from http import HTTPStatus
from typing import Literal, TypeVar
from urllib.parse import quote

import msgspec

from replication.domain.modes import Found
from replication.domain.pages import Cursor, Page
from replication.domain.source_profiles import Relationship
from replication.domain.tables import TableDef
from replication.odata import (
    counting,
    csdl,
    links,
    literals,
    metadata,
    polling,
    preferences,
    probing,
    relationships,
    stamps,
)
from replication.odata.answers import Reply, check
from replication.odata.connections import ANYWHERE, Network
from replication.odata.credentials import credential_from
from replication.odata.decoding import Decoded, decoder_for
from replication.odata.errors import (
    AnswerTooLargeError,
    IncompleteLoadError,
    LoopingLinkError,
    MalformedAnswerError,
)
from replication.odata.measured import MeasuredTransport, Observer
from replication.odata.ranges import Ranges
from replication.odata.rows import ODataRowCodec, codec_for
from replication.odata.transport import Limits, RequestsTransport, Transport
from replication.odata.ways import Memory
from replication.odata.writers import writer_of
from replication.odata.writing import SourceWriter
from replication.source import (
    PageReader,
    ResyncRequiredError,
    TrackingUnsupportedError,
)

SourceKind = Literal["dataverse", "odata"]

# The most that Dataverse sends; the same number goes with every page.
PAGE_SIZE = 5000

# Rows too large for a page of this many are beyond what a device could hold.
_SMALLEST_PAGE = 50

Document = TypeVar("Document")


class _WhoAmI(msgspec.Struct):
    organization_id: str = msgspec.field(name="OrganizationId")


class ODataSource:
    """Reads one organization's source; threads may share it."""

    def __init__(
        self,
        transport: Transport,
        *,
        endpoint: str,
        kind: SourceKind,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._transport = transport
        self._base = endpoint.rstrip("/")
        self._kind = kind
        self._page_size = page_size
        # What metadata says to those who write; shared by all that watch this source.
        self._memory = Memory()
        # Tables whose rows are too large for pages of the usual size.
        self._smaller: dict[str, int] = {}
        self._origin = links.origin_of(self._base, allow_loopback=True)

    def fetch_page(self, table: TableDef, cursor: Cursor | None) -> Page:
        """See `Source.fetch_page`.

        A tracked table is complete only with a delta link; its last page without one
        is refused. Rows of the page are meant to be applied before its deletes.
        """
        url = cursor.link if cursor else self._first_link(table)
        reply = self._read(table, url)
        decoded = self._decoded(table, reply, cursor)
        next_link = self.own_link(decoded.next_link, url)
        delta_link = self.own_link(decoded.delta_link, url)
        if next_link == url:
            raise LoopingLinkError(f"A page of {table.name} names itself as the next.")
        if next_link and delta_link:
            message = f"A page of {table.name} has both a next and a delta link."
            raise MalformedAnswerError(message)
        if table.tracked and not next_link and not delta_link:
            raise _no_delta_link(table, reply)
        return _page(
            decoded,
            next_link=next_link,
            delta_link=delta_link if table.tracked else None,
            size=len(reply.body),
            lists_rows=self._kind == "odata" and decoded.denies_delta,
        )

    def _decoded(self, table: TableDef, reply: Reply, cursor: Cursor | None) -> Decoded:
        decoder = decoder_for(table)
        decoded = decoder.decode(reply.body)
        if cursor is None or not table.tracked:
            return decoded
        if cursor.kind == "delta" and decoded.denies_delta:
            # The link has expired, and the service says so by beginning anew.
            raise ResyncRequiredError(
                f"The source sent all of {table.name} instead of its changes."
            )
        if self._kind == "dataverse" or decoded.denies_delta:
            return decoded
        # Changed rows may come without the columns that did not change.
        decoded = decoder.decode(reply.body, may_be_partial=True)
        whole = self.fetch_rows(table, decoded.partial)
        decoded.rows += whole.rows
        decoded.set_aside += whole.set_aside
        return decoded

    def has_row(self, table: TableDef, key: str) -> bool:
        """See `Source.has_row`."""
        url = f"{self._base}/{quote(table.entity_set)}({key})?$select={table.key[0]}"
        reply = self._transport.get(url, headers={})
        if reply.status == HTTPStatus.NOT_FOUND:
            return False
        check(reply, content_type="json")
        return True

    def fetch_rows(self, table: TableDef, keys: Sequence[str]) -> Page:
        """See `Source.fetch_rows`."""
        found = Decoded()
        for condition in literals.conditions(table, keys):
            for decoded in self._filtered(table, condition):
                found.rows += decoded.rows
                found.set_aside += decoded.set_aside
                found.stripped_nuls += decoded.stripped_nuls
        return _page(found, next_link=None, delta_link=None, size=0)

    def _filtered(self, table: TableDef, condition: str) -> Iterator[Decoded]:
        """Return what meets a condition that few rows meet, page by page."""
        untracked = replace(table, tracked=False)
        url = self.address(table, filter=condition)
        for _ in range(literals.KEYS_PER_REQUEST):
            asked = url
            reply = self._read(untracked, asked)
            decoded = decoder_for(table).decode(reply.body)
            yield decoded
            link = self.own_link(decoded.next_link, asked)
            if link is None:
                return
            url = link
        raise LoopingLinkError(f"Few rows of {table.name} have too many pages.")

    def find_mode(self, table: TableDef) -> Found:
        """See `Source.find_mode`."""
        if table.tracked:
            return Found(mode="delta")
        if self._kind == "dataverse":
            return Found(mode="compare")
        return probing.find_mode(self, table)

    def reader(self, found: Found) -> PageReader:
        """See `Source.reader`."""
        if self._kind == "dataverse" or found.mode == "delta":
            return self
        return polling.Poller(self, found)

    def ranges(self) -> Ranges:
        """See `Source.ranges`."""
        return Ranges(self, is_dataverse=self._kind == "dataverse")

    def writer(self) -> SourceWriter:
        """Return what writes to the source, with the same limits and observer.

        :raises TypeError: the source was opened by what only reads.
        """
        return writer_of(
            self,
            self._transport,
            base=self._base,
            is_dataverse=self._kind == "dataverse",
            memory=self._memory,
        )

    def csdl(self) -> Reply:
        """Return the service's metadata document."""
        headers = {"Accept": "application/xml"}
        reply = self._transport.get(f"{self._base}/$metadata", headers=headers)
        check(reply, content_type="xml")
        return reply

    def codec(self, table: TableDef) -> ODataRowCodec:
        return codec_for(table)

    def load_tables(self, names: tuple[str, ...]) -> tuple[TableDef, ...]:
        """See `Source.load_tables`; for other services a name is that of an entity set."""
        if not names:
            return ()
        if self._kind == "dataverse":
            return metadata.load_tables(self, names)
        return csdl.load_tables(self.csdl().body, names)

    def metadata_stamp(self, known: str | None = None) -> str | None:
        """See `Source.metadata_stamp`."""
        if self._kind == "dataverse":
            return stamps.of_dataverse(self._transport, self._base)
        return stamps.of_service(self._transport, self._base, known=known)

    def load_relationships(self, tables: tuple[str, ...]) -> tuple[Relationship, ...]:
        """See `Source.load_relationships`."""
        if self._kind != "dataverse":
            return ()
        return tuple(relationships.load_relationships(self, tables))

    def who_am_i(self) -> str | None:
        """Return the organization's id at Dataverse, None for other services.

        :raises SyncError: the source cannot be used with these credentials.
        """
        if self._kind != "dataverse":
            return None
        return self.document("WhoAmI", shape=_WhoAmI).organization_id.lower()

    def probe(self) -> None:
        """Sign in, and see that OData answers.

        :raises SyncError: a leaf that says what is wrong.
        """
        if self._kind == "dataverse":
            self.who_am_i()
            return
        about = self.document("", shape=dict[str, object])
        if "value" not in about and "@odata.context" not in about:
            raise MalformedAnswerError("The endpoint has no service document.")

    def row_count(self, table: TableDef) -> int | None:
        """Return how many rows the source has, None where it does not tell.

        :raises TransientError: busy, throttling or unreachable.
        """
        return counting.count(self, table, is_dataverse=self._kind == "dataverse")

    def watched(self, observer: Observer) -> ODataSource:
        """Return this source for one work item, whose requests are observed."""
        mine = copy(self)
        mine._transport = MeasuredTransport(self._transport, observer)
        return mine

    def plain(self, path: str) -> Reply:
        """Return the answer in text below the endpoint, unchecked."""
        headers = {"Accept": "text/plain"}
        return self._transport.get(f"{self._base}/{path}", headers=headers)

    def document(self, path: str, *, shape: type[Document]) -> Document:
        """Return a JSON document below the endpoint, read past the source's caches."""
        reply = self._transport.get(
            f"{self._base}/{path}", headers={"Consistency": "Strong"}
        )
        check(reply, content_type="json")
        try:
            return msgspec.json.decode(reply.body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            name = path.partition("?")[0]
            raise MalformedAnswerError(
                f"{name} is not as expected: {error}."
            ) from error

    def read_page(
        self, table: TableDef, address: Callable[[int], str]
    ) -> tuple[Reply, int]:
        """Return an answer, and for how many rows it was asked.

        `address` makes the URL for a number of rows; fewer are asked for while the
        answer is too large.
        """
        while True:
            size = self._smaller.get(table.name, self._page_size)
            headers = {"Prefer": preferences.of_page(table, size)}
            try:
                reply = self._transport.get(address(size), headers=headers)
            except AnswerTooLargeError:
                if size <= _SMALLEST_PAGE:
                    raise
                self._smaller[table.name] = max(size // 4, _SMALLEST_PAGE)
            else:
                check(reply, content_type="json")
                return reply, size

    def _read(self, table: TableDef, url: str) -> Reply:
        return self.read_page(table, lambda _: url)[0]

    def _first_link(self, table: TableDef) -> str:
        if table.tracked:
            # Tracking forbids every other option.
            return self.address(table)
        # Without an order, rows that change between two pages may be missed.
        keys = ",".join(table.column(name).source_name for name in table.key)
        return self.address(table, orderby=keys)

    def address(self, table: TableDef, **options: str) -> str:
        """Return the URL of a table's rows, with query options beside `$select`."""
        if not table.whole_rows:
            names = dict.fromkeys(column.source_name for column in table.columns)
            options = {"select": ",".join(names), **options}
        query = "&".join(
            f"${name}={literals.escaped(value)}" for name, value in options.items()
        )
        url = f"{self._base}/{quote(table.entity_set)}"
        return f"{url}?{query}" if query else url

    def own_link(self, link: str | None, request_url: str) -> str | None:
        """Return a link in absolute form.

        :raises ForeignLinkError: it leads away from the source.
        """
        if not link:
            return None
        resolved = links.resolve(link, request_url=request_url)
        links.target_of(resolved, origin=self._origin)
        return resolved


def _no_delta_link(table: TableDef, reply: Reply) -> Exception:
    applied = reply.headers.get("Preference-Applied")
    if applied is not None and "track-changes" not in applied:
        return TrackingUnsupportedError(
            f"The source does not track changes of {table.name},"
            " although its metadata says so."
        )
    return IncompleteLoadError(
        f"The last page of {table.name} came without a delta link."
    )


def _page(
    decoded: Decoded,
    *,
    next_link: str | None,
    delta_link: str | None,
    size: int,
    lists_rows: bool = False,
) -> Page:
    return Page(
        rows=decoded.rows,
        deletes=decoded.deletes,
        next_link=next_link,
        delta_link=delta_link,
        set_aside=tuple(decoded.set_aside),
        stripped_nuls=decoded.stripped_nuls,
        size=size,
        lists_rows=lists_rows,
    )


def open_source(
    *,
    endpoint: str,
    kind: SourceKind,
    credential: Mapping[str, object],
    ca_certificate: str = "",
    allow_loopback: bool = False,
    page_size: int = PAGE_SIZE,
    limits: Limits | None = None,
    network: Network = ANYWHERE,
) -> ODataSource:
    """Build the source of an organization; nothing is requested yet.

    :raises MisconfiguredError: endpoint, credential or certificate cannot be used.
    """
    transport = RequestsTransport(
        endpoint,
        credential=credential_from(
            credential,
            endpoint=endpoint,
            ca_certificate=ca_certificate,
            allow_loopback=allow_loopback,
            network=network,
        ),
        ca_certificate=ca_certificate,
        allow_loopback=allow_loopback,
        limits=limits,
        network=network,
    )
    return ODataSource(transport, endpoint=endpoint, kind=kind, page_size=page_size)
