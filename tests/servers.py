"""Give every test run its own PostgreSQL and Redis, before Django reads its settings.

Servers named by `DATABASE_URL` and `REDIS_URL` are used instead where both are set.
`WAYSTATION_TEST_POSTGRES=17` runs the oldest supported PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from project import embedded
from project.embedded import postgres

_cleanup = contextlib.ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Come before the hook in which pytest-django reads the settings."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        _start()
    else:
        _use_own_redis_database(int(worker.removeprefix("gw")) + 1)
    yield


def pytest_unconfigure() -> None:
    _cleanup.close()


def _start() -> None:
    os.environ["WAYSTATION_EMBEDDED"] = "on"
    folder = _cleanup.enter_context(tempfile.TemporaryDirectory(prefix="waystation-"))
    os.environ["WAYSTATION_DATA"] = folder
    # Hardly any test asks for an organization of another one.
    os.environ.setdefault("WAYSTATION_STAGING_CONNECTIONS", "20")
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return
    oldest = os.environ.get("WAYSTATION_TEST_POSTGRES") == "17"
    urls = _cleanup.enter_context(
        embedded.servers(
            Path(folder),
            postgres_bin=postgres.oldest() if oldest else postgres.newest(),
            options=embedded.UNSAFE_BUT_FAST,
        )
    )
    os.environ["DATABASE_URL"] = urls.database
    os.environ["REDIS_URL"] = urls.redis


def _use_own_redis_database(number: int) -> None:
    parts = urlsplit(os.environ["REDIS_URL"])
    if parts.scheme == "unix":
        parts = parts._replace(query=f"db={number}")
    else:
        parts = parts._replace(path=f"/{number}")
    os.environ["REDIS_URL"] = urlunsplit(parts)
