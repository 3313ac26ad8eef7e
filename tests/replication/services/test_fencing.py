"""Workers that come back too late: they are refused, and nothing they do remains."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioning.services.leases import LeaseLostError
from replication.source import ResyncRequiredError
from replication.staging.registry import FencedError
from tests.fake_dataverse import ACCOUNT
from tests.replication import waiting
from tests.staged import guid

ONE_PAGE = timedelta(0)


class SlowSource:
    """A source while whose first answer travels something else happens."""

    def __init__(self, source, *, meanwhile, failure=None):
        self._source = source
        self._meanwhile = meanwhile
        self._failure = failure

    def fetch_page(self, table, cursor):
        page = self._source.fetch_page(table, cursor)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
            if self._failure is not None:
                raise self._failure
        return page

    def codec(self, table):
        return self._source.codec(table)

    def fetch_rows(self, table, keys):
        return self._source.fetch_rows(table, keys)

    def find_mode(self, table):
        return self._source.find_mode(table)

    def reader(self, found):
        return self


@pytest.fixture
def loaded(contoso):
    """Four accounts in pages of two, and some news of them."""
    for number in range(4):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North")
    contoso.page_size = 2
    contoso.pull("account")
    contoso.source.put("account", guid("Site 0"), revenue=1)
    contoso.source.delete("account", guid("Site 1"))
    contoso.add_account("Site 9", owner="Ada", unit="North")
    return contoso


def pull_late(world, *, meanwhile, **changes):
    """Pull with a lease that another worker takes over while the source answers."""
    source = world.source.source(page_size=world.page_size)
    slow = SlowSource(source, meanwhile=meanwhile, **changes)
    with world.database.connect() as conn:
        return world.pull_on(conn, "account", source=slow)


def test_a_worker_that_wakes_up_after_its_lease_is_refused(loaded):
    with pytest.raises(FencedError):
        pull_late(loaded, meanwhile=lambda: loaded.pull("account"))

    assert loaded.staged_names() == ["Site 0", "Site 2", "Site 3", "Site 9"]


def test_a_worker_that_wakes_up_writes_nothing(loaded):
    contents = []

    def other_worker():
        loaded.pull("account", time_slice=ONE_PAGE)
        contents.append(loaded.content())

    with pytest.raises(FencedError):
        pull_late(loaded, meanwhile=other_worker)

    assert contents == [loaded.content()]


def test_a_late_first_page_does_not_fill_a_table_twice(accounts):
    accounts.source.put("account", guid("Site"), name="Site")

    with pytest.raises(FencedError):
        pull_late(accounts, meanwhile=lambda: accounts.pull("account"))

    assert accounts.staged_names() == ["Site"]
    assert accounts.values("SELECT row_count FROM sync.source") == [1]


def test_a_late_expired_token_begins_no_generation(loaded):
    with pytest.raises(FencedError):
        pull_late(
            loaded,
            meanwhile=lambda: loaded.pull("account"),
            failure=ResyncRequiredError("Too old."),
        )

    assert loaded.values(
        "SELECT generation FROM sync.source WHERE name = 'account'"
    ) == [1]


def test_the_late_end_of_a_full_load_sweeps_nothing(new_world):
    world = new_world(replace(ACCOUNT, tracked=False))
    world.source.put("account", guid("Site"), name="Site")
    world.pull("account")

    def other_worker():
        world.source.put("account", guid("Depot"), name="Depot")
        world.pull("account")

    with pytest.raises(FencedError):
        pull_late(world, meanwhile=other_worker)

    assert world.staged_names() == ["Depot", "Site"]


def test_a_worker_with_an_older_lease_cannot_even_begin(loaded):
    loaded.pull("account")
    before = loaded.content()

    with pytest.raises(FencedError):
        loaded.pull("account", epoch=1, wants_resync=True)

    assert loaded.content() == before


def test_a_worker_may_begin_again_under_the_same_lease(loaded):
    order = loaded.order("account")
    loaded.pull("account", epoch=order.epoch, time_slice=ONE_PAGE)

    assert loaded.pull("account", epoch=order.epoch).is_finished


def test_a_lease_that_cannot_be_renewed_ends_the_pull_after_the_page(loaded):
    def refuse():
        raise LeaseLostError("Over.")

    with pytest.raises(LeaseLostError):
        loaded.pull("account", renew=refuse)

    kind, _ = loaded.cursor("account")
    assert kind == "next"


def test_a_worker_in_mid_page_finishes_it_and_is_refused_the_next(
    loaded, in_background
):
    database = loaded.database
    watcher = database.kept("test")
    with (
        database.connect() as clock_holder,
        database.connect() as slow,
        database.connect() as quick,
    ):
        with clock_holder.transaction():
            clock_holder.execute("SELECT FROM sync.clock FOR UPDATE")
            first = in_background(loaded.pull_on, slow, "account")
            waiting.until_blocked(slow, seen_by=watcher)
            second = in_background(loaded.pull_on, quick, "account")
            waiting.until_blocked(quick, seen_by=watcher)

        with pytest.raises(FencedError):
            first.result(timeout=waiting.PATIENCE_SECONDS)
        done = second.result(timeout=waiting.PATIENCE_SECONDS)

    assert (done.pages, done.is_finished) == (1, True)
    assert loaded.staged_names() == ["Site 0", "Site 2", "Site 3", "Site 9"]
