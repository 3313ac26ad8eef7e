"""Sign checkpoints for devices, and tell the genuine ones from all others.

A token is `version, issue time, payload` and an HMAC over these and over whom it
was issued to. Organization, user and device need not travel: with any other of
them the HMAC differs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec

from replication.services.serving import Checkpoint, ResyncRequiredError

VERSION = 1
MAX_TOKEN_CHARS = 24 * 1024

_HEADER = struct.Struct(">BQ")
_DIGEST_BYTES = hashlib.sha256().digest_size
_PURPOSE = b"waystation checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whom a checkpoint is issued to."""

    organization_id: UUID
    user_id: UUID
    device_id: UUID


@dataclass(frozen=True, slots=True)
class CheckpointSigner:
    """Signs and verifies with one key; tokens older than `validity` are refused."""

    key: bytes
    validity: timedelta

    def sign(self, checkpoint: Checkpoint, *, holder: Holder, now: float) -> str:
        payload = zlib.compress(msgspec.json.encode(checkpoint))
        content = _HEADER.pack(VERSION, int(now)) + payload
        token = content + self._digest(content, holder=holder)
        return base64.urlsafe_b64encode(token).rstrip(b"=").decode()

    def verify(self, token: str, *, holder: Holder, now: float) -> Checkpoint:
        """Return what was signed for this holder.

        :raises ResyncRequiredError: it is forged, foreign, cut or too old.
        """
        content, digest = _split(token)
        if not hmac.compare_digest(digest, self._digest(content, holder=holder)):
            raise ResyncRequiredError("The checkpoint was not issued to this device.")
        # From here on the content is our own, if perhaps an older release's.
        version, issued_at = _HEADER.unpack_from(content)
        if version != VERSION or issued_at + self.validity.total_seconds() <= now:
            raise ResyncRequiredError("The checkpoint is too old.")
        try:
            payload = zlib.decompress(content[_HEADER.size :])
            return msgspec.json.decode(payload, type=Checkpoint)
        except (ValueError, zlib.error) as error:
            raise ResyncRequiredError("The checkpoint is of an older kind.") from error

    def _digest(self, content: bytes, *, holder: Holder) -> bytes:
        whom = holder.organization_id.bytes + holder.user_id.bytes
        whom += holder.device_id.bytes
        return hmac.digest(self.key, _PURPOSE + whom + content, "sha256")


def _split(token: str) -> tuple[bytes, bytes]:
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise ResyncRequiredError("The checkpoint is not one.")
    padding = "=" * (-len(token) % 4)
    try:
        raw = base64.b64decode(token + padding, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ResyncRequiredError("The checkpoint is not one.") from error
    if len(raw) < _HEADER.size + _DIGEST_BYTES:
        raise ResyncRequiredError("The checkpoint is not one.")
    return raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
