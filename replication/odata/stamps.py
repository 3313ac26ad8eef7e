"""Tells cheaply whether a source's metadata may have changed since it was read."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from replication.odata.answers import Reply, check
from replication.odata.errors import MalformedAnswerError
from replication.odata.transport import Transport

_VERSION = "@Microsoft.Dynamics.CRM.globalmetadataversion"

# A collection of one row that everybody may read; the version comes with any.
_SMALLEST = "organizations?$select=organizationid"


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


def of_document(reply: Reply) -> str:
    """What a metadata document is told apart by: what it says, not when it was sent."""
    return blake2b(reply.body, digest_size=16).hexdigest()
