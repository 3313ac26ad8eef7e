"""The worked example in docs/visibility.md is what the service says of Contoso now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command

from project.demo.example_profiles import PROFILES, SCALE, TABLES
from project.stack import BASE_DIR
from provisioning.models import Organization
from provisioning.secrets import seal
from provisioning.services import staging_databases
from replication.services import profiles
from replication.services.load_metadata import load_metadata
from replication.services.pull import PullOrder, pull_table
from replication.services.sources import source_of
from replication.staging import connections
from replication.take_along import pages
from sandbox.server import Running, serve

DOCS = BASE_DIR / "docs"


@pytest.fixture
def contoso(db: None, tmp_path: Path) -> Iterator[Organization]:
    """Everything pulled from a fresh sandbox, the example's profiles in effect."""
    running = serve(tmp_path / "sandbox", port=0, scale=SCALE)
    made = registered(running)
    staging_databases.assign(made)
    try:
        staging_databases.create(made)
        load_metadata(made, source_of(made))
        pull(made, *planned(made))
        for name, document in PROFILES.items():
            profiles.save_profile(made.id, name=name, document=document)
        profiles.publish(made.id)
        # Whatever is pulled next builds the rules.
        pull(made, "account")
        yield made
    finally:
        connections.forget(made.id)
        staging_databases.drop(made)
        running.stop()


def registered(running: Running) -> Organization:
    credential = {
        "type": "client_secret",
        "tenant_id": "contoso",
        "client_id": "waystation",
        "client_secret": "sandbox",
        "scope": f"{running.url}/.default",
        "authority": running.url,
    }
    made = Organization(
        id=uuid4(),
        unique_name="contoso",
        display_name="Contoso",
        kind="dataverse",
        endpoint=f"{running.url}/api/data/v9.2",
        ca_certificate=running.ca_file.read_text(encoding="ascii"),
        credential_type="client_secret",
        tables=list(TABLES),
        state=Organization.State.ACTIVE,
    )
    sealed = seal(json.dumps(credential).encode(), identity=made.credential_identity)
    made.credential_sealed = sealed
    made.save(force_insert=True)
    return made


def planned(organization: Organization) -> list[str]:
    """Every table that there is in staging, those first that security needs."""
    items = organization.work_items.filter(kind="table")
    return list(items.order_by("-mandatory", "table").values_list("table", flat=True))


def pull(organization: Organization, *tables: str) -> None:
    source = source_of(organization)
    with connections.opened(organization.id) as conn:
        for table in tables:
            order = PullOrder(
                table=table,
                epoch=1,
                time_slice=timedelta(minutes=5),
                renew=lambda: None,
            )
            assert pull_table(conn, source, order).is_finished


@pytest.mark.usefixtures("contoso")
def test_page_and_picture_are_what_the_command_writes_for_a_fresh_contoso(tmp_path):
    written = tmp_path / "docs"
    written.mkdir()
    shutil.copy(DOCS / pages.PAGE, written)

    printed = StringIO()

    call_command("take_along", "contoso", write=written, stdout=StringIO())
    call_command("take_along", "contoso", stdout=printed)

    for file in (pages.PAGE, pages.PICTURE):
        expected = (written / file).read_text(encoding="utf-8")
        assert (DOCS / file).read_text(encoding="utf-8") == expected, (
            f"docs/{file} is out of date: `python -m project.demo.example docs`"
        )
    assert printed.getvalue() in (DOCS / pages.PAGE).read_text(encoding="utf-8")
