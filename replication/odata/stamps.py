"""Tells cheaply whether a source's metadata may have changed since it was read."""

from __future__ import annotations

import re
from hashlib import blake2b
from http import HTTPStatus

import msgspec

from replication.odata.answers import Reply, check
from replication.odata.errors import MalformedAnswerError
from replication.odata.transport import Transport

_VERSION = "@Microsoft.Dynamics.CRM.globalmetadataversion"

# A collection of one row that everybody may read; the version comes with any.
_SMALLEST = "organizations?$select=organizationid"


_ETAG = re.compile(r'(W/)?"[!#-~]{1,200}"')


class _Annotated(msgspec.Struct):
    version: str | None = msgspec.field(default=None, name=_VERSION)


def of_dataverse(transport: Transport, base: str) -> str | None:
    """The version that rises with any change of metadata; None if it is not told.

    :raises SyncError: the source did not answer as it should.
    """
    reply = transport.get(
        f"{base}/{_SMALLEST}",
        headers={"Prefer": 'odata.include-annotations="*"', "Consistency": "Strong"},
    )
    check(reply, content_type="json")
    try:
        return msgspec.json.decode(reply.body, type=_Annotated).version
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedAnswerError(
            f"The answer is not as expected: {error}."
        ) from error


def of_service(transport: Transport, base: str, *, known: str | None) -> str:
    """What a metadata document is told apart by: what it says, not when it was sent.

    Its ETag stands behind, if it has one, and is sent the next time: then a document
    that is the same need not travel.

    :raises SyncError: the source did not answer as it should.
    """
    headers = {"Accept": "application/xml"}
    etag = (known or "").partition(" ")[2]
    if etag:
        headers["If-None-Match"] = etag
    reply = transport.get(f"{base}/$metadata", headers=headers)
    if reply.status == HTTPStatus.NOT_MODIFIED and etag and known:
        return known
    check(reply, content_type="xml")
    digest = blake2b(reply.body, digest_size=16).hexdigest()
    return " ".join((digest, *_etags(reply)))


def _etags(reply: Reply) -> tuple[str, ...]:
    """The document's ETag, unless it is none that could be sent back."""
    etag = reply.headers.get("ETag", "")
    return (etag,) if _ETAG.fullmatch(etag) else ()
