"""Sign access tokens with the issuer's own key, and check them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from sandbox.certificates import write_private

_BITS = 2048
_REQUIRED = ["aud", "iss", "exp", "iat", "nbf", "tid", "oid"]


@dataclass(frozen=True, slots=True)
class SigningKey:
    private: rsa.RSAPrivateKey
    id: str

    def public_jwk(self, *, issuer: str) -> Mapping[str, object]:
        jwk = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {
            "kty": jwk["kty"],
            "use": "sig",
            "kid": self.id,
            "n": jwk["n"],
            "e": jwk["e"],
            "issuer": issuer,
        }

    def sign(self, claims: Mapping[str, object]) -> str:
        return jwt.encode(
            dict(claims),
            self.private,
            algorithm="RS256",
            headers={"kid": self.id},
        )

    def claims_of(
        self, token: str, *, audiences: Collection[str], issuer: str
    ) -> Mapping[str, Any] | None:
        """Return the claims, or None: forged, expired, or not for the audience."""
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                self.private.public_key(),
                algorithms=["RS256"],
                audience=list(audiences),
                issuer=issuer,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidTokenError:
            return None
        return claims


def signing_key(folder: Path) -> SigningKey:
    """Return the key of the folder, made at first use."""
    path = folder / "identity-key.pem"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
        write_private(
            path,
            made.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
    # Checking the primes takes longer than the rest of a start; the key is our own.
    key = serialization.load_pem_private_key(
        path.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(key, rsa.RSAPrivateKey)
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return SigningKey(key, hashlib.sha256(public).hexdigest()[:32])
