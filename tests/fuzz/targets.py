"""What is fed with bad documents, and what it may say to them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from project.errors import SyncError
from replication.domain import modes, mutations
from replication.domain.modes import UnreadableStampError
from replication.domain.mutations import Place
from replication.domain.tables import ColumnDef, ColumnType
from replication.odata import csdl, keys, links
from replication.odata.decoding import decoder_for
from replication.odata.keys import UnusableKeyError
from replication.odata.rows import codec_for
from sandbox.plain.tables import METADATA, SETS
from syncapi import parsing

TABLES = csdl.load_tables(METADATA, tuple(SETS))
_ORIGIN = links.origin_of("https://a.example/odata", allow_loopback=False)
_STAMP = ColumnDef(name="s", type=ColumnType.DATETIME, source_name="s")
_NOW = datetime(2026, 11, 22, tzinfo=UTC)


def read_metadata(document: bytes) -> None:
    try:
        csdl.load_tables(document, (*SETS, "ts"))
    except SyncError:
        return


def read_page(document: bytes) -> None:
    """As pulls do it: decode, and make keys, versions and COPY text of the rows."""
    # One table a document, whichever it is: the names of columns are damaged too.
    table = replace(TABLES[len(document) % len(TABLES)], tracked=True)
    for may_be_partial in (False, True):
        try:
            page = decoder_for(table).decode(document, may_be_partial=may_be_partial)
        except SyncError:
            continue
        codec = codec_for(table)
        for row in page.rows:
            codec.key(row)
            codec.version(row)
        codec.copy_lines(page.rows)


def read_link(document: bytes) -> None:
    text = document.decode(errors="replace")
    try:
        resolved = links.resolve(text, request_url="https://a.example/odata/Products")
        target = links.target_of(resolved, origin=_ORIGIN)
    except SyncError:
        pass
    else:
        assert target.startswith("/")
    for table in TABLES:
        try:
            keys.key_of_id(table, text)
        except UnusableKeyError:
            continue
    with contextlib.suppress(ValueError):
        modes.place_of(text)
    try:
        high = modes.highest(_STAMP, [text], now=_NOW)
        if high is not None:
            modes.low_end(_STAMP, high)
    except UnreadableStampError:
        pass


def read_upload(document: bytes) -> None:
    """As uploads are taken: decode, check, and make what is stored of them."""
    try:
        upload = parsing.decoded_by(mutations.decoded, document)
        mutations.check(upload.mutations)
        new = mutations.fresh(
            upload.mutations, known={}, place=Place(next_sequence=1, is_open=True)
        )
    except SyncError:
        return
    for one in new:
        # What PostgreSQL has to take as text.
        row_key = one.mutation.row_key or ""
        texts = (one.mutation.table or "", one.mutation.base_version or "", row_key)
        assert "\0" not in "".join(texts)
        assert b"\\u0000" not in msgspec.json.encode(one.mutation.key_parts)
        again = mutations.decoded(
            b'{"device":"%b","mutations":[{"id":"%b","sequence":1,%b]}'
            % (upload.device.encode(), one.mutation.id.encode(), one.body[1:])
        )
        assert again.mutations[0].body() == one.body
