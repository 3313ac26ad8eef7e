"""Starting with what the environment says: filled in, or refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "DATABASE_URL": "postgresql://ada:pass@db.example/catalog",
    "REDIS_URL": "redis://queue.example",
    "SECRET_KEY": "correct horse battery staple, and a harbour in the fog, 1789",
    "WAYSTATION_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "WAYSTATION_PUBLIC_URL": "https://waystation.example",
}
SHOW = """
import json
from project import settings
print(json.dumps({name: str(getattr(settings, name)) for name in (
    "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEY_ID",
    "STAGING_SERVER_URL", "SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE",
    "SOURCE_ALLOW_LOOPBACK", "ALLOWED_HOSTS")}))
"""


def start(*command, data, **variables):
    return subprocess.run(
        [sys.executable, *(command or ("-c", SHOW))],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "WAYSTATION_DATA": str(data), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "missing", sorted(PRODUCTION.keys() - {"WAYSTATION_PUBLIC_URL"})
)
@pytest.mark.parametrize("embedded", [{}, {"WAYSTATION_EMBEDDED": "off"}])
def test_what_production_lacks_is_an_error_that_names_it(tmp_path, missing, embedded):
    rest = {name: value for name, value in PRODUCTION.items() if name != missing}

    started = start(data=tmp_path, **rest, **embedded)

    assert f"ImproperlyConfigured: {missing} must be set." in started.stderr
    assert list(tmp_path.iterdir()) == []


def test_production_accepts_only_https_and_distrusts_loopback(tmp_path):
    shown = json.loads(start(data=tmp_path, **PRODUCTION).stdout)

    assert shown["SECURE_SSL_REDIRECT"] == shown["SESSION_COOKIE_SECURE"] == "True"
    assert shown["SOURCE_ALLOW_LOOPBACK"] == "False"
    assert shown["STAGING_SERVER_URL"] == PRODUCTION["DATABASE_URL"]


def test_an_embedded_installation_keeps_the_secrets_it_makes(tmp_path):
    first = start(data=tmp_path, WAYSTATION_EMBEDDED="on")
    second = start(data=tmp_path, WAYSTATION_EMBEDDED="on")

    assert json.loads(first.stdout) == json.loads(second.stdout)
    files = sorted((tmp_path / "secrets").iterdir())
    assert [file.name for file in files] == [
        "encryption-key",
        "postgres-password",
        "secret-key",
    ]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_debugging_implies_embedded_servers_unless_they_are_off(tmp_path):
    implied = start(data=tmp_path, WAYSTATION_DEBUG="on")
    refused = start(data=tmp_path, WAYSTATION_DEBUG="on", WAYSTATION_EMBEDDED="off")

    assert implied.returncode == 0
    assert "SECRET_KEY must be set" in refused.stderr


def test_djangos_list_for_production_finds_nothing(tmp_path):
    checked = start(
        *("manage.py", "check", "--deploy", "--fail-level", "WARNING"),
        data=tmp_path,
        **PRODUCTION,
    )

    assert checked.returncode == 0, checked.stderr
    assert "(0 silenced)" in checked.stdout
