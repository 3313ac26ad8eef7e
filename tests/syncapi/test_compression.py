"""Content codings: which one is chosen, and that nothing is lost by it."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
import zstandard

from syncapi.compression import chosen_coding, pieces
from syncapi.ndjson import Line

LINES = [
    Line(b'{"type":"begin"}\n'),
    Line(b'{"type":"rows"}\n' * 5_000),
    Line(b'{"type":"checkpoint","complete":false}\n', is_checkpoint=True),
    Line(b'{"type":"rows"}\n'),
    Line(b'{"type":"checkpoint","complete":true}\n', is_checkpoint=True),
]
WHOLE = b"".join(line.content for line in LINES)
UP_TO_FIRST_CHECKPOINT = b"".join(line.content for line in LINES[:3])


class Plain:
    def decompress(self, content: bytes) -> bytes:
        return content


DECODERS: dict[str, Any] = {
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "gzip": lambda: zlib.decompressobj(31),
    "identity": Plain,
}


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", "identity"),
        ("zstd, gzip", "zstd"),
        ("gzip, zstd", "zstd"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("br, deflate", "identity"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("zstd;q=0.5, gzip;q=0.8", "gzip"),
        ("zstd; q=0.5 , gzip;q=0.4", "zstd"),
        ("zstd;q=0, gzip;q=0", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip", "gzip"),
        ("zstd;q=nan, gzip;q=2, *;q=x", "identity"),
        (";;,,q=1", "identity"),
    ],
)
def test_the_client_chooses_the_coding(accepted, coding):
    assert chosen_coding(accepted) == coding


@pytest.mark.parametrize("coding", DECODERS)
def test_every_coding_carries_the_same_lines(coding):
    decoder = DECODERS[coding]()

    decoded = b"".join(decoder.decompress(one) for one in pieces(LINES, coding=coding))

    assert decoded == WHOLE


@pytest.mark.parametrize("coding", DECODERS)
def test_up_to_a_checkpoint_everything_can_be_decoded_before_the_next_line(coding):
    asked_for = []

    def lines():
        for line in LINES:
            asked_for.append(line)
            yield line

    decoder, decoded = DECODERS[coding](), b""
    for piece in pieces(lines(), coding=coding):
        decoded += decoder.decompress(piece)
        if len(asked_for) == 3:
            break

    assert decoded == UP_TO_FIRST_CHECKPOINT


def test_small_lines_travel_together():
    small = [Line(b'{"type":"rows"}\n')] * 100

    assert len(list(pieces(small, coding="identity"))) == 1
