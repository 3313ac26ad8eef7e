"""Sandboxes to write to, and sources that are opened on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from replication.domain.tables import TableDef
from replication.odata.client import ODataSource, open_source
from replication.odata.transport import Limits
from sandbox.server import Running, RunningPlain, serve_plain
from tests.sandbox.running import Client, as_application, start


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    sandbox = start(tmp_path_factory.mktemp("written"), scale=30)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def contoso(running: Running) -> Iterator[Client]:
    """The organization as its application user sees it; what was scripted ends."""
    client = as_application(running)
    yield client
    client.control("DELETE", "faults")
    client.control("DELETE", "objections")


@pytest.fixture
def source(contoso: Client) -> ODataSource:
    return opened(contoso)


@pytest.fixture
def hasty(contoso: Client) -> ODataSource:
    """A source whose answers have to come within two seconds."""
    return opened(contoso, limits=Limits(read=2, total=2))


@pytest.fixture(scope="session")
def defined(running: Running) -> Callable[[str], TableDef]:
    """Definitions of tables as metadata says them, read once."""
    known: dict[str, TableDef] = {}

    def definition(name: str) -> TableDef:
        if name not in known:
            found = opened(as_application(running)).load_tables((name,))
            known[name] = found[0]
        return known[name]

    return definition


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlain]:
    sandbox = serve_plain(tmp_path_factory.mktemp("plain"), port=0, scale=10)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def service(plain: RunningPlain) -> ODataSource:
    return open_source(
        endpoint=f"{plain.url}/odata",
        kind="odata",
        credential={"type": "none"},
        ca_certificate=plain.ca_file.read_text(),
        allow_loopback=True,
    )


def opened(contoso: Client, **settings: Any) -> ODataSource:
    token = contoso.headers["Authorization"].removeprefix("Bearer ")
    return open_source(
        endpoint=f"{contoso.running.url}/api/data/v9.2",
        kind="dataverse",
        credential={"type": "bearer", "token": token},
        ca_certificate=contoso.running.ca_file.read_text(),
        allow_loopback=True,
        **settings,
    )
