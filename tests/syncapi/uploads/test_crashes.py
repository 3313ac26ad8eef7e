"""Whenever a web process dies, what it accepted is there, and once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection

from provisioning.models import WorkItem
from tests.syncapi.uploads.phone import PATH, void

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.django_db(transaction=True)


def upload_and_die(phone, *mutations, at):
    catalog = urlsplit(settings.DATABASE_URL)._replace(
        path=f"/{connection.settings_dict['NAME']}"
    )
    body = {"device": str(phone.device), "mutations": list(mutations)}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.syncapi.uploads.dying"),
            f"{PATH}/mutations",
            phone.client.defaults["HTTP_AUTHORIZATION"],
            json.dumps(body),
        ],
        env={
            **os.environ,
            "DATABASE_URL": urlunsplit(catalog),
            "STAGING_SERVER_URL": settings.STAGING_SERVER_URL,
            "WAYSTATION_FAIL": f"{at}:1",
            "WAYSTATION_SOURCE_ALLOW_LOOPBACK": "on",
        },
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, (done.stdout, done.stderr)


def sequences(world):
    return world.values("SELECT sequence FROM sync.mutation ORDER BY sequence")


def test_before_the_commit_nothing_is_accepted_and_it_can_be_sent_again(world, phone):
    upload_and_die(phone, void(1), void(2), at="accept.before_commit")
    assert sequences(world) == []

    assert len(phone.accepted(void(1), void(2))) == 2
    assert sequences(world) == [1, 2]


def test_after_the_commit_it_is_kept_and_somebody_will_look(world, phone):
    upload_and_die(phone, void(1), void(2), at="accept.after_commit")
    assert sequences(world) == [1, 2]
    assert WorkItem.objects.get(kind="uploads").expected_by is not None

    again = phone.accepted(void(1), void(2), void(3))

    assert [one["status"] for one in again] == ["accepted"] * 3
    assert sequences(world) == [1, 2, 3]
