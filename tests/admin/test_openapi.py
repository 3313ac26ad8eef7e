"""The admin API answers as its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi import checks

from provisioning.models import Organization
from syncapi.models import Device
from tests.syncapi.authority import Server

EXAMPLES = 8
# 500 is described nowhere, so that it breaks the first of these; 503 is an answer.
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def token(settings: Any) -> Iterator[str]:
    with Server().running() as server:
        authority = server.authority()
        settings.ADMIN_IDENTITY = authority.identity()
        settings.SOURCE_ALLOW_LOOPBACK = True
        yield f"Bearer {authority.service_token('Waystation.Admin')}"


@pytest.fixture
def api(contoso: Organization, token: str) -> BaseSchema:
    return schemathesis.openapi.from_wsgi(
        "/admin-api/v1/schema",
        get_wsgi_application(),
        headers={"Authorization": token},
    )


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_no_request_brings_an_answer_that_is_not_described(
    api: BaseSchema, token: str, contoso: Organization, mode: GenerationMode
) -> None:
    known = {
        "org": contoso.unique_name,
        "device": str(Device.objects.earliest("pk").device_id),
        "item": str(contoso.work_items.earliest("pk").pk),
    }

    for operation in operations(api):
        named = {parameter.name for parameter in operation.path_parameters}
        mine = {name: value for name, value in known.items() if name in named}
        for given_path in [{}, mine] if mine else [{}]:
            fuzz(operation, token=token, mode=mode, path=given_path)


def operations(api: BaseSchema) -> list[APIOperation[Any, Any, Any, Any]]:
    """All of them; those last that take away what the others look at."""
    found = [
        result.ok() for result in api.get_all_operations() if isinstance(result, Ok)
    ]
    return sorted(found, key=lambda one: (one.method != "get", "{verb}" in one.path))


def fuzz(
    operation: APIOperation[Any, Any, Any, Any],
    *,
    token: str,
    mode: GenerationMode,
    path: dict[str, str],
) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode, path_parameters=path or None))
    def one(case: Case[Any]) -> None:
        response = case.call(headers={"Authorization": token})
        case.validate_response(response, checks=CHECKS)

    one()
