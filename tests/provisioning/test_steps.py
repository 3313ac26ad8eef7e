"""Staging databases come and go: what exists, who may enter, what a crash leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
import pytest
from django.conf import settings as current
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from psycopg import sql
from psycopg.conninfo import make_conninfo

from provisioning import queries
from provisioning.models import AuditEntry, DatabaseServer, Organization, WorkItem
from provisioning.secrets import SealBrokenError, seal
from provisioning.services import staging_databases
from provisioning.services.events import receive
from provisioning.services.process import process_events
from tests.provisioning import factories

pytestmark = pytest.mark.usefixtures("staging")

NO_SPREAD = 0.5
PATIENCE_SECONDS = 10
ROOT = Path(__file__).resolve().parents[2]


def provisioned(*, unique_name="contoso"):
    body = factories.provision(unique_name=unique_name)
    receive(body)
    process_events(jitter=NO_SPREAD)
    return queries.organization(UUID(body["organization"]["id"]))


def make_steps_due():
    waiting = Organization.objects.exclude(step_due_at=None)
    waiting.update(step_due_at=Now())


def process_until(state):
    """Process again and again, as beat does; a dead worker's lock may linger."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Organization.objects.get().state != state:
        assert time.monotonic() < deadline, f"never became {state}"
        make_steps_due()
        process_events(jitter=NO_SPREAD)
    return Organization.objects.select_related("server").get()


def process_and_die(*, at):
    """Process events in another process that a failpoint kills; return its fate."""
    catalog = connection.settings_dict["NAME"]
    parts = urlsplit(current.DATABASE_URL)._replace(path=f"/{catalog}")
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(parts),
        "STAGING_SERVER_URL": current.STAGING_SERVER_URL,
        "WAYSTATION_FAIL": f"{at}:1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.provisioning.worker"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def on_server(query, *values):
    with psycopg.connect(current.STAGING_SERVER_URL, autocommit=True) as admin:
        return [name for (name,) in admin.execute(query, values)]


def databases_of(organization):
    return on_server(
        "SELECT datname::text FROM pg_database WHERE datname ~ %s ORDER BY 1",
        organization.pk.hex,
    )


def roles_of(organization):
    return on_server(
        "SELECT rolname::text FROM pg_roles WHERE rolname ~ %s", organization.pk.hex
    )


def ask(organization, query):
    with psycopg.connect(staging_databases.conninfo(organization)) as own:
        return own.execute(query).fetchall()


def test_signing_in_to_staging_does_not_stretch_a_password_that_is_random_anyhow():
    acme = provisioned()

    query = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    (verifier,) = on_server(query, acme.role_name)
    assert verifier.startswith("SCRAM-SHA-256$1:")


def test_a_new_organization_gets_a_seeded_database_and_reads_metadata_next():
    acme = provisioned()

    assert acme.state == "loading_metadata"
    assert ask(acme, "SELECT rev FROM sync.clock") == [(0,)]
    assert databases_of(acme) == [f"org_{acme.pk.hex}"]
    assert factories.claimed().kind == "metadata"


def test_the_database_belongs_to_a_role_that_may_do_nothing_else():
    acme = provisioned()

    roles = ask(
        acme,
        "SELECT current_user::text, rolsuper, rolcreatedb, rolcreaterole,"
        " rolreplication, rolbypassrls, rolconnlimit"
        " FROM pg_roles WHERE rolname = current_user",
    )

    limit = staging_databases.CONNECTION_LIMIT
    assert roles == [(acme.role_name, False, False, False, False, False, limit)]


def test_the_role_cannot_hold_locks_and_statements_for_ever():
    acme = provisioned()

    settings = {
        name: ask(acme, f"SHOW {name}")[0][0]
        for name in staging_databases.ROLE_SETTINGS
    }

    assert settings == {
        "statement_timeout": "10min",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "1min",
        "timezone": "UTC",
    }


def test_the_role_of_one_organization_cannot_enter_anothers_database():
    acme, globex = provisioned(), provisioned(unique_name="globex")
    trespass = make_conninfo(
        staging_databases.conninfo(acme), dbname=globex.database_name
    )

    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(trespass)


def test_the_password_of_one_organization_cannot_be_opened_as_anothers():
    acme, globex = provisioned(), provisioned(unique_name="globex")
    globex.role_password_sealed = acme.role_password_sealed

    with pytest.raises(SealBrokenError):
        staging_databases.conninfo(globex)


def test_an_administrator_need_not_be_a_superuser(settings):
    name = sql.Identifier(f"administrator_{os.getpid()}")
    with psycopg.connect(settings.STAGING_SERVER_URL, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD 'pw'").format(
                name
            )
        )
        settings.STAGING_SERVER_URL = make_conninfo(
            settings.STAGING_SERVER_URL, user=name.as_string().strip('"'), password="pw"
        )
        acme = provisioned()
        state = acme.state
        staging_databases.drop(acme)
        admin.execute(sql.SQL("DROP ROLE {}").format(name))

    assert (state, acme.last_error) == ("loading_metadata", "")


@pytest.mark.parametrize(
    "failpoint",
    [
        "names_assigned",
        "role_created",
        "database_created",
        "database_seeded",
        "database_named",
        "database_created_for_good",
    ],
)
def test_a_worker_killed_while_it_creates_leaves_nothing_half_done(failpoint):
    receive(factories.provision())
    process_and_die(at=f"provisioning.{failpoint}")

    acme = process_until("loading_metadata")

    assert databases_of(acme) == [acme.database_name]
    assert ask(acme, "SELECT rev FROM sync.clock") == [(0,)]
    assert WorkItem.objects.count() == 2
    assert AuditEntry.objects.filter(verb="created").count() == 1


@pytest.mark.parametrize("failpoint", ["database_dropped", "dropped_for_good"])
def test_a_worker_killed_while_it_removes_leaves_nothing_behind(failpoint):
    acme = provisioned()
    receive(factories.event("deprovision", acme.pk))
    process_and_die(at=f"provisioning.{failpoint}")

    process_until("deprovisioned")

    assert (databases_of(acme), roles_of(acme)) == ([], [])
    assert AuditEntry.objects.filter(verb="deprovisioned").count() == 1


def test_deprovisioning_removes_everything_and_says_what_that_was():
    acme = provisioned()
    receive(factories.event("deprovision", acme.pk))

    with psycopg.connect(staging_databases.conninfo(acme)):
        process_events(jitter=NO_SPREAD)

    gone = queries.organization(acme.pk)
    assert (gone.state, gone.database_name, gone.server) == ("deprovisioned", "", None)
    assert bytes(gone.credential_sealed) == bytes(gone.role_password_sealed) == b""
    assert (databases_of(acme), roles_of(acme)) == ([], [])
    assert not WorkItem.objects.exists()
    assert AuditEntry.objects.get(verb="deprovisioned").detail == {
        "server": "default",
        "database": acme.database_name,
        "role": acme.role_name,
        "work_items": 2,
    }


def test_an_organization_that_comes_back_gets_a_new_database():
    acme = provisioned()
    ask(acme, "UPDATE sync.clock SET rev = 7 RETURNING rev")
    receive(factories.event("deprovision", acme.pk))
    process_events(jitter=NO_SPREAD)

    receive(factories.provision(organization_id=acme.pk))
    again = process_until("loading_metadata")

    assert ask(again, "SELECT rev FROM sync.clock") == [(0,)]


def test_an_organization_suspended_while_it_is_created_is_finished_when_resumed():
    body = factories.provision()
    receive(body)
    process_and_die(at="provisioning.database_created")
    acme_id = UUID(body["organization"]["id"])
    receive(factories.event("suspend", acme_id))
    process_events(jitter=NO_SPREAD)
    assert Organization.objects.get().state == "suspended"

    receive(factories.event("resume", acme_id))

    process_until("loading_metadata")


def test_an_unreachable_server_is_tried_again(settings):
    reachable = settings.STAGING_SERVER_URL
    settings.STAGING_SERVER_URL = "postgresql://nobody@127.0.0.1:1/nowhere"
    acme = provisioned()
    assert (acme.state, acme.step_attempts) == ("creating", 1)
    assert acme.last_error
    assert acme.step_due_at

    settings.STAGING_SERVER_URL = reachable

    acme = process_until("loading_metadata")
    assert (acme.last_error, acme.step_attempts) == ("", 0)


def test_an_organization_suspended_in_the_middle_of_a_step_stays_suspended(settings):
    settings.STAGING_SEED = "tests.provisioning.seeds.suspend_meanwhile"

    acme = provisioned()

    assert (acme.state, acme.suspended_from) == ("suspended", "creating")
    assert not WorkItem.objects.exists()


def test_a_step_that_kills_its_worker_is_not_tried_again_at_once():
    receive(factories.provision())
    process_and_die(at="provisioning.names_assigned")

    process_events(jitter=NO_SPREAD)

    acme = Organization.objects.get()
    assert (acme.state, acme.step_attempts) == ("creating", 1)


def test_a_step_that_is_not_due_yet_is_left_alone(settings):
    settings.STAGING_SERVER_URL = "postgresql://nobody@127.0.0.1:1/nowhere"
    provisioned()

    process_events(jitter=NO_SPREAD)

    assert Organization.objects.get().step_attempts == 1


def test_a_server_that_refuses_fails_the_organization_at_its_step(settings):
    settings.STAGING_SEED = "tests.provisioning.seeds.refuse"
    acme = provisioned()
    assert (acme.state, acme.failed_step) == ("failed", "creating")
    assert "nowhere" in acme.last_error

    settings.STAGING_SEED = "tests.provisioning.seeds.install"
    receive(factories.event("resume", acme.pk))

    assert process_until("loading_metadata").failed_step == ""


def test_one_broken_organization_does_not_stop_another():
    broken = DatabaseServer(name="broken", accepts_organizations=False)
    broken.admin_url_sealed = seal(
        b"postgresql://nobody@127.0.0.1:1/nowhere", identity=broken.admin_url_identity
    )
    broken.save()
    factories.organization(
        unique_name="broken", state="creating", server=broken, step_due_at=Now()
    )
    DatabaseServer.objects.create(name="default")

    acme = provisioned()
    Organization.objects.filter(unique_name="broken").update(server=None)

    assert acme.state == "loading_metadata"


def test_databases_that_nobody_claims_are_reported_and_left_alone():
    acme = provisioned()
    orphan = f"org_orphan_{os.getpid()}"
    with psycopg.connect(current.STAGING_SERVER_URL, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(orphan)))
        out = StringIO()
        call_command("report_orphans", stdout=out)
        admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(orphan)))

    assert f"default\t{orphan}" in out.getvalue()
    assert acme.database_name not in out.getvalue()


def test_no_log_or_message_repeats_a_password(settings, caplog):
    settings.STAGING_SERVER_URL = "postgresql://nobody:hunter2@127.0.0.1:1/nowhere"

    acme = provisioned()

    assert "hunter2" not in acme.last_error + caplog.text
    assert factories.SECRET not in caplog.text
