"""Decide whom an access token speaks for (PROTOCOL §2, SOURCE §4.3).

Only RS256, only keys of the organization's own authority, only exact matches.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from project.errors import RejectedError
from replication.domain import token_users
from replication.domain.token_users import SignIn
from syncapi.expiring import Expiring
from syncapi.parsing import is_guid
from syncapi.signing_keys import KeyRings, UnknownKeyError

ALGORITHM = "RS256"
LEEWAY_SECONDS = 60
MAX_TOKEN_CHARS = 16 * 1024
MAX_KID_CHARS = 200
VERIFIED_CAPACITY = 20_000
# A verified token is looked at again after this time, so that a signing key that
# its authority withdrew does not live on for as long as the longest token.
VERIFIED_SECONDS = 3600.0
ADMIN_ROLE = "Waystation.Admin"

MAX_NAME_CHARS = 200
MAX_TOKEN_ID = 100

# OpenID Connect: at most 255 ASCII characters.
_SUBJECT = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_REQUIRED = ["exp", "nbf", "iat", "iss", "aud", "sub", "tid", "oid"]
# What a hostile token may make the parser trip over.
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
# Headers by which a token would bring its own key or change how it is read.
_REFUSED_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"})


class UnauthenticatedError(RejectedError):
    """The token is missing, expired, or not for us."""

    code = "unauthenticated"

    def __init__(self, message: str, *, presented: bool = True) -> None:
        super().__init__(message)
        challenge = 'Bearer realm="waystation"'
        if presented:
            challenge += ', error="invalid_token"'
        self.challenge = challenge


class NotAnOperatorError(RejectedError):
    """The token is good, but does not bear the role of an administrator."""

    code = "forbidden"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens are taken: one tenant of one authority, for one audience."""

    authority: str
    issuers: frozenset[str]
    audience: str
    tenant_id: str
    ca_certificate: str
    # Users come from their tokens, because the source has none.
    makes_users: bool = False

    @classmethod
    def from_identity(
        cls,
        identity: Mapping[str, Any],
        *,
        ca_certificate: str,
        makes_users: bool = False,
    ) -> Trust | None:
        """Read an organization's `identity`; None when it is not complete."""
        authority, audience = identity.get("authority"), identity.get("audience")
        issuers, tenant = identity.get("issuers"), identity.get("tenant_id")
        if not (authority and audience and issuers and tenant):
            return None
        return cls(
            authority=str(authority).rstrip("/"),
            issuers=frozenset(str(issuer) for issuer in issuers),
            audience=str(audience),
            tenant_id=str(tenant).lower(),
            ca_certificate=ca_certificate,
            makes_users=makes_users,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom a verified token speaks for."""

    tenant_id: str
    object_id: UUID
    scopes: frozenset[str]
    roles: frozenset[str]
    client_id: str
    is_app: bool
    expires_at: float
    # The token's own id, for the audit of what is done by it; may be empty.
    token_id: str = ""
    # What makes the person a user, where the source has none.
    told: SignIn | None = None

    @property
    def person(self) -> UUID:
        """By whom devices are owned."""
        return self.told.user if self.told else self.object_id


class Verifier:
    """Verifies tokens, and remembers those that it has verified."""

    def __init__(
        self, *, rings: KeyRings, now: Callable[[], float] = time.time
    ) -> None:
        self._rings = rings
        self._now = now
        self._verified: Expiring[tuple[Trust, bytes], Principal] = Expiring(
            capacity=VERIFIED_CAPACITY, seconds=VERIFIED_SECONDS
        )

    def device_user(self, authorization: str | None, *, trust: Trust) -> Principal:
        """Return the person who lets the device act for them.

        :raises UnauthenticatedError: the token is missing or not for us.
        :raises KeysUnavailableError: its key is unknown and cannot be asked for.
        """
        principal = self._principal(authorization, trust=trust)
        if principal.is_app or not principal.scopes:
            raise UnauthenticatedError("The token was not issued to a person.")
        return principal

    def service(self, authorization: str | None, *, trust: Trust) -> Principal:
        """Return the service that may administrate.

        :raises NotAnOperatorError: it lacks the role.
        :raises UnauthenticatedError, KeysUnavailableError: as for devices.
        """
        principal = self._principal(authorization, trust=trust)
        if ADMIN_ROLE not in principal.roles:
            raise NotAnOperatorError(f"The role {ADMIN_ROLE} is needed.")
        return principal

    def forget(self) -> None:
        self._verified.clear()

    def _principal(self, authorization: str | None, *, trust: Trust) -> Principal:
        token = bearer_token(authorization)
        known = (trust, hashlib.sha256(token.encode()).digest())
        principal = self._verified.get(known)
        if principal is None:
            principal = self._verify(token, trust=trust)
            lasting = principal.expires_at + LEEWAY_SECONDS - self._now()
            self._verified.put(known, principal, at_most_seconds=lasting)
        return principal

    def _verify(self, token: str, *, trust: Trust) -> Principal:
        try:
            kid = _key_id(token)
            claims = _claims(token, key=self._rings.ring(trust).key(kid))
        except UnknownKeyError as error:
            raise UnauthenticatedError("The token's key is not known.") from error
        except _UNREADABLE as error:
            raise UnauthenticatedError("The token is not valid.") from error
        return _checked(claims, trust=trust)


def bearer_token(authorization: str | None) -> str:
    """:raises UnauthenticatedError: there is no bearer token of a sane size."""
    if not authorization:
        raise UnauthenticatedError("A bearer token is needed.", presented=False)
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError("A bearer token is needed.", presented=False)
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise UnauthenticatedError("The token is not valid.")
    return token


def _key_id(token: str) -> str:
    header = jwt.get_unverified_header(token)
    if header.get("alg") != ALGORITHM or _REFUSED_HEADERS & header.keys():
        raise UnauthenticatedError("The token is not signed as it must be.")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS:
        raise UnauthenticatedError("The token names no key.")
    return kid


def _claims(token: str, *, key: RSAPublicKey) -> dict[str, Any]:
    # Issuer and audience are compared by `_checked`: the library would also take
    # an audience that is one of several.
    return jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        leeway=LEEWAY_SECONDS,
        options={"require": _REQUIRED, "verify_aud": False, "verify_iss": False},
    )


def _checked(claims: dict[str, Any], *, trust: Trust) -> Principal:
    tenant_id, object_id = claims["tid"], claims["oid"]
    if not _is_text(claims["iss"]) or claims["iss"] not in trust.issuers:
        raise UnauthenticatedError("The token comes from another issuer.")
    if claims["aud"] != trust.audience:
        raise UnauthenticatedError("The token is for another audience.")
    if not _is_text(tenant_id) or tenant_id.lower() != trust.tenant_id:
        raise UnauthenticatedError("The token comes from another tenant.")
    if not _is_text(object_id) or not is_guid(object_id.lower()):
        raise UnauthenticatedError("The token names no person.")
    scopes, roles = claims.get("scp", ""), claims.get("roles", [])
    return Principal(
        tenant_id=tenant_id.lower(),
        object_id=UUID(object_id),
        scopes=frozenset(scopes.split() if _is_text(scopes) else ()),
        roles=frozenset(filter(_is_text, roles) if isinstance(roles, list) else ()),
        client_id=str(claims.get("azp") or claims.get("appid") or "")[:100],
        is_app=claims.get("idtyp") == "app",
        expires_at=float(claims["exp"]),
        token_id=_token_id(claims),
        told=_sign_in(claims) if trust.makes_users else None,
    )


def _sign_in(claims: dict[str, Any]) -> SignIn:
    subject, name = claims["sub"], claims.get("name")
    if not _is_text(subject) or not _SUBJECT.fullmatch(subject):
        raise UnauthenticatedError("The token's subject cannot be used.")
    known = name if _is_text(name) else claims.get("preferred_username")
    return SignIn(
        issuer=claims["iss"],
        subject=subject,
        name=_UNPRINTABLE.sub("", str(known or ""))[:MAX_NAME_CHARS],
        issued_at=int(claims["iat"]),
        claims=token_users.claims_of(claims),
        elsewhere=token_users.elsewhere_of(claims),
    )


def _token_id(claims: dict[str, Any]) -> str:
    """Entra calls it `uti`, everybody else `jti`."""
    found: object = claims.get("uti") or claims.get("jti")
    if not isinstance(found, str):
        return ""
    return _UNPRINTABLE.sub("", found)[:MAX_TOKEN_ID]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


# One for the process: the memory of verified tokens is worth 0.1 ms a request.
verifier = Verifier(rings=KeyRings())
