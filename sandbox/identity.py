"""An issuer of tokens that looks like Entra: discovery, keys and the token endpoint.

One tenant answers to its GUID and to `contoso`; the issuer is always named by
the GUID. Grants:

- `client_credentials` for the client `waystation` (or its GUID) with the secret
  `sandbox`. Scope `api://waystation/.default` gives the role Waystation.Admin;
  the organization's URL and `/.default` gives access to its Web API.
- `password` for any person's domainname with the password `sandbox` and any
  client id. Scope `api://waystation/…` gives a token with `scp` `sync`; the
  organization's URL and `/user_impersonation` one for the Web API.

The audience of tokens for Waystation is the constant `api://waystation`, that
of tokens for the Web API is the organization's URL as it stands in the scope.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from sandbox.contoso.people import APPLICATION_ID, TENANT_ID
from sandbox.contoso.schema import identify
from sandbox.contoso.store import Row, encode
from sandbox.contoso.web import Identity
from sandbox.tokens import SigningKey

TENANTS = frozenset({TENANT_ID, "contoso"})
CLIENT = "waystation"
SECRET = "sandbox"  # noqa: S105  # Printed in the documentation.
API_AUDIENCE = "api://waystation"
ADMIN_ROLE = "Waystation.Admin"
TOKEN_LIFE = timedelta(seconds=3599)

_OBJECT_ID = identify("object", "waystation")
_DEFAULT = ".default"


class EntraError(Exception):
    """A refusal with an AADSTS number."""

    def __init__(self, number: int, error: str, message: str, *, status: int = 400):
        super().__init__(message)
        self.number = number
        self.error = error
        self.message = message
        self.status = status


# Finds a person's systemuser row by domainname.
FindPerson = Callable[[str], Row | None]


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """The identity provider of the organization at `roots`, the first canonical."""

    roots: Sequence[str]
    key: SigningKey
    find_person: FindPerson
    now: Callable[[], datetime]
    token_life: Callable[[], timedelta]

    @property
    def issuer(self) -> str:
        return f"{self.roots[0]}/{TENANT_ID}/v2.0"

    def __call__(self, request: Request) -> Response | None:
        """Answer, or return None when the path is none of the issuer's."""
        tenant, _, path = request.path.strip("/").partition("/")
        answer = _ENDPOINTS.get(path)
        if answer is None:
            return None
        try:
            _insist_on_tenant(tenant)
            return _json(answer(self, request))
        except EntraError as error:
            return _refusal(error, now=self.now())

    def authenticate(self, request: Request) -> Identity | None:
        """Return who calls the Web API, by a valid token for it."""
        claims = self.claims(request, audiences=self._organization_audiences())
        if claims is None:
            return None
        is_application = claims.get("idtyp") == "app"
        return Identity(
            object_id=str(claims["oid"]),
            application_id=str(claims["azp"]) if is_application else None,
        )

    def claims(
        self, request: Request, *, audiences: Collection[str]
    ) -> Mapping[str, object] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self.key.claims_of(token, audiences=audiences, issuer=self.issuer)

    def configuration(self, _request: Request) -> Mapping[str, object]:
        base = f"{self.roots[0]}/{TENANT_ID}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": [
                "client_secret_post",
                "client_secret_basic",
            ],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": self.issuer,
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "oid", "tid"],
            "tenant_region_scope": "EU",
        }

    def keys(self, _request: Request) -> Mapping[str, object]:
        return {"keys": [self.key.public_jwk(issuer=self.issuer)]}

    def token(self, request: Request) -> Mapping[str, object]:
        if request.method != "POST":
            raise EntraError(900561, "invalid_request", "Only POST is accepted.")
        form = _Form(request)
        grant = form.required("grant_type")
        if grant == "client_credentials":
            claims = self._application_claims(form)
        elif grant == "password":
            claims = self._person_claims(form)
        else:
            raise EntraError(
                70003, "unsupported_grant_type", f"Grant '{grant}' is not supported."
            )
        life = self.token_life()
        seconds = int(life.total_seconds())
        return {
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": self.key.sign(self._common_claims(life) | claims),
        }

    def _application_claims(self, form: _Form) -> dict[str, object]:
        client, secret = form.client()
        _insist_on_known(client)
        if not hmac.compare_digest(secret.encode(), SECRET.encode()):
            raise EntraError(
                7000215, "invalid_client", "Invalid client secret.", status=401
            )
        audience, name = self._audience(form.required("scope"))
        if name != _DEFAULT:
            raise EntraError(
                1002012, "invalid_scope", "The scope must end in '/.default'."
            )
        claims: dict[str, object] = {
            "aud": audience,
            "azp": APPLICATION_ID,
            "azpacr": "1",
            "idtyp": "app",
            "oid": _OBJECT_ID,
            "sub": _OBJECT_ID,
        }
        return claims | ({"roles": [ADMIN_ROLE]} if audience == API_AUDIENCE else {})

    def _person_claims(self, form: _Form) -> dict[str, object]:
        client, _ = form.client()
        name = form.required("username")
        person = self.find_person(name)
        if person is None or person["applicationid"] is not None:
            raise EntraError(
                50034, "invalid_grant", f"The user account {name} does not exist."
            )
        if not hmac.compare_digest(form.required("password"), SECRET):
            raise EntraError(50126, "invalid_grant", "Invalid username or password.")
        audience, _ = self._audience(form.required("scope"))
        object_id = str(person["azureactivedirectoryobjectid"])
        return {
            "aud": audience,
            "azp": APPLICATION_ID if client == CLIENT else client,
            "azpacr": "0",
            "oid": object_id,
            "sub": identify("pairwise", audience, object_id),
            "name": person["fullname"],
            "preferred_username": person["domainname"],
            "scp": "sync" if audience == API_AUDIENCE else "user_impersonation",
        }

    def _common_claims(self, life: timedelta) -> dict[str, object]:
        now = int(self.now().timestamp())
        return {
            "iss": self.issuer,
            "tid": TENANT_ID,
            "iat": now,
            "nbf": now,
            "exp": now + int(life.total_seconds()),
            "uti": uuid.uuid4().hex[:22],
            "ver": "2.0",
        }

    def _organization_audiences(self) -> list[str]:
        return [audience for root in self.roots for audience in (root, f"{root}/")]

    def _audience(self, scopes: str) -> tuple[str, str]:
        """Return the resource and what is wanted of it.

        A resource that ends in a slash leaves two in its scopes.
        """
        for scope in scopes.split():
            resource, slash, name = scope.rpartition("/")
            if not slash:
                continue
            if resource in {API_AUDIENCE, *self._organization_audiences()}:
                return resource, name
            host = urlsplit(resource).netloc or resource
            raise EntraError(
                500011, "invalid_resource", f"The resource {host} was not found."
            )
        raise EntraError(70011, "invalid_scope", f"The scope '{scopes}' is not valid.")


class _Form:
    """The form of a token request, with or without basic authentication."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def required(self, name: str) -> str:
        value = self._request.form.get(name)
        if not value:
            raise EntraError(
                900144,
                "invalid_request",
                f"The request body must contain the following parameter: '{name}'.",
            )
        return value

    def client(self) -> tuple[str, str]:
        basic = self._request.authorization
        if basic is not None and basic.type == "basic":
            return str(basic.username), str(basic.password)
        return self.required("client_id"), self._request.form.get("client_secret", "")


def _insist_on_tenant(tenant: str) -> None:
    if tenant.lower() not in TENANTS:
        raise EntraError(90002, "invalid_tenant", f"Tenant '{tenant}' not found.")


def _insist_on_known(client: str) -> None:
    if client not in {CLIENT, APPLICATION_ID}:
        raise EntraError(
            700016,
            "unauthorized_client",
            f"Application with identifier '{client}' was not found in the directory.",
        )


def _refusal(error: EntraError, *, now: datetime) -> Response:
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    moment = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    content = {
        "error": error.error,
        "error_description": f"AADSTS{error.number}: {error.message} Trace ID: {trace}"
        f" Correlation ID: {correlation} Timestamp: {moment}",
        "error_codes": [error.number],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": correlation,
    }
    return _json(content, status=error.status)


def _json(content: Mapping[str, object], *, status: int = 200) -> Response:
    response = Response(encode(content), status=status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


_ENDPOINTS: Mapping[str, Callable[[Issuer, Request], Mapping[str, object]]] = {
    "v2.0/.well-known/openid-configuration": Issuer.configuration,
    "discovery/v2.0/keys": Issuer.keys,
    "oauth2/v2.0/token": Issuer.token,
}
