"""A small fleet with a past: what the admin's pages are looked at with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.utils import timezone

from provisioning.models import (
    AuditEntry,
    DatabaseServer,
    Organization,
    ProvisioningEvent,
    WorkItem,
)
from provisioning.secrets import seal
from provisioning.services import staging_databases
from replication.models import Profile, Sample
from replication.staging import connections, registry
from syncapi.models import Device, DeviceSample
from tests.fake_dataverse import plain as plain_column
from tests.fake_dataverse import table_def

MINUTE = timedelta(minutes=1)
TABLES = {
    "account": 48_210,
    "contact": 131_904,
    "task": 22_317,
    "appointment": 17_662,
    "incident": 9_043,
    "opportunity": 6_218,
    "product": 1_870,
    "systemuser": 214,
}
SET_ASIDE = "0c7e5a52-4f0b-4b1a-9a55-3b1f0d6a9e10"
PROFILE = {
    "name": "Field service",
    "items": [
        {
            "table": "account",
            "records": "filtered",
            "owned_by_me": True,
            "owned_by_my_team": True,
            "columns": ["name", "telephone1", "address1_city"],
            "writable": True,
            "conflicts": "merge",
            "sync_interval_minutes": 15,
        },
        {"table": "product", "records": "all", "sync_interval_minutes": 240},
    ],
    "assignments": {"everyone": False, "roles": [str(UUID(int=77)), str(UUID(int=78))]},
}


def organization(name: str, *, state: str = "active", **columns: Any) -> Organization:
    return Organization.objects.create(
        **{
            "pk": uuid4(),
            "unique_name": name,
            "display_name": name.title(),
            "kind": "dataverse",
            "endpoint": f"https://{name}.example/api/data/v9.2",
            "state": state,
            "credential_type": "client_secret",
            **columns,
        }
    )


def work_item(owner: Organization, table: str, **columns: Any) -> WorkItem:
    now = timezone.now()
    return WorkItem.objects.create(
        **{
            "organization": owner,
            "kind": "table" if table else "metadata",
            "table": table,
            "interval": timedelta(seconds=30),
            "next_due_at": now + timedelta(seconds=20),
            "last_started_at": now - timedelta(seconds=9),
            "last_succeeded_at": now - timedelta(seconds=8),
            "completed_once": True,
            **columns,
        }
    )


def device(owner: Organization, name: str, **columns: Any) -> Device:
    now = timezone.now()
    return Device.objects.create(
        **{
            "organization": owner,
            "device_id": uuid4(),
            "user_id": uuid4(),
            "user_object_id": uuid4(),
            "name": name,
            "platform": "Android 16",
            "app_version": "4.2",
            "last_seen_at": now - 2 * MINUTE,
            "last_completed_at": now - 2 * MINUTE,
            **columns,
        }
    )


def profile(owner: Organization, **columns: Any) -> Profile:
    now = timezone.now()
    return Profile.objects.create(
        **{
            "organization": owner,
            "name": PROFILE["name"],
            "document": PROFILE,
            "changed_at": now - 3 * MINUTE,
            "published_at": now - 2 * MINUTE,
            **columns,
        }
    )


def definition(table: str) -> str:
    columns = [plain_column(name) for name in ("name", "telephone1", "address1_city")]
    return registry.encode(table_def(table, *columns))


def pointed_at_staging(owner: Organization) -> Organization:
    """Let the catalog believe that the organization has a staging database."""
    owner.server, _ = DatabaseServer.objects.get_or_create(name="default")
    owner.database_name = owner.role_name = f"org_{owner.pk.hex}"
    owner.role_password_sealed = seal(
        b"correct horse", identity=owner.role_password_identity
    )
    owner.save()
    return owner


def with_staging(owner: Organization) -> Organization:
    """Give the organization a real one; `drop_staging` takes it away."""
    staging_databases.create(pointed_at_staging(owner))
    with connected(owner) as conn:
        for table, rows in TABLES.items():
            conn.execute(
                "INSERT INTO sync.source (name, relation, definition, cursor_kind,"
                " cursor_link, loading, is_complete, row_count, last_page_at,"
                " last_complete_at) VALUES (%s, %s, %s, 'delta', 'next', 'none', true,"
                " %s, now() - interval '8 s', now() - interval '8 s')",
                (table, table, definition(table), rows),
            )
        conn.execute(
            "INSERT INTO sync.set_aside (source_id, row_key, column_name, reason)"
            " SELECT id, %s, 'numberofemployees', 'The value fits no integer.'"
            " FROM sync.source WHERE name = 'account'",
            (SET_ASIDE,),
        )
        conn.execute("UPDATE sync.clock SET rev = 5120")
    return owner


def connected(owner: Organization) -> psycopg.Connection:
    """A connection to the organization's staging; leaving it commits and closes."""
    return psycopg.connect(staging_databases.conninfo(owner))


def present(owner: Organization, device: Device, *, rev: int) -> None:
    """Let the device have presented a checkpoint of this rev."""
    with connected(owner) as conn:
        conn.execute(
            "INSERT INTO sync.device (device_id, user_id, presented_rev)"
            " VALUES (%s, %s, %s)",
            (device.device_id, device.user_id, rev),
        )


def history(owner: Organization | None, *, now: datetime, minutes: int = 60) -> None:
    """Samples of the last hour that look like a working day."""
    at = now.replace(second=0, microsecond=0) - minutes * MINUTE
    changes = pages = pulls = failures = syncs = 0
    for n in range(minutes + 1):
        wave = (n * 7919) % 23
        changes += 40 + wave * (9 if n % 15 < 5 else 2)
        pages += 16 + wave % 4
        pulls += 16
        failures += 1 if n in {12, 13, 38} else 0
        syncs += 6 + wave % 9
        Sample.objects.create(
            organization=owner,
            at=at + n * MINUTE,
            rows=sum(TABLES.values()) + 12 * n,
            set_aside=1,
            tables={name: rows + 12 * n for name, rows in TABLES.items()},
            pulls=pulls,
            pages=pages,
            changes=changes,
            failures=failures,
            lag_seconds=8 + wave + (55 if n in {12, 13, 14} else 0),
        )
        DeviceSample.objects.create(
            organization=owner, at=at + n * MINUTE, devices=6, syncs=syncs
        )


def fleet() -> Organization:
    """Seven organizations in all sorts of states; returns Contoso, which works."""
    now = timezone.now()
    contoso = with_staging(organization("contoso", display_name="Contoso Field Ltd."))
    work_item(contoso, "", interval=timedelta(hours=1))
    for table in TABLES:
        work_item(
            contoso,
            table,
            mandatory=table == "systemuser",
            pages=2_400 + TABLES[table] // 900,
            changes=TABLES[table] * 2,
        )
    WorkItem.objects.filter(organization=contoso, table="incident").update(
        state="halted",
        attempts=5,
        failures=5,
        last_failure="misconfigured",
        last_error_code="forbidden",
        last_error="The source refuses: prvReadIncident is missing.",
        last_succeeded_at=now - 47 * MINUTE,
    )
    history(contoso, now=now)
    history(None, now=now)
    people = ("Ada", "Grace", "Katherine", "Dorothy")
    for number, person in enumerate(people):
        one = device(contoso, f"{person}'s tablet", user_name=person)
        present(contoso, one, rev=5120 - 9 * number)
    device(
        contoso,
        "Lost phone",
        user_name="Mary",
        state="revoked",
        wipe_ordered=True,
        last_seen_at=now - timedelta(days=3),
        last_completed_at=now - timedelta(days=3),
    )
    profile(contoso)
    AuditEntry.objects.create(
        actor="olga", verb="publish profiles", organization=contoso
    )
    ProvisioningEvent.objects.create(
        id=uuid4(),
        type="organization.provision",
        organization_id=contoso.pk,
        occurred_at=now - timedelta(days=2),
        body={},
        fingerprint="f",
        state="applied",
        handled_at=now,
    )
    _others(now)
    return contoso


def _others(now: datetime) -> None:
    # Its database is gone from the server.
    fabrikam = pointed_at_staging(organization("fabrikam"))
    for table in ("account", "contact"):
        late = now - 6 * MINUTE
        work_item(fabrikam, table, last_succeeded_at=late, state="postponed")
    loading = organization("adventure-works", state="loading_mandatory")
    for number, table in enumerate(("account", "contact", "systemuser", "task")):
        work_item(loading, table, completed_once=number < 1)
    organization("northwind", state="creating")
    organization("litware", state="suspended", suspended_from="active")
    organization(
        "tailspin",
        state="failed",
        failed_step="loading_metadata",
        last_error="The source's certificate is not trusted.",
    )
    proseware = organization("proseware", state="ready", kind="odata")
    work_item(proseware, "Products", state="paused")


def drop_staging() -> None:
    for owner in Organization.objects.exclude(server=None):
        connections.forget(owner.pk)
        staging_databases.drop(owner)
