"""Servers and sources that tests of the OData border share."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from replication.odata.client import open_source
from tests.replication.odata import servers


@pytest.fixture
def start():
    """Start servers that run until the test ends."""
    with contextlib.ExitStack() as running:
        yield lambda *args, **kw: running.enter_context(servers.serving(*args, **kw))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A CA of our own: its PEM, and the TLS context of a server under it."""
    return servers.new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def source_at():
    """Open a source on a server of this test."""

    def open_at(server, *, kind="dataverse", **settings):
        given: dict[str, Any] = {
            "credential": {"type": "bearer", "token": "sesame"},
            "allow_loopback": True,
        }
        return open_source(endpoint=server.endpoint, kind=kind, **given | settings)

    return open_at
