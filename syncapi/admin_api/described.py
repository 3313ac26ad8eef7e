"""What the OpenAPI document says that the views themselves do not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

from provisioning.models import UNIQUE_NAME_PATTERN, ProvisioningEvent
from replication.domain.profiles import CommonSettings, ProfileDef
from replication.visibility.explained import Explanation
from replication.visibility.preview import PublishPreview
from syncapi.errors import CONTENT_TYPE

ORGANIZATION = OpenApiParameter(
    "org", str, OpenApiParameter.PATH, pattern=UNIQUE_NAME_PATTERN
)

_GUID = {"type": "string", "format": "uuid"}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 2000}
_HTTPS = {"type": "string", "format": "uri", "pattern": "^https://"}
_CREDENTIALS = (
    "none",
    "client_secret",
    "certificate",
    "managed_identity",
    "workload_identity",
    "basic",
    "bearer",
)

EVENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "type", "occurred_at", "organization"],
    "properties": {
        "id": _GUID,
        "type": {"enum": ProvisioningEvent.Type.values},
        "occurred_at": {"type": "string", "format": "date-time"},
        "organization": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id"],
            "properties": {
                "id": _GUID,
                "unique_name": {"type": "string", "pattern": UNIQUE_NAME_PATTERN},
                "display_name": {**_TEXT, "maxLength": 200},
                "endpoint": _HTTPS,
                "kind": {"enum": ["dataverse", "odata"]},
                "identity": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["authority", "issuers", "audience", "tenant_id"],
                    "properties": {
                        "authority": _HTTPS,
                        "issuers": {"type": "array", "items": _HTTPS, "minItems": 1},
                        "audience": _TEXT,
                        "tenant_id": _GUID,
                    },
                },
                "credential": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {"type": {"enum": list(_CREDENTIALS)}},
                    "additionalProperties": {"type": "string"},
                },
                "ca_certificate": {"type": "string", "description": "PEM"},
            },
        },
        "tables": {
            "type": "array",
            "uniqueItems": True,
            "items": {"type": "string", "pattern": "^[a-z_][a-z0-9_]{0,127}$"},
        },
    },
}
PROFILE: dict[str, Any] = {"$ref": "#/components/schemas/ProfileDef"}
SETTINGS: dict[str, Any] = {"$ref": "#/components/schemas/CommonSettings"}
PREVIEW: dict[str, Any] = {"$ref": "#/components/schemas/PublishPreview"}
EXPLANATION: dict[str, Any] = {"$ref": "#/components/schemas/Explanation"}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["member", "message"],
                "properties": {
                    "member": {"type": "string"},
                    "message": {"type": "string"},
                    # Of a filter: where in its text, and what Dynamics calls it.
                    "place": {"type": "string"},
                    "dynamics_code": {"type": "string"},
                },
            },
        },
    },
}
_REFUSALS = {
    "400": "The request breaks the protocol.",
    "401": "A valid access token is needed.",
    "403": "The caller is no operator, or the user may not go offline.",
    "404": "There is no such thing.",
    "405": "The address does not take the method.",
    "503": "The service or the organization's staging does not answer now; wait.",
}
_REFUSALS_OF_CHANGES = {
    "409": "The request cannot be carried out as things are.",
    "413": "The request is too large.",
}


def verb(names: Iterable[str]) -> OpenApiParameter:
    return OpenApiParameter("verb", str, OpenApiParameter.PATH, enum=sorted(names))


def page_of(body: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """A list as `paging` answers it."""
    return inline_serializer(
        f"{body.__name__.removesuffix('Body')}Page",
        {
            "items": body(many=True),
            "next": serializers.CharField(allow_null=True),
        },
    )


def complete(
    result: dict[str, Any], generator: object, request: object, public: bool
) -> dict[str, Any]:
    """Add what every operation may answer besides, and the documents' schemas.

    A post-processing hook of drf-spectacular, named by the settings.
    """
    _, documents = msgspec.json.schema_components(
        (ProfileDef, CommonSettings, PublishPreview, Explanation),
        ref_template="#/components/schemas/{name}",
    )
    components = result.setdefault("components", {}).setdefault("schemas", {})
    # The address names the profile; the document may repeat it.
    documents["ProfileDef"]["required"].remove("name")
    components.update({**documents, "Problem": _PROBLEM})
    for path in result["paths"].values():
        for method, operation in path.items():
            _add_refusals(operation, changes=method in {"post", "put"})
    return result


def _add_refusals(operation: dict[str, Any], *, changes: bool) -> None:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    refusals = {**_REFUSALS, **(_REFUSALS_OF_CHANGES if changes else {})}
    for status, description in refusals.items():
        operation["responses"].setdefault(
            status, {"description": description, "content": {CONTENT_TYPE: problem}}
        )
