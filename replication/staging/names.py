"""Names from the source as PostgreSQL identifiers. Pure."""

from __future__ import annotations

import hashlib

# PostgreSQL silently cuts identifiers after this many bytes.
LONGEST_IDENTIFIER = 63
_DIGEST_LENGTH = 10

# Columns that every table has already: PostgreSQL's own, and ours.
_TAKEN = frozenset(
    {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "_version", "_row", "_key"}
)


def identifier(name: str) -> str:
    """Return `name`, or a readable unique stand-in of at most 63 bytes.

    Two long names that begin alike stay different, because what is cut off is
    replaced by a digest of the whole name.
    """
    encoded = name.encode()
    fits = len(encoded) <= LONGEST_IDENTIFIER and "\x00" not in name
    if fits and name not in _TAKEN:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:_DIGEST_LENGTH]
    kept = encoded.replace(b"\x00", b"")[: LONGEST_IDENTIFIER - _DIGEST_LENGTH - 1]
    return f"{kept.decode(errors='ignore')}_{digest}"
