"""The patterns of `like` and its kin, and how PostgreSQL spells them. Pure.

`%` stands for any text and `_` for any one character. Brackets around one character
take it literally: `[%]`, `[_]`, `[[]`. Other sets of SQL Server's are refused: what
lies between two letters depends on its collation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

_PIECE = re.compile(r"\[(?P<literal>[^\^])\]|(?P<open>\[)|(?P<plain>.)", re.DOTALL)


class Wildcard(Enum):
    ANY = "%"
    ONE = "_"


_WILDCARDS = {wildcard.value: wildcard for wildcard in Wildcard}


class PatternError(ValueError):
    """The pattern holds a set of characters."""


def pieces(pattern: str) -> tuple[str | Wildcard, ...]:
    """:raises PatternError: it holds a set of characters."""
    return tuple(_pieces(pattern))


def _pieces(pattern: str) -> Iterator[str | Wildcard]:
    for match in _PIECE.finditer(pattern):
        if match["open"]:
            raise PatternError(
                "sets of characters in brackets are not supported;"
                " brackets may hold one character, which is then taken literally"
            )
        if match["literal"]:
            yield match["literal"]
        else:
            yield _WILDCARDS.get(match["plain"], match["plain"])


def literal(pattern: str) -> str | None:
    """The only text that matches; None if the pattern has wildcards."""
    plain = [piece for piece in pieces(pattern) if isinstance(piece, str)]
    return "".join(plain) if len(plain) == len(pieces(pattern)) else None


def shortest(pattern: str) -> str:
    """The same pattern with the fewest brackets and percent signs."""
    written: list[str] = []
    for piece in pieces(pattern):
        if piece is Wildcard.ANY and written[-1:] == ["%"]:
            continue
        if isinstance(piece, Wildcard):
            written.append(piece.value)
        else:
            written.append(f"[{piece}]" if piece in "%_[" else piece)
    return "".join(written)


def quoted(text: str) -> str:
    """The pattern that this text alone matches."""
    return re.sub(r"[%_\[]", r"[\g<0>]", text)


def in_postgres(pattern: str) -> str:
    """The pattern with PostgreSQL's escape character, a backslash."""
    return "".join(
        piece.value if isinstance(piece, Wildcard) else _escaped(piece)
        for piece in pieces(pattern)
    )


def _escaped(character: str) -> str:
    return f"\\{character}" if character in "\\%_" else character
