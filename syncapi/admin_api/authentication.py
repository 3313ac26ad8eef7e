"""Who may administrate: operators by session, services by token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
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
    """A service with its token, or a member of the staff with a session.

    Staff may look with the right to view organizations, and act with the right to
    change them: the same rights as in the admin.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        user = request.user
        if isinstance(user, Service):
            return True
        verb = "view" if request.method in SAFE_METHODS else "change"
        return (
            user.is_active
            and user.is_staff
            and user.has_perm(f"provisioning.{verb}_organization")
        )


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
