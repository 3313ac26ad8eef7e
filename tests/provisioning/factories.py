"""Events, organizations and work items as tests need them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from provisioning.models import Organization, WorkItem
from provisioning.services import leases
from provisioning.services.leases import Lease

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=90)
SECRET = "correct horse battery staple"


def provision(
    *,
    event_id: UUID | None = None,
    organization_id: UUID | None = None,
    unique_name: str = "contoso",
    at: datetime = NOON,
    secret: str = SECRET,
) -> dict[str, Any]:
    """The body of organization.provision."""
    return {
        "id": str(event_id or uuid4()),
        "type": "organization.provision",
        "occurred_at": at.isoformat(),
        "organization": {
            "id": str(organization_id or uuid4()),
            "unique_name": unique_name,
            "display_name": "Contoso",
            "endpoint": "https://contoso.example/api/data/v9.2",
            "kind": "dataverse",
            "identity": {
                "authority": "https://login.example/contoso/v2.0",
                "issuers": ["https://login.example/contoso/v2.0"],
                "audience": "api://waystation",
                "tenant_id": str(UUID(int=7)),
            },
            "credential": {
                "type": "client_secret",
                "tenant_id": "contoso",
                "client_id": "waystation",
                "client_secret": secret,
                "scope": "https://contoso.example/.default",
                "authority": "https://login.example",
            },
        },
        "tables": ["account", "contact"],
    }


def event(
    verb: str,
    organization_id: UUID,
    *,
    at: datetime = NOON,
    members: dict[str, Any] | None = None,
    **further: Any,
) -> dict[str, Any]:
    """The body of any other event."""
    return {
        "id": str(uuid4()),
        "type": f"organization.{verb}",
        "occurred_at": at.isoformat(),
        "organization": {"id": str(organization_id), **(members or {})},
        **further,
    }


def organization(
    *,
    unique_name: str = "contoso",
    state: str = "active",
    **columns: Any,
) -> Organization:
    return Organization.objects.create(
        pk=uuid4(),
        unique_name=unique_name,
        display_name=unique_name.title(),
        kind="dataverse",
        endpoint="https://contoso.example/api/data/v9.2",
        state=state,
        **columns,
    )


def work_item(
    owner: Organization | None = None, *, table: str = "account", **columns: Any
) -> WorkItem:
    defaults: dict[str, Any] = {
        "organization": owner or organization(),
        "kind": "table" if table else "metadata",
        "table": table,
        "interval": timedelta(seconds=30),
        # Due: the tests run long after.
        "next_due_at": NOON,
    }
    return WorkItem.objects.create(**{**defaults, **columns})


def claimed(*, lease: timedelta = LEASE, only: WorkItem | None = None) -> Lease:
    held = leases.claim(lease=lease, only=only.pk if only else None)
    assert held is not None
    return held
