"""Users who come from the tokens with which they sign in: who, and which claims. Pure.

Only claims that published profiles name are kept, and no token ever is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID, uuid5

from project.errors import RejectedError

# Values by the claim's name, in order and each once; one without values is missing.
Claims: TypeAlias = Mapping[str, tuple[str, ...]]

ROLES = "roles"
GROUPS = "groups"

# More groups than these do not fit into a token of Entra either.
MOST_VALUES = 250
LONGEST_VALUE = 250
LONGEST_NAME = 120

# They differ from token to token, whoever signs in.
OF_ONE_TOKEN = frozenset(
    {"aio", "at_hash", "auth_time", "c_hash", "exp", "iat", "jti", "nbf", "nonce"}
    | {"rh", "sid", "uti", "xms_st"}
)

_NAMESPACE = UUID("6d6b3f0e-6a52-4d0e-9a57-3f0f5d4ec1b7")
_NAME = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_NAME}}}", re.ASCII)
# PostgreSQL has no room for NUL and half a character.
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class UnusableClaimError(RejectedError):
    """A claim that the user's profiles name is larger than can be served."""

    code = "offline_not_allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """What a verified token says of the person who presents it.

    `elsewhere` are claims that the token does not bring, although the person has them.
    """

    issuer: str
    subject: str
    name: str
    # The token's `iat`.
    issued_at: int
    claims: Claims = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()

    @property
    def user(self) -> UUID:
        return user_id(self.issuer, self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is kept of a user since an earlier token."""

    name: str
    issued_at: int
    claims: Claims


def user_id(issuer: str, subject: str) -> UUID:
    """The same person is the same user on every database."""
    return uuid5(_NAMESPACE, f"{len(issuer)}:{issuer}{subject}")


def fault_of_name(name: str) -> str:
    """Why no claim of this name can be compared with anything; empty if it can."""
    if not _NAME.fullmatch(name):
        return f"the name of a claim has 1 to {LONGEST_NAME} visible ASCII characters"
    if name in OF_ONE_TOKEN:
        return f"{name} differs from token to token"
    return ""


def claims_of(content: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """The claims that have values: text, whole numbers, booleans, and lists of these."""
    found = {
        name: tuple(sorted(set(_texts(value))))
        for name, value in content.items()
        if name not in OF_ONE_TOKEN
    }
    return {name: values for name, values in found.items() if values}


def elsewhere_of(content: Mapping[str, object]) -> frozenset[str]:
    """Claims that were too many for the token: Entra names where to ask for them."""
    named = content.get("_claim_names")
    found = {str(name) for name in named} if isinstance(named, dict) else set()
    return frozenset(found | ({GROUPS} if content.get("hasgroups") is True else set()))


def kept(known: Known | None, told: SignIn, *, named: Collection[str]) -> Claims:
    """The claims to keep: the newest token's, of those that are named.

    An older one changes nothing; one of the same second only adds what is missing, so
    that two devices do not take turns.

    :raises UnusableClaimError: what the token says cannot be served.
    """
    if known is None or told.issued_at > known.issued_at:
        return _relevant(told, named)
    before = {name: v for name, v in known.claims.items() if name in named}
    if told.issued_at < known.issued_at:
        return before
    return {**_relevant(told, named), **before}


def _relevant(told: SignIn, named: Collection[str]) -> Claims:
    missing = told.elsewhere & set(named)
    if missing:
        raise UnusableClaimError(
            f"The token leaves out the claim {min(missing)}, because it has too many"
            " values; let the identity provider send fewer."
        )
    relevant = {name: v for name, v in told.claims.items() if name in named}
    for name, values in relevant.items():
        if len(values) > MOST_VALUES:
            raise UnusableClaimError(
                f"The claim {name} of the token has {len(values)} values;"
                f" at most {MOST_VALUES} can be compared."
            )
        if any(len(value) > LONGEST_VALUE for value in values):
            raise UnusableClaimError(
                f"The claim {name} of the token has a value of more than"
                f" {LONGEST_VALUE} characters."
            )
    return relevant


def _texts(value: object) -> Iterator[str]:
    values = value if isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, bool):
            yield "true" if one else "false"
        elif isinstance(one, int) or (isinstance(one, float) and one.is_integer()):
            yield str(int(one))
        elif isinstance(one, str) and not _UNSTORABLE.search(one):
            yield one
