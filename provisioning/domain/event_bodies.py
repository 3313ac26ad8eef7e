"""Say what is wrong with the body of a provisioning event, member by member. Pure."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography.x509 import load_pem_x509_certificates

LONGEST_TEXT = 2000
LONGEST_PEM = 100_000
MOST_TABLES = 2000
MOST_ISSUERS = 20

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNIQUE_NAME = re.compile(r"[a-z0-9-]{3,40}")
_TABLE = re.compile(r"[a-z_][a-z0-9_]{0,127}")
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_CONTROL = frozenset({"Cc", "Cs"})


@dataclass(frozen=True, slots=True)
class MemberError:
    """A member of the body, as a path such as organization.endpoint, and its fault."""

    member: str
    message: str


# Given a value and its path, a check yields what is wrong with it.
Check = Callable[[object, str], Iterator[MemberError]]


def faults(body: object) -> tuple[MemberError, ...]:
    """Return everything that is wrong with the body; nothing means well-formed."""
    event_type = body.get("type") if isinstance(body, Mapping) else None
    known = isinstance(event_type, str) and event_type in _BODIES
    check = _BODIES[str(event_type)] if known else _BODY_OF_UNKNOWN_TYPE
    return tuple(check(body, ""))


def moment(text: str) -> datetime:
    """Read an RFC 3339 time with its offset, as UTC.

    :raises ValueError: it is none.
    """
    if _MOMENT.fullmatch(text) is None:
        raise ValueError(text)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        # Year 1 east of Greenwich has no UTC.
        raise ValueError(text) from error


def _members(*, required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    def check(value: object, path: str) -> Iterator[MemberError]:
        if not isinstance(value, Mapping):
            yield MemberError(path or "body", "must be an object")
            return
        known = {**required, **optional}
        for name in required:
            if name not in value:
                yield MemberError(_below(path, name), "is missing")
        for name, member in value.items():
            if name in known:
                yield from known[name](member, _below(path, name))
            else:
                yield MemberError(_below(path, str(name)[:80]), "is unknown")

    return check


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _text(longest: int = LONGEST_TEXT) -> Check:
    def check(value: object, path: str) -> Iterator[MemberError]:
        if not isinstance(value, str) or not value.strip():
            yield MemberError(path, "must be a text that is not empty")
        elif len(value) > longest:
            yield MemberError(path, f"must have at most {longest} characters")
        elif any(unicodedata.category(character) in _CONTROL for character in value):
            yield MemberError(path, "must not contain control characters")

    return check


def _matching(pattern: re.Pattern[str], *, message: str) -> Check:
    def check(value: object, path: str) -> Iterator[MemberError]:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            yield MemberError(path, message)

    return check


def _one_of(*values: str) -> Check:
    def check(value: object, path: str) -> Iterator[MemberError]:
        if not isinstance(value, str) or value not in values:
            yield MemberError(path, f"must be one of {', '.join(values)}")

    return check


def _list_of(item: Check, *, most: int, least: int = 0) -> Check:
    def check(value: object, path: str) -> Iterator[MemberError]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            yield MemberError(path, f"must be a list of {least} to {most} items")
            return
        for place, member in enumerate(value):
            yield from item(member, f"{path}[{place}]")
        texts = [member for member in value if isinstance(member, str)]
        if len(set(texts)) < len(texts):
            yield MemberError(path, "must not name anything twice")

    return check


def _moment(value: object, path: str) -> Iterator[MemberError]:
    try:
        moment(str(value))
    except ValueError:
        yield MemberError(path, "must be an RFC 3339 time with an offset")


def _https_url(value: object, path: str) -> Iterator[MemberError]:
    complaints = list(_text()(value, path))
    if not complaints and not _is_plain_https(str(value)):
        message = "must be an https URL without user, query or fragment"
        complaints.append(MemberError(path, message))
    yield from complaints


def _is_plain_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port is what checks it.
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    plain = not any(mark in url for mark in "@?#\\ ")
    return parts.scheme == "https" and bool(host) and plain


def _certificates(value: object, path: str) -> Iterator[MemberError]:
    text = value if isinstance(value, str) and len(value) <= LONGEST_PEM else ""
    try:
        load_pem_x509_certificates(text.encode("ascii"))
    except ValueError:
        yield MemberError(path, "must be certificates in PEM format")


def _secret_pem(value: object, path: str) -> Iterator[MemberError]:
    text = value if isinstance(value, str) else ""
    if not (len(text) <= LONGEST_PEM and (_is_pem(text) or _is_pfx(text))):
        message = "must be a certificate with its key, in PEM or as base64 of a PFX"
        yield MemberError(path, message)


def _is_pem(text: str) -> bool:
    return text.isascii() and "-----BEGIN " in text


def _is_pfx(text: str) -> bool:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    # An ASN.1 sequence; whether the password opens it, the first sign-in tells.
    return data[:1] == b"\x30"


def _credential(value: object, path: str) -> Iterator[MemberError]:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if isinstance(value, Mapping) and not (
        isinstance(kind, str) and kind in _CREDENTIALS
    ):
        yield from _one_of(*_CREDENTIALS)(kind, f"{path}.type")
        return
    yield from _CREDENTIALS[str(kind or "none")](value, path)


_guid = _matching(_GUID, message="must be a lower-case GUID with hyphens")
_tables = _list_of(
    _matching(_TABLE, message="must be a table's logical name"), most=MOST_TABLES
)

_FOR_TOKENS = {"scope": _text(), "authority": _https_url}
_APPLICATION = {"tenant_id": _text(200), "client_id": _text(200)}
_CREDENTIAL_MEMBERS: Mapping[str, tuple[Mapping[str, Check], Mapping[str, Check]]] = {
    "none": ({}, {}),
    "client_secret": ({**_APPLICATION, "client_secret": _text()}, _FOR_TOKENS),
    "certificate": (
        {**_APPLICATION, "certificate": _secret_pem},
        {**_FOR_TOKENS, "password": _text()},
    ),
    "managed_identity": ({}, {"client_id": _text(200), "scope": _text()}),
    "workload_identity": (_APPLICATION, _FOR_TOKENS),
    "basic": ({"username": _text(), "password": _text()}, {}),
    "bearer": ({"token": _text(10_000)}, {}),
}
_CREDENTIALS = {
    kind: _members(required={"type": _one_of(kind), **required}, optional=optional)
    for kind, (required, optional) in _CREDENTIAL_MEMBERS.items()
}

_IDENTITY = _members(
    required={
        "authority": _https_url,
        "issuers": _list_of(_https_url, least=1, most=MOST_ISSUERS),
        "audience": _text(),
        # Without it no token can be told from another tenant's.
        "tenant_id": _guid,
    },
    optional={},
)
_NAMED = {
    "id": _guid,
    "unique_name": _matching(
        _UNIQUE_NAME, message="must be 3 to 40 of a-z, 0-9 and hyphens"
    ),
    "kind": _one_of("dataverse", "odata"),
}
_SETTINGS: Mapping[str, Check] = {
    "display_name": _text(200),
    "endpoint": _https_url,
    "identity": _IDENTITY,
    "credential": _credential,
    "ca_certificate": _certificates,
}
_NEW = _members(
    required={
        **_NAMED,
        "endpoint": _https_url,
        "identity": _IDENTITY,
    },
    optional=_SETTINGS,
)
_CHANGED = _members(required={"id": _guid}, optional=_SETTINGS)
_MENTIONED = _members(required={"id": _guid}, optional={})


def _body(event_type: Check, organization: Check, **optional: Check) -> Check:
    return _members(
        required={
            "id": _guid,
            "type": event_type,
            "occurred_at": _moment,
            "organization": organization,
        },
        optional=optional,
    )


def _anything(value: object, path: str) -> Iterator[MemberError]:
    yield from ()


_BODIES = {
    f"organization.{verb}": _body(_anything, organization, **optional)
    for verb, organization, optional in (
        ("provision", _NEW, {"tables": _tables}),
        ("update", _CHANGED, {"tables": _tables}),
        ("suspend", _MENTIONED, {}),
        ("resume", _MENTIONED, {}),
        ("resync", _MENTIONED, {"tables": _tables}),
        ("deprovision", _MENTIONED, {}),
    )
}
_BODY_OF_UNKNOWN_TYPE = _body(_one_of(*_BODIES), _anything, tables=_anything)
