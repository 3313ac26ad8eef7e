"""A process that tests may have killed, and a source over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fake_dataverse import ACCOUNT, CONTACT
from tests.provisioning import factories
from tests.replication.odata import servers
from tests.replication.services.dying import WorkerProcess
from tests.replication.services.fronts import Front, Served, run_again
from tests.staged import guid


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    process = WorkerProcess(tmp_path_factory.mktemp("worker"))
    yield process
    process.stop()


@pytest.fixture
def world(new_world: Callable[..., Served]) -> Iterator[Served]:
    """Accounts and contacts of a source on loopback; one account was replicated."""
    made = new_world(ACCOUNT, CONTACT, kind=Served)
    made.source.put("account", guid("Airport"), name="Airport")
    made.front = Front(made.source)
    with servers.serving(made.front) as server:
        made.organization.endpoint = server.endpoint
        made.organization.save(update_fields=["endpoint"])
        made.accounts = factories.work_item(made.organization, table="account")
        made.contacts = factories.work_item(made.organization, table="contact")
        run_again(made.accounts)
        yield made
