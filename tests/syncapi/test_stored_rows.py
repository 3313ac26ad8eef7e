"""Rows that are stored compressed reach every client as the same text."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable

import pytest
import zstandard

from replication.services.serving import StoredRows
from tests.syncapi.engines import DEVICE, begin, point, rows

PATH = f"/sync/v1/orgs/contoso/changes?device={DEVICE}&model=7f3c"


def stored(*names: str) -> StoredRows:
    content = rows(*names).upserts
    frame = zstandard.ZstdCompressor().compress(content)
    return StoredRows(table="account", frame=frame)


def unzstd(content: bytes) -> bytes:
    decompressor = zstandard.ZstdDecompressor()
    whole: bytes = decompressor.stream_reader(content, read_across_frames=True).read()
    return whole


DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": unzstd,
    "gzip": lambda content: zlib.decompress(content, 31),
    "identity": bytes,
}

PLAIN = (
    begin(),
    rows("Fabrikam", deletes=b'"9b"'),
    rows("Contoso", "Adatum"),
    point(complete=False),
    rows("Litware"),
    rows("Tailspin"),
    point(),
)
STORED = (
    begin(),
    rows("Fabrikam", deletes=b'"9b"'),
    stored("Contoso", "Adatum"),
    point(complete=False),
    stored("Litware"),
    stored("Tailspin"),
    point(),
)


@pytest.mark.parametrize("coding", DECODERS)
def test_stored_rows_say_what_rows_say(ada, device, engine, coding):
    told = []
    for messages in (PLAIN, STORED):
        engine.says(*messages)
        answer = ada.get(PATH, headers={"Accept-Encoding": coding})
        assert answer.headers.get("Content-Encoding", "identity") == coding
        told.append(DECODERS[coding](answer.getvalue()))

    assert told[0] == told[1]
    assert len([json.loads(line) for line in told[1].splitlines()]) == len(STORED)


def test_who_takes_zstd_gets_the_very_bytes_that_are_stored(ada, device, engine):
    message = stored(*(f"Account {number}" for number in range(1_000)))
    engine.says(begin(), message, point())

    answer = ada.get(PATH, headers={"Accept-Encoding": "zstd"})

    assert message.frame in answer.getvalue()


def test_a_client_can_decode_up_to_each_checkpoint_as_it_comes(ada, device, engine):
    engine.says(*STORED)

    decoder = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    seen = []
    for piece in ada.get(PATH, headers={"Accept-Encoding": "zstd"}).streaming_content:
        seen.append(decoder.decompress(piece))

    assert seen[0].endswith(b"}\n")
    assert b"".join(seen).count(b"\n") == len(STORED)
