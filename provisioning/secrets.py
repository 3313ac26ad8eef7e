"""Seal and unseal secrets at rest, bound to the row and field they belong to."""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from project.errors import MisconfiguredError

_FORMAT = 1
_NONCE_BYTES = 12


class SealBrokenError(MisconfiguredError):
    """The key is missing or wrong, or the sealed text was altered or moved."""

    code = "seal_broken"


def seal(plain: bytes, *, identity: str) -> bytes:
    """Encrypt with the current key; only the same identity can unseal it."""
    key_id: str = settings.ENCRYPTION_KEY_ID
    name = key_id.encode()
    header = bytes([_FORMAT, len(name)]) + name
    nonce = os.urandom(_NONCE_BYTES)
    cipher = AESGCM(_key(key_id))
    return header + nonce + cipher.encrypt(nonce, plain, header + identity.encode())


def unseal(sealed: bytes, *, identity: str) -> bytes:
    """Decrypt what `seal` made.

    :raises SealBrokenError: wrong key, altered text, or another identity.
    """
    header, nonce, text = _parts(bytes(sealed), identity=identity)
    key = _key(header[2:].decode(errors="replace"))
    try:
        return AESGCM(key).decrypt(nonce, text, header + identity.encode())
    except InvalidTag:
        # The cause is left out: it says nothing, and its frames hold the key.
        message = f"The secret of {identity} cannot be opened with its key."
        raise SealBrokenError(message) from None


def key_id_of(sealed: bytes, *, identity: str) -> str:
    """Say under which key a text was sealed.

    :raises SealBrokenError: it is no sealed text.
    """
    header, _nonce, _text = _parts(bytes(sealed), identity=identity)
    return header[2:].decode(errors="replace")


def fingerprint(data: bytes, *, identity: str) -> str:
    """Digest data so that equality can be checked later, and nothing be guessed.

    A plain hash of a body with a weak password in it could be searched for.
    """
    return _fingerprint(data, identity=identity, key_id=settings.ENCRYPTION_KEY_ID)


def fingerprint_matches(stored: str, *, data: bytes, identity: str) -> bool:
    """Compare with a fingerprint that may have been made under an earlier key."""
    key_id = stored.rpartition(":")[0]
    again = _fingerprint(data, identity=identity, key_id=key_id)
    return hmac.compare_digest(stored, again)


def _fingerprint(data: bytes, *, identity: str, key_id: str) -> str:
    # A key of its own, so that one key never serves two algorithms.
    derived = hmac.digest(_key(key_id), b"waystation fingerprint", hashlib.sha256)
    text = identity.encode() + b"\0" + data
    return f"{key_id}:{hmac.new(derived, text, hashlib.sha256).hexdigest()}"


def _parts(sealed: bytes, *, identity: str) -> tuple[bytes, bytes, bytes]:
    start = 2 + (sealed[1] if len(sealed) > 1 else 0)
    end = start + _NONCE_BYTES
    if len(sealed) <= end or sealed[0] != _FORMAT:
        raise SealBrokenError(f"The secret of {identity} is not a sealed text.")
    return sealed[:start], sealed[start:end], sealed[end:]


def _key(key_id: str) -> bytes:
    keys: dict[str, bytes] = settings.ENCRYPTION_KEYS
    try:
        return keys[key_id]
    except KeyError:
        message = f"The encryption key {key_id!r} is not configured."
        raise SealBrokenError(message) from None
