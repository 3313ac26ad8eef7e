"""The npm package dynamics-web-api works against the sandbox, unchanged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sandbox.contoso.people import ORGANIZATION_ID, PEOPLE_BY_KEY
from tests.sandbox.running import as_application

CLIENTS = Path(__file__).parent / "clients"
NPM = shutil.which("npm")

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or NPM is None,
    reason="needs node and npm, which this machine does not have",
)


@pytest.fixture(scope="module")
def packages(request: pytest.FixtureRequest) -> Path:
    """The folder of the installed packages, made once for each lock file."""
    lock = (CLIENTS / "package-lock.json").read_bytes()
    cache = Path(request.config.cache.mkdir("sandbox-clients"))
    folder = cache / hashlib.sha256(lock).hexdigest()[:16]
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as unfinished:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(CLIENTS / name, unfinished)
            options = ("--no-audit", "--no-fund", "--ignore-scripts")
            subprocess.run(
                [str(NPM), "ci", *options],
                cwd=unfinished,
                check=True,
                capture_output=True,
                timeout=120,
            )
            # Somebody else may have come first; theirs is as good.
            if not folder.exists():
                Path(unfinished, "node_modules").rename(folder)
    return folder


@pytest.fixture(scope="module")
def found(running, packages) -> dict[str, Any]:
    """What the client found, by what it did."""
    token = as_application(running).headers["Authorization"].removeprefix("Bearer ")
    result = subprocess.run(
        ["node", str(CLIENTS / "dynamics_web_api.mjs")],
        env={
            **os.environ,
            "NODE_PATH": str(packages),
            "NODE_EXTRA_CA_CERTS": str(running.ca_file),
            "SANDBOX_URL": running.url,
            "SANDBOX_TOKEN": token,
            "SANDBOX_USER": PEOPLE_BY_KEY["ada"].object_id,
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_rows_are_created_read_changed_and_deleted(found):
    assert found["rows"] == {
        "name": "By npm",
        "telephone1": "555",
        "stale": False,
        "deleted": True,
        "gone": 404,
    }


def test_pages_hold_every_row(found, contoso):
    total = len(contoso.rows("products"))

    assert found["pages"] == {"first": 5, "count": total, "all": total}


def test_changes_are_tracked(found):
    assert found["changes"] == {"names": ["Tracked"]}


def test_rows_are_upserted_by_alternate_key(found):
    assert found["keys"] == {"same": True, "name": "Again"}


def test_lookups_are_bound_expanded_and_emptied(found):
    assert found["references"] == {"lastname": "Linked", "after": None}


def test_a_batch_refers_to_its_own_rows_and_fails_as_a_whole(found):
    assert found["batch"] == {"linked": True, "failed": 400, "undone": 404}


def test_somebody_acts_on_behalf_of_another(found):
    assert found["impersonation"] == {
        "by": "ada@contoso.example",
        "behalf": "waystation@contoso.example",
    }


def test_metadata_is_read(found):
    assert found["metadata"] == {
        "entitySet": "accounts",
        "keys": ["accountnumber"],
        "industries": 33,
        "organization": ORGANIZATION_ID,
    }
