"""A source that answers nonsense, refuses or is silent: said, and tried again."""

from __future__ import annotations

import pytest

from provisioning.models import Organization, WorkItem
from replication import tasks
from replication.odata.client import open_source
from replication.odata.errors import SourceTimeoutError
from replication.odata.transport import Limits
from tests.provisioning import factories
from tests.replication.odata import servers
from tests.replication.odata.servers import Answer, json_answer
from tests.replication.services.fronts import (
    HTML,
    IN_A_MINUTE,
    JSON,
    SOON,
    answer,
    delay_of,
    names_itself,
    run_again,
    run_at,
    with_next_link,
)
from tests.staged import guid

TRANSIENT = [
    pytest.param(HTML, "malformed_answer", SOON, id="HTML"),
    pytest.param(answer(b'{"value":[{"na'), "malformed_answer", SOON, id="half"),
    pytest.param(answer(b'{"d":[]}'), "malformed_answer", SOON, id="other JSON"),
    pytest.param(answer(), "malformed_answer", SOON, id="empty body"),
    pytest.param(answer(b"x", status=302), "malformed_answer", SOON, id="redirect"),
    pytest.param(
        Answer(headers=JSON, body=b'{"value"', promised=99),
        "source_unavailable",
        SOON,
        id="cut off",
    ),
    pytest.param(
        answer(status=429, Retry_After="120"),
        "source_throttled",
        range(120, 140),
        id="429",
    ),
    pytest.param(answer(status=429), "source_throttled", SOON, id="429 without hint"),
    pytest.param(answer(status=500), "source_unavailable", SOON, id="500"),
    pytest.param(
        answer(status=503, Retry_After="30"),
        "source_unavailable",
        range(30, 50),
        id="503",
    ),
    pytest.param(answer(status=408), "source_timeout", SOON, id="time-out"),
    pytest.param(
        with_next_link("https://evil.example/accounts"),
        "foreign_link",
        SOON,
        id="foreign nextLink",
    ),
    pytest.param(names_itself, "looping_link", SOON, id="looping nextLink"),
    pytest.param(json_answer({"value": []}), "incomplete_load", SOON, id="no link"),
]
MISCONFIGURED = [
    pytest.param(answer(status=401), "access_refused", id="401"),
    pytest.param(answer(status=403), "access_refused", id="403"),
    pytest.param(answer(status=404), "request_refused", id="404"),
    pytest.param(answer(status=501), "request_refused", id="501"),
]


@pytest.mark.parametrize(("broken", "code", "delay"), TRANSIENT)
def test_what_will_pass_is_said_and_tried_again_soon(world, broken, code, delay):
    before = world.content()
    world.front.instead["accounts"] = broken

    item = run_again(world.accounts)

    assert (item.state, item.last_error_code, item.attempts) == ("postponed", code, 1)
    assert item.last_error
    assert delay_of(item) in delay
    assert world.content() == before


@pytest.mark.parametrize(("broken", "code"), MISCONFIGURED)
def test_what_somebody_must_mend_is_said_and_tried_again_later(world, broken, code):
    before = world.content()
    world.front.instead["accounts"] = broken

    item = run_again(world.accounts)

    assert (item.state, item.last_error_code) == ("postponed", code)
    assert delay_of(item) in IN_A_MINUTE
    assert world.content() == before


@pytest.mark.parametrize("broken", [HTML, answer(status=403), names_itself])
def test_the_other_tables_go_on(world, broken):
    world.source.put("contact", guid("Jo"), fullname="Jo")
    world.front.instead["accounts"] = broken
    run_again(world.accounts)

    item = run_again(world.contacts)

    assert (item.state, item.last_error) == ("due", "")
    assert world.values("SELECT fullname FROM data.contact") == ["Jo"]


def test_a_source_that_hangs_leaves_the_cursor(world):
    before = world.content()
    world.front.instead["accounts"] = Answer(headers=JSON, promised=99, drips=True)
    impatient = open_source(
        endpoint=world.organization.endpoint,
        kind="dataverse",
        credential={"type": "none"},
        allow_loopback=True,
        limits=Limits(total=0.1),
    )

    with pytest.raises(SourceTimeoutError):
        world.pull("account", source=impatient)

    assert world.content() == before


def test_the_other_organizations_go_on(world):
    broken = factories.work_item(factories.organization(unique_name="fabrikam"))
    WorkItem.objects.update(next_due_at=factories.NOON)

    tasks.run_due_items()

    broken.refresh_from_db()
    assert (broken.state, broken.attempts) == ("postponed", 1)
    assert {run_at(item) for item in (world.accounts, world.contacts)} == {"due"}


def test_a_source_that_is_not_there_is_tried_again(world):
    with servers.serving(world.front) as gone:
        pass
    Organization.objects.filter(pk=world.id).update(endpoint=gone.endpoint)
    world.execute("UPDATE sync.source SET cursor_kind = NULL, cursor_link = NULL")

    item = run_again(world.accounts)

    assert (item.state, item.last_error_code) == ("postponed", "source_unavailable")


def test_failures_in_a_row_are_tried_ever_more_seldom(world):
    world.front.instead["accounts"] = answer(status=500)

    delays = [delay_of(run_again(world.accounts)) for _ in range(5)]

    assert delays[-1] > 4 * delays[0]
    assert world.accounts.attempts == 5


def test_what_nobody_mends_halts(world):
    world.front.instead["accounts"] = answer(status=403)

    states = [run_again(world.accounts).state for _ in range(8)]

    assert states == ["postponed"] * 7 + ["halted"]


def test_a_source_that_recovers_is_forgiven(world):
    world.front.instead["accounts"] = answer(status=500)
    run_again(world.accounts)
    world.source.put("account", guid("Depot"), name="Depot")

    world.front.instead.clear()
    item = run_again(world.accounts)

    assert (item.state, item.attempts, item.last_error_code) == ("due", 0, "")
    assert world.staged_names() == ["Airport", "Depot"]
