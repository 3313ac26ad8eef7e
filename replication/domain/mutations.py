"""Edits of devices as they are sent (PROTOCOL §7), and in which order they come. Pure.

Only syntax, sequence and reused ids are judged here: whatever a user may not do is an
outcome, and is found out later.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta

from project.errors import RejectedError

Op = Literal["create", "update", "delete", "associate", "disassociate", "void", "file"]

# PostgreSQL has no room for NUL in text.
_KEY_TEXT = r"^[^\x00]*$"
_GUID_TEXT = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_MAX_KEY = 1024
_MAX_PARTS = 32
_MAX_ERRORS = 20

Guid = Annotated[str, Meta(pattern=_GUID_TEXT)]
Name = Annotated[str, Meta(pattern=r"^[^\x00]{1,256}$")]
# There is always a next one, and it has room too.
Sequence18 = Annotated[int, Meta(ge=1, lt=10**18)]
Part = Annotated[str, Meta(pattern=_KEY_TEXT, max_length=_MAX_KEY)]
Parts = Annotated[
    list[Part | int | float | bool], Meta(min_length=1, max_length=_MAX_PARTS)
]
# Its text is looked at in `_faults`: a pattern beside a bounded list in one union makes
# msgspec 0.22 crash when the type is collected (msgspec #717).
Key = str | int | Parts
Version = Annotated[str, Meta(pattern=_KEY_TEXT, min_length=1, max_length=128)]
Values = dict[str, Any]

# Members that an operation must have, and those that it may have besides.
_MEMBERS: Mapping[Op, tuple[frozenset[str], frozenset[str]]] = {
    "create": (frozenset({"table", "key", "values"}), frozenset({"group"})),
    "update": (
        frozenset({"table", "key", "values"}),
        frozenset({"group", "base_version", "base_values"}),
    ),
    "delete": (
        frozenset({"table", "key"}),
        frozenset({"group", "base_version", "base_values"}),
    ),
    **dict.fromkeys(
        ("associate", "disassociate"),
        (
            frozenset({"relationship", "key", "other_key"}),
            frozenset({"group", "table", "base_version"}),
        ),
    ),
    "void": (frozenset(), frozenset({"group"})),
}
_GUID = re.compile(_GUID_TEXT[1:-1], re.I)


class MalformedMutationsError(RejectedError):
    """A mutation breaks the protocol; `errors` names the members."""

    code = "malformed"

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{member}: {text}" for member, text in errors))
        self.errors = tuple(
            {"member": member, "message": message} for member, message in errors
        )


class SequenceError(MalformedMutationsError):
    """A sequence is missing, or was given to another mutation."""

    def __init__(self, number: int, *, expected: int) -> None:
        place = f"mutations[{number}].sequence"
        super().__init__((place, f"must be {expected}, the next of this device"))
        self.expected = expected


class ReusedIdError(RejectedError):
    """The id of a mutation that was accepted came with another body."""

    code = "reused"


class Mutation(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
):
    """One edit; `null` stands for a member that is not there."""

    id: Guid
    sequence: Sequence18
    op: Op
    table: Name | None = None
    key: Key | None = None
    values: Values | None = None
    base_version: Version | None = None
    base_values: Values | None = None
    group: Guid | None = None
    relationship: Name | None = None
    other_key: Key | None = None

    def body(self) -> bytes:
        """Everything but id and sequence, written the same way every time."""
        return _canonical.encode(self).replace(
            b'{"id":"%b","sequence":%d,' % (self.id.encode(), self.sequence), b"{", 1
        )

    @property
    def key_parts(self) -> list[Any] | None:
        """The values of the key, one of a simple key."""
        if self.key is None or isinstance(self.key, list):
            return self.key
        if isinstance(self.key, str) and self.key.startswith("["):
            return _composite(self.key) or [self.key]
        return [self.key]

    @property
    def row_key(self) -> str | None:
        """The key as one string (PROTOCOL §5)."""
        return key_text(self.key_parts)


class Upload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request with mutations."""

    device: Guid
    mutations: list[Mutation]


# Digits of numbers stay as they were sent: a decimal is not made a double.
_decoder = msgspec.json.Decoder(Upload, float_hook=Decimal)
_canonical = msgspec.json.Encoder(order="deterministic", decimal_format="number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A mutation that was accepted before."""

    sequence: int
    body_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A mutation that was not accepted before, as it is stored."""

    mutation: Mutation
    body: bytes
    body_hash: bytes
    group: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device's sequences stand.

    `is_open`: it belongs to another history of the database, so that any sequence
    above `last` may come first.
    """

    next_sequence: int
    last: int = 0
    is_open: bool = False


def decoded(content: bytes) -> Upload:
    """Read a request.

    :raises msgspec.DecodeError, UnicodeDecodeError, RecursionError: as msgspec does.
    """
    try:
        return _decoder.decode(content)
    except InvalidOperation as error:
        raise msgspec.ValidationError("Number out of range") from error


def key_text(parts: Sequence[Any] | None) -> str | None:
    """The parts of a key as one string (PROTOCOL §5)."""
    if parts is None:
        return None
    written = [_part(part) for part in parts]
    if len(written) == 1 and isinstance(written[0], str):
        return written[0]
    content = written if len(written) > 1 else written[0]
    return msgspec.json.encode(content).decode()


def check(mutations: Sequence[Mutation]) -> None:
    """Check each mutation by itself, and that sequences have no gaps.

    :raises MalformedMutationsError: naming the members that cannot be.
    :raises SequenceError: the mutations do not follow each other.
    :raises ReusedIdError: an id stands twice.
    """
    errors = [
        (f"mutations[{number}].{member}", message)
        for number, mutation in enumerate(mutations)
        for member, message in _faults(mutation)
    ]
    if errors:
        raise MalformedMutationsError(*errors[:_MAX_ERRORS])
    for number, mutation in enumerate(mutations):
        expected = mutations[0].sequence + number
        if mutation.sequence != expected:
            raise SequenceError(number, expected=expected)
    if len({mutation.id for mutation in mutations}) < len(mutations):
        raise ReusedIdError("An id stands twice in the request.")


def fresh(
    mutations: Sequence[Mutation], *, known: Mapping[UUID, Known], place: Place
) -> list[Fresh]:
    """The mutations that were not accepted before; they follow those that were.

    :raises ReusedIdError: one came before with another body or sequence.
    :raises SequenceError: the first new one is not the next of its device.
    """
    digested = [hashed(mutation) for mutation in mutations]
    new: list[Fresh] = []
    for number, one in enumerate(digested):
        before = known.get(UUID(one.mutation.id))
        if before is None:
            _insist_on_place(one.mutation, number=number, place=place, is_first=not new)
            new.append(one)
        elif before != Known(sequence=one.mutation.sequence, body_hash=one.body_hash):
            message = f"Mutation {one.mutation.id} was accepted with another body."
            raise ReusedIdError(message)
    return _grouped(new)


def _insist_on_place(
    mutation: Mutation, *, number: int, place: Place, is_first: bool
) -> None:
    if not is_first:
        # The others follow each other, which was checked before.
        return
    expected = place.next_sequence
    if place.is_open and mutation.sequence > place.last:
        return
    if mutation.sequence != expected:
        raise SequenceError(number, expected=expected)


def _faults(mutation: Mutation) -> Iterable[tuple[str, str]]:
    if mutation.op == "file":
        yield "op", "files are sent by PUT"
        return
    needed, allowed = _MEMBERS[mutation.op]
    for member in _OPTIONAL:
        is_there = getattr(mutation, member) is not None
        if member in needed and not is_there:
            yield member, "is missing"
        elif is_there and member not in needed and member not in allowed:
            yield member, f"does not belong to {mutation.op}"
    for member in ("key", "other_key"):
        key = getattr(mutation, member)
        if isinstance(key, str) and (len(key) > _MAX_KEY or "\0" in key):
            yield member, "is too long, or holds NUL"


_OPTIONAL = Mutation.__struct_fields__[3:]


def hashed(mutation: Mutation) -> Fresh:
    """The mutation with the digest by which it is known again."""
    body = mutation.body()
    digest = hashlib.sha256(body).digest()
    return Fresh(mutation=mutation, body=body, body_hash=digest, group=None)


def _grouped(new: Sequence[Fresh]) -> list[Fresh]:
    """Name groups so that neighbours of one request have one name, and nobody else."""
    found: list[Fresh] = []
    sent: str | None = None
    group: UUID | None = None
    for one in new:
        if one.mutation.group is None:
            group = None
        elif one.mutation.group != sent:
            group = uuid5(UUID(one.mutation.group), one.mutation.id)
        sent = one.mutation.group
        found.append(
            Fresh(
                mutation=one.mutation,
                body=one.body,
                body_hash=one.body_hash,
                group=group,
            )
        )
    return found


def _composite(text: str) -> list[Any] | None:
    """The parts of a composite key that was sent as one string."""
    try:
        parts = msgspec.json.decode(text, type=Parts)
    except (msgspec.DecodeError, RecursionError):
        return None
    return parts if len(parts) > 1 else None


def _part(part: object) -> object:
    if isinstance(part, str) and _GUID.fullmatch(part):
        return part.lower()
    return part
