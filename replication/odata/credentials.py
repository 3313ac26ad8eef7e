"""Turns an organization's credential into `Authorization` headers.

Entra tokens come from azure-identity, which caches them inside its credential
objects. One such object exists per identity and process; workers share it.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from project.errors import MisconfiguredError, SyncError, TransientError
from replication.odata.answers import retry_after, safe_text
from replication.odata.connections import ANYWHERE, Network, new_session, trust
from replication.odata.errors import (
    CredentialError,
    SourceUnavailableError,
    UnsafeEndpointError,
)

# A token request is one small POST; workers wait for it.
_CONNECT_SECONDS = 5
_READ_SECONDS = 20

# As many identities as a worker process ever meets at once.
_IDENTITIES = 1024

_PUBLIC_CLOUD = "https://login.microsoftonline.com"

_BUSY = frozenset({408, 429, 500, 502, 503, 504})


class Credential(Protocol):
    def authorization(self) -> str | None:
        """Return the header's value, None for a source without sign-in.

        :raises CredentialError: the identity provider refused.
        :raises SourceUnavailableError: the identity provider cannot be reached.
        """

    def renew(self, *, refused: str | None) -> str | None:
        """Return another value after the source refused this one; None: there is none."""


@dataclass(frozen=True, slots=True)
class FixedCredential:
    """A header that never changes: `none`, `basic` and `bearer`."""

    value: str | None = field(repr=False)

    def authorization(self) -> str | None:
        return self.value

    def renew(self, *, refused: str | None) -> str | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An application's identity at Entra, and whom to trust on the way there."""

    type: str
    tenant_id: str = ""
    client_id: str = ""
    secret: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token_file: str = ""
    authority: str = ""
    ca_certificate: str = field(default="", repr=False)
    allow_loopback: bool = False
    network: Network = ANYWHERE


class EntraCredential:
    """Bearer tokens for one scope; threads may share it."""

    def __init__(self, identity: Identity, *, scope: str) -> None:
        self._tokens = _tokens_of(identity)
        self._scope = scope

    def authorization(self) -> str | None:
        return f"Bearer {self._tokens.token(self._scope)}"

    def renew(self, *, refused: str | None) -> str | None:
        """Ask the provider again, past the cache; once for many threads."""
        stale = (refused or "").removeprefix("Bearer ")
        return f"Bearer {self._tokens.fresh_token(self._scope, stale=stale)}"


class _Tokens:
    """Holds the azure-identity credential of one identity."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._credential = _new_credential(identity)
        self._renewing = threading.Lock()

    def token(self, scope: str) -> str:
        try:
            return self._credential.get_token(scope).token
        except (AzureError, ValueError) as error:
            raise _translated(error) from error

    def fresh_token(self, scope: str, *, stale: str) -> str:
        with self._renewing:
            token = self.token(scope)
            if token != stale:
                return token
            # azure-identity has no way to skip its cache but to begin anew.
            self._credential = _new_credential(self._identity)
            return self.token(scope)


@lru_cache(maxsize=_IDENTITIES)
def _tokens_of(identity: Identity) -> _Tokens:
    return _Tokens(identity)


def credential_from(
    document: Mapping[str, object],
    *,
    endpoint: str,
    ca_certificate: str,
    allow_loopback: bool = False,
    network: Network = ANYWHERE,
) -> Credential:
    """Build the credential that PROTOCOL §9 describes.

    :raises CredentialError: a member is missing, or the type is unknown.
    """
    kind = _text(document, "type")
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return FixedCredential(fixed(document))
    if kind not in _BUILDERS:
        raise CredentialError(f"The credential type {safe_text(kind)!r} is unknown.")
    identity = Identity(
        type=kind,
        tenant_id=_text(document, "tenant_id"),
        client_id=_text(document, "client_id"),
        secret=_text(document, "client_secret") or _text(document, "certificate"),
        password=_text(document, "password"),
        token_file=_text(document, "token_file_path"),
        authority=_authority(document),
        ca_certificate=ca_certificate,
        allow_loopback=allow_loopback,
        network=network,
    )
    scope = _text(document, "scope") or _default_scope(endpoint)
    return EntraCredential(identity, scope=scope)


def _default_scope(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}/.default"


def _authority(document: Mapping[str, object]) -> str:
    """Return the authority's host part; operators often paste the issuer."""
    authority = _text(document, "authority").rstrip("/").removesuffix("/v2.0")
    return authority.removesuffix(f"/{_text(document, 'tenant_id')}").rstrip("/")


def _text(document: Mapping[str, object], member: str) -> str:
    value = document.get(member)
    return value if isinstance(value, str) else ""


def _required(document: Mapping[str, object], member: str) -> str:
    value = _text(document, member)
    if not value:
        raise CredentialError(f"The credential has no {member}.")
    return value


def _basic(document: Mapping[str, object]) -> str:
    pair = f"{_required(document, 'username')}:{_text(document, 'password')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _bearer(document: Mapping[str, object]) -> str:
    token = _text(document, "token") or _required(document, "bearer")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise CredentialError("The credential's token is not one word.")
    return f"Bearer {token}"


_FIXED: dict[str, Callable[[Mapping[str, object]], str | None]] = {
    "none": lambda document: None,
    "basic": _basic,
    "bearer": _bearer,
}


def _client_secret(identity: Identity, options: dict[str, Any]) -> TokenCredential:
    return ClientSecretCredential(
        identity.tenant_id, identity.client_id, identity.secret, **options
    )


def _certificate(identity: Identity, options: dict[str, Any]) -> TokenCredential:
    return CertificateCredential(
        identity.tenant_id,
        identity.client_id,
        certificate_data=_certificate_data(identity.secret),
        password=identity.password or None,
        **options,
    )


def _certificate_data(text: str) -> bytes:
    """Return PEM as it is, and PFX from its base64."""
    return text.encode() if "-----BEGIN " in text else base64.b64decode(text)


def _managed_identity(identity: Identity, options: dict[str, Any]) -> TokenCredential:
    # Talks to the machine's own endpoint: neither our session nor an authority.
    return ManagedIdentityCredential(client_id=identity.client_id or None)


def _workload_identity(identity: Identity, options: dict[str, Any]) -> TokenCredential:
    named = {
        "tenant_id": identity.tenant_id,
        "client_id": identity.client_id,
        "token_file_path": identity.token_file,
    }
    given = {name: value for name, value in named.items() if value}
    return WorkloadIdentityCredential(**given, **options)


_BUILDERS = {
    "client_secret": _client_secret,
    "certificate": _certificate,
    "managed_identity": _managed_identity,
    "workload_identity": _workload_identity,
}


def _new_credential(identity: Identity) -> TokenCredential:
    try:
        return _BUILDERS[identity.type](identity, _options(identity))
    except (ValueError, TypeError) as error:
        message = f"The credential is incomplete: {safe_text(str(error))}."
        raise CredentialError(message) from error


def _options(identity: Identity) -> dict[str, Any]:
    """Return what azure-identity needs to reach the authority on our terms."""
    session = new_session(
        identity.authority or _PUBLIC_CLOUD,
        context=trust(identity.ca_certificate, also_system=True),
        allow_loopback=identity.allow_loopback,
        # Entra itself needs no entry.
        network=identity.network if identity.authority else ANYWHERE,
    )
    options: dict[str, Any] = {
        "transport": RequestsTransport(
            session=session,
            session_owner=False,
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
        ),
        # The work item is what tries again.
        "retry_total": 0,
        "raw_response_hook": _refuse_when_busy,
        "redirect_max": 0,
    }
    if identity.authority:
        options["authority"] = identity.authority
        # The list of well-known authorities is Microsoft's and does not hold ours.
        options["disable_instance_discovery"] = bool(identity.ca_certificate)
    return options


def _refuse_when_busy(response: PipelineResponse[Any, Any]) -> None:
    """Speak up before MSAL, which turns a 429 or 503 into "not JSON"."""
    answer = response.http_response
    if answer.status_code in _BUSY:
        raise SourceUnavailableError(
            f"The identity provider answered {answer.status_code}.",
            retry_after=retry_after(answer.headers, now=datetime.now(UTC)),
        )


def _translated(error: Exception) -> SyncError:
    text = safe_text(str(error))
    for cause in _chain(error):
        if isinstance(cause, TransientError):
            return SourceUnavailableError(str(cause), retry_after=cause.retry_after)
        if isinstance(cause, MisconfiguredError):
            return UnsafeEndpointError(str(cause))
        if isinstance(
            cause, ServiceRequestError | ServiceResponseError | IncompleteReadError
        ):
            return SourceUnavailableError(
                f"No answer from the identity provider: {text}"
            )
    return CredentialError(f"The identity provider refused us: {text}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
