"""Cuts the text of an OData `$filter` into words, literals and signs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from replication.domain.filters import FilterError


class Kind(Enum):
    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    # A GUID, a moment or a day: taken as it is written.
    PLAIN = "plain"
    SIGN = "sign"
    END = "end"


_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_MOMENT = (
    r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:[Zz]|[+-]\d\d:\d\d)?)?"
)
# A literal ends where neither letter nor digit follows.
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<string>'(?:[^']|'')*'|\"[^\"\\]*\")"
    rf"|(?P<plain>(?:{_GUID}|{_MOMENT})(?![\w.:-]))"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.:-]))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"
    r"|(?P<sign>[(),=\[\]/@])",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    # Strings without their quotes.
    text: str
    offset: int

    @property
    def place(self) -> str:
        return place_of(self.offset)


def place_of(offset: int) -> str:
    return f"character {offset + 1}"


def tokens(text: str) -> Iterator[Token]:
    """The last one is an END.

    :raises FilterError: there is something that is no part of the language.
    """
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise FilterError(_reason(text[offset]), place=place_of(offset))
        kind = match.lastgroup or ""
        if kind != "space":
            yield Token(Kind(kind), _content(match[0], kind), offset)
        offset = match.end()
    yield Token(Kind.END, "", offset)


def _reason(character: str) -> str:
    if character in "'\"":
        return "The string has no end."
    return f"{character!a} is not expected here."


def _content(text: str, kind: str) -> str:
    if kind != "string":
        return text
    return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
