"""Four worker processes load one table, one is killed, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from django.conf import settings as current
from django.db import connection

from provisioning.models import Organization, SourceBudget, SourceSlot, WorkItem
from provisioning.secrets import seal
from provisioning.services import budgets, leases, staging_databases
from replication.services.sources import source_of
from replication.staging import connections, schema
from tests.project.processes import ROOT, eventually
from tests.provisioning import factories
from tests.sandbox.running import as_application, start

pytestmark = [
    pytest.mark.serial,
    pytest.mark.xdist_group("four workers"),
    pytest.mark.django_db(transaction=True),
]

ACCOUNTS = 40_000
COLUMNS = {"accountid", "name", "revenue", "ownerid", "description", "versionnumber"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A sandbox with forty thousand accounts, asked by its administrator."""
    sandbox = start(tmp_path_factory.mktemp("sandbox"), scale=ACCOUNTS)
    yield as_application(sandbox)
    sandbox.stop()


@pytest.fixture
def organization(client):
    """It bears four requests at once, and its accounts were never loaded."""
    made = Organization(
        id=uuid4(),
        unique_name="contoso",
        display_name="Contoso",
        endpoint=f"{client.running.url}/api/data/v9.2",
        kind="dataverse",
        credential_type="client_secret",
        ca_certificate=client.running.ca_file.read_text(encoding="ascii"),
        state="active",
    )
    credential = {
        "type": "client_secret",
        "tenant_id": "contoso",
        "client_id": "waystation",
        "client_secret": "sandbox",
        "scope": f"{client.running.url}/.default",
        "authority": client.running.url,
    }
    made.credential_sealed = seal(
        json.dumps(credential).encode(), identity=made.credential_identity
    )
    made.save(force_insert=True)
    staging_databases.assign(made)
    staging_databases.create(made)
    with connections.opened(made.id) as conn:
        (table,) = source_of(made).load_tables(("account",))
        kept = tuple(c for c in table.columns if c.name in COLUMNS)
        schema.create_missing(conn, [replace(table, columns=kept)])
    budget = budgets.budget_of(made)
    SourceBudget.objects.filter(pk=budget).update(window=4)
    SourceSlot.objects.bulk_create(
        [SourceSlot(budget_id=budget, number=number) for number in range(5)],
        ignore_conflicts=True,
    )
    factories.work_item(made, table="account")
    yield made
    connections.forget(made.id)
    staging_databases.drop(made)


@pytest.fixture
def start_worker():
    started = []

    def begin(*, fail="nowhere:1"):
        catalog = urlsplit(current.DATABASE_URL)._replace(
            path=f"/{connection.settings_dict['NAME']}"
        )
        environment = {
            **os.environ,
            "DATABASE_URL": urlunsplit(catalog),
            "STAGING_SERVER_URL": current.STAGING_SERVER_URL,
            "WAYSTATION_DIVIDE_FROM": "5000",
            "WAYSTATION_FAIL": fail,
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.replication.services.worker_of_items"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
        )
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        worker.communicate(timeout=300)


def edit(client, ids):
    targets = [
        {
            "@odata.type": "Microsoft.Dynamics.CRM.account",
            "accountid": account,
            "description": "Edited while it was loaded",
        }
        for account in ids
    ]
    action = "accounts/Microsoft.Dynamics.CRM.UpdateMultiple"
    answer = client.api("POST", action, {"Targets": targets})
    assert answer.status_code < 300, answer.text


def in_source(client):
    path = "accounts?$select=accountid,name,revenue,description,versionnumber"
    rows = [
        row
        for page in client.pages(path, Prefer="odata.maxpagesize=5000")
        for row in page["value"]
    ]
    return {
        row["accountid"]: (
            row["name"],
            None if row["revenue"] is None else float(row["revenue"]),
            row["description"],
            row["versionnumber"],
        )
        for row in rows
    }


def in_staging(organization):
    with connections.opened(organization.id) as conn:
        rows = conn.execute(
            "SELECT accountid::text, name, revenue::float8, description, versionnumber"
            " FROM data.account"
        ).fetchall()
    return {row_id: tuple(rest) for row_id, *rest in rows}


def rows_of_parts(organization):
    with connections.opened(organization.id) as conn:
        return conn.execute(
            "SELECT coalesce(sum(row_count), 0) FROM sync.part"
        ).fetchone()


def parts_at_once():
    return WorkItem.objects.filter(state="leased", kind="part").count()


def is_loaded(organization):
    leases.reap()
    item = WorkItem.objects.get(organization=organization, kind="table")
    assert item.state != "halted", item.last_error
    return item.completed_once


def test_four_workers_share_a_load_of_which_one_is_killed(
    client, organization, start_worker
):
    ids = sorted(in_source(client))
    doomed = start_worker(fail="part.stored:2")
    workers = [start_worker() for _ in range(3)]

    eventually(lambda: parts_at_once() > 1)
    eventually(lambda: rows_of_parts(organization) > (0,))
    edit(client, ids[::80])
    for account in ids[7::800]:
        assert client.api("DELETE", f"accounts({account})").status_code == 204
    for number in range(20):
        client.created("accounts", name=f"Founded {number}")

    eventually(lambda: is_loaded(organization))

    assert doomed.wait(timeout=10) == -signal.SIGKILL
    assert [worker.poll() for worker in workers] == [None] * 3
    assert not WorkItem.objects.filter(kind="part").exists()
    assert in_staging(organization) == in_source(client)
