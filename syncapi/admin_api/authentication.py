"""Who may administrate: operators by session, services by token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from project.errors import MisconfiguredError
from syncapi import identity
from syncapi.identity import Principal, Trust, UnauthenticatedError

CHALLENGE = 'Bearer realm="waystation"'


class AdminIdentityError(MisconfiguredError):
    """ADMIN_IDENTITY is not complete, or its CA file cannot be read."""

    code = "admin_identity"


@dataclass(frozen=True, slots=True)
class Service:
    """A service that was let in by its token; stands where a user would."""

    principal: Principal
    is_authenticated: bool = True
    is_active: bool = True
    is_staff: bool = False

    def get_username(self) -> str:
        return f"service {self.principal.client_id or self.principal.object_id}"


class ServiceToken(BaseAuthentication):
    """Lets services in whose token bears the role `Waystation.Admin`."""

    def authenticate(self, request: Request) -> tuple[Service, Principal] | None:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return None
        trust = admin_trust()
        if trust is None:
            raise UnauthenticatedError("No tokens of services are taken here.")
        principal = identity.verifier.service(authorization, trust=trust)
        return Service(principal), principal

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class IsOperator(BasePermission):
    """A member of the staff with a session, or a service with its token."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.user, Service):
            return True
        return request.user.is_active and request.user.is_staff


class ServiceTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped library
    """Describes `ServiceToken` in the schema."""

    target_class = ServiceToken
    name = "serviceToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def admin_trust() -> Trust | None:
    """Whose tokens of services are taken; None: nobody's.

    :raises AdminIdentityError: the deployment says it incompletely.
    """
    described = getattr(settings, "ADMIN_IDENTITY", None)
    if not described:
        return None
    ca_file = described.get("ca_file")
    try:
        ca_certificate = Path(ca_file).read_text("ascii") if ca_file else ""
    except (OSError, ValueError) as error:
        raise AdminIdentityError("The CA file cannot be read.") from error
    trust = Trust.from_identity(described, ca_certificate=ca_certificate)
    if trust is None:
        raise AdminIdentityError("ADMIN_IDENTITY is not complete.")
    return trust


def operator_of(request: Request) -> str:
    """The name under which the audit trail knows the caller."""
    return request.user.get_username()
