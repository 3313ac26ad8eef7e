"""The whole service: real processes, from the source to a device's own database."""

from __future__ import annotations

import pytest
import redis

from project.embedded.places import Place
from sandbox.device.errors import OfflineNotAllowedError
from tests.project.processes import eventually

pytestmark = [pytest.mark.serial, pytest.mark.xdist_group("stack")]


@pytest.fixture(scope="module")
def flushes(service):
    """How often the broker forgot everything while Contoso was loaded."""
    service.provision()
    done = []

    def loaded_under_flushes():
        socket = str(Place(service.plan.data).redis_socket)
        with redis.Redis(unix_socket_path=socket) as forgetful:
            done.append(forgetful.flushall())
        return service.state() == "active"

    eventually(loaded_under_flushes)
    return len(done)


def test_a_broker_that_forgets_everything_during_a_first_load_loses_nothing(
    service, flushes
):
    in_source = service.sandbox("")["rows"]

    assert flushes > 1
    assert service.rows() == {table: in_source[table] for table in service.rows()}


@pytest.mark.usefixtures("flushes")
def test_devices_hold_what_the_source_itself_says_their_users_may_read(
    service, tmp_path
):
    service.publish()
    held = {}

    for person in ("ada", "grace", "mary", "yuki"):
        with service.device(person, tmp_path) as device:
            eventually(lambda d=device: rows_of(d))
            held[person] = {t: set(device.store.rows(t)) for t in device.store.tables()}

    assert held == {
        person: {table: service.visible(person, table) for table in tables}
        for person, tables in held.items()
    }


def rows_of(device):
    """Rows of one sync; none while the rules that the profile needs are built."""
    try:
        return device.sync().rows
    except OfflineNotAllowedError:
        return 0
