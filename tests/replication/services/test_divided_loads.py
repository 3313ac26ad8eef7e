"""Large tables are loaded in parts, by several workers, and lose nothing by that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from replication.domain.profiles import ProfileItem
from replication.services.division import Divider
from replication.staging import registry
from replication.staging.registry import FencedError
from tests.fake_dataverse import plain, table_def
from tests.replication.checks import assert_equals_source
from tests.replication.services.parted import ROWS, Division, add_accounts
from tests.replication.worlds import ALL_ACCOUNTS, profile
from tests.staged import guid

SITE = table_def("site", plain("name"))


@pytest.fixture
def many(accounts):
    """Twenty accounts, in pages of three, none of which was ever pulled."""
    add_accounts(accounts, 20)
    accounts.page_size = 3
    return accounts


@pytest.fixture
def loaded(many):
    """The same accounts, loaded, and another load asked for."""
    many.pull("account")
    return many


def change_everything(world):
    """Rows of every part are edited, deleted, and created, one of them anew."""
    for number in (0, 7, 13):
        world.source.put("account", guid(f"Site {number}"), name=f"Moved {number}")
    for number in (1, 8, 19):
        world.source.delete("account", guid(f"Site {number}"))
    world.source.put("account", guid("Site 8"), name="Built anew")
    add_accounts(world, 4, prefix="Depot")


def test_parts_are_read_by_others_before_the_table_is_complete(many):
    load = Division(many)

    waiting = load.pull()
    parts = load.planned
    for number in parts[:-1]:
        load.pull_part(number)
    still_waiting = load.pull()
    load.pull_part(parts[-1])
    done = load.pull()

    assert len(parts) == 4
    assert (waiting.waits, still_waiting.waits, done.is_finished) == (True, True, True)
    assert load.planned == parts[-1:]
    assert_equals_source(many)


@pytest.mark.parametrize("when", ["listed", "half", "read"])
def test_what_changes_during_a_first_load_is_in_staging_at_its_end(many, when):
    load = Division(many)
    load.pull()
    if when == "listed":
        change_everything(many)
    for number in load.planned[::2]:
        load.pull_part(number)
    if when == "half":
        change_everything(many)
    for number in load.planned[1::2]:
        load.pull_part(number)
    if when == "read":
        change_everything(many)

    load.finish()

    assert_equals_source(many)


@pytest.mark.parametrize("when", ["listed", "half", "read"])
def test_what_changes_during_a_full_load_is_in_staging_at_its_end(loaded, when):
    loaded.source.delete("account", guid("Site 5"))
    load = Division(loaded)
    load.pull(wants_resync=True)
    if when == "listed":
        change_everything(loaded)
    for number in load.planned[::2]:
        load.pull_part(number)
    if when == "half":
        change_everything(loaded)
    for number in load.planned[1::2]:
        load.pull_part(number)
    if when == "read":
        change_everything(loaded)

    load.finish()

    assert_equals_source(loaded)


def test_a_divided_full_load_of_unchanged_rows_says_nothing_to_devices(contoso):
    for number in range(20):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North")
    contoso.pull("account")
    ada, rev = contoso.device("Ada"), contoso.rev
    load = Division(contoso)

    load.pull(wants_resync=True)
    load.finish()

    assert contoso.rev == rev
    ada.sync()
    assert len(ada.names()) == 20
    assert_equals_source(contoso)


def test_no_device_sees_a_table_before_all_parts_are_read(contoso):
    contoso.add_table(SITE)
    contoso.add_role("Reader", unit="Contoso", site=1)
    contoso.grant("Ada", "Reader")
    contoso.pull_these("role", "privilege", "roleprivileges", "systemuserroles")
    contoso.publish(ALL_ACCOUNTS, profile(ProfileItem(table="site"), name="Sites"))
    for number in range(20):
        contoso.add_row("site", f"Site {number}", owner="Ada", unit="North")
    load = Division(contoso, "site")
    load.pull()
    load.pull_part(load.planned[0])
    ada = contoso.device("Ada")

    early = ada.names("site")
    load.finish()
    ada.sync()

    assert early == set()
    assert len(ada.names("site")) == 20


@pytest.mark.parametrize("point", ["merged", "stored", "committed"])
@pytest.mark.parametrize("kind", ["first", "full"])
def test_a_worker_killed_in_a_part_loses_nothing(request, worker, point, kind):
    world = request.getfixturevalue("many" if kind == "first" else "loaded")
    load = Division(world)
    load.pull(wants_resync=kind == "full")

    killed = worker.pull_part(world, "account", load.planned[1], fail=f"part.{point}:2")
    change_everything(world)
    load.finish()

    assert killed == -9
    assert_equals_source(world)


@pytest.mark.parametrize("point", ["division.planned", "division.closed"])
def test_a_worker_killed_between_two_phases_loses_nothing(many, worker, point):
    load = Division(many)
    if point == "division.closed":
        load.pull()
        for number in load.planned:
            load.pull_part(number)

    killed = worker.pull(many, ["account"], fail=f"{point}:1", divide_from=ROWS)
    load.finish()

    assert killed == -9
    assert_equals_source(many)


def test_a_part_goes_on_where_its_time_ran_out(many):
    load = Division(many)
    load.pull()

    first = load.pull_part(load.planned[0], time_slice=timedelta())
    second = load.pull_part(load.planned[0])

    assert (first.pages, first.is_finished) == (1, False)
    assert first.written + second.written == 5
    assert second.is_finished


def test_a_worker_that_was_overtaken_writes_nothing_to_its_part(many):
    load = Division(many)
    load.pull()
    late = many.order("account").epoch
    load.pull_part(load.planned[0], time_slice=timedelta())
    before = many.content()

    with pytest.raises(FencedError):
        load.pull_part(load.planned[0], epoch=late)

    assert many.content() == before


def test_a_load_that_begins_anew_ends_the_parts_of_the_one_before(many):
    load = Division(many)
    load.pull()
    former = load.planned[0]

    def begin_anew():
        many.pull("account", wants_resync=True)

    done = load.pull_part(former, renew=begin_anew)

    assert (done.pages, done.is_finished) == (1, True)
    assert_equals_source(many)


def test_an_expired_listing_begins_once_more(many):
    load = Division(many)
    load.pull(time_slice=timedelta())

    many.source.expire_tokens()
    load.finish()

    assert_equals_source(many)


def test_changes_that_cannot_be_had_any_more_make_the_load_begin_anew(many):
    load = Division(many)
    load.pull()
    for number in load.planned:
        load.pull_part(number)
    change_everything(many)

    many.source.expire_tokens()
    load.finish()

    assert_equals_source(many)


def test_a_source_that_ignores_conditions_is_read_by_one_worker(many):
    load = Division(many)
    load.pull()
    many.source.ignores_ranges = True

    gone = load.pull_part(load.planned[0])
    done = load.pull()

    assert gone.is_finished
    assert done.is_finished
    staged = registry.table(many.database.kept("test"), "account")
    assert staged is not None
    assert not staged.is_divisible
    assert_equals_source(many)


@pytest.mark.parametrize(
    "divider", [Divider(rows=None), Divider(rows=21)], ids=["one request", "small"]
)
def test_other_tables_are_pulled_by_one_worker(many, divider):
    done = many.pull("account", divider=divider)

    assert done.is_finished
    assert_equals_source(many)
