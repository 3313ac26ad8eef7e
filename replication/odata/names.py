"""Gives tables and columns the names that they bear in staging. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

# PostgreSQL cuts longer identifiers, silently.
LONGEST_NAME = 63

# OData allows more letters than these in a name; what no JSON library has trouble
# with is enough, and a name never needs an escape then.
_PLAIN = re.compile(r"[^\W\d]\w{0,127}")

# Columns that every staging table has of its own.
RESERVED = frozenset({"_version", "_key"})


def is_plain(name: str) -> bool:
    """Say whether a source's name can be carried at all."""
    return _PLAIN.fullmatch(name) is not None


def unique_names(wanted: Iterable[str]) -> list[str]:
    """Return a distinct staging name for each wanted one, in the same order.

    Earlier names win; the others get a suffix. Names that differ only in case
    clash: a device's SQLite does not tell them apart.
    """
    taken = set(RESERVED)
    names = []
    for name in wanted:
        free = _free(name, taken)
        taken.add(free.casefold())
        names.append(free)
    return names


def _free(name: str, taken: set[str]) -> str:
    candidate = _shortened(name)
    number = 2
    while candidate.casefold() in taken:
        candidate = _shortened(f"{name}_{number}")
        number += 1
    return candidate


def _shortened(name: str) -> str:
    """Cut a name to what PostgreSQL keeps; a hash tells apart what was cut alike."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    mark = blake2b(name.encode(), digest_size=4).hexdigest()
    head = name.encode()[: LONGEST_NAME - len(mark) - 1].decode(errors="ignore")
    return f"{head}_{mark}"
