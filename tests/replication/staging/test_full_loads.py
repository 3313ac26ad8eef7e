"""Full loads of tables in use: only what really differs changes, and only at the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from replication.odata.errors import (
    IncompleteLoadError,
    MalformedAnswerError,
    SourceUnavailableError,
)
from replication.source import ResyncRequiredError
from replication.staging.sweep import SweepBrakeError
from tests.fake_dataverse import ACCOUNT
from tests.replication import replies
from tests.replication.replies import account, page
from tests.staged import guid

ONE_PAGE = timedelta(0)
NAMES = {"Site 0", "Site 1", "Site 2", "Site 3", "Site 4", "Site 5"}


@pytest.fixture
def loaded(contoso):
    """Ada's six accounts are loaded, in pages of two."""
    for name in sorted(NAMES):
        contoso.add_account(name, owner="Ada", unit="North")
    contoso.page_size = 2
    contoso.pull("account")
    return contoso


def staged(world):
    return set(world.staged_names())


def loading(world):
    return world.fetch(
        "SELECT loading, generation FROM sync.source WHERE name = 'account'"
    )[0]


def moved_since(world, rev):
    """Names of rows that took a rev, and whether they are live."""
    return set(
        world.fetch(
            "SELECT coalesce(a.name, 'gone'), f.live FROM sync.feed f"
            " LEFT JOIN data.account a ON a.accountid = f.row_id WHERE f.rev > %s",
            rev,
        )
    )


def change_three_rows(world):
    world.source.delete("account", guid("Site 1"))
    world.source.put("account", guid("Site 2"), revenue=7)
    world.add_account("Site 9", owner="Ada", unit="North")


def test_an_expired_token_begins_a_new_generation(loaded):
    before = loading(loaded)

    loaded.source.expire_tokens()
    loaded.pull("account")

    assert (before, loading(loaded)) == (("none", 1), ("none", 2))
    assert loaded.cursor("account")[0] == "delta"


def test_after_an_expired_token_only_the_real_difference_takes_revs(loaded):
    rev = loaded.rev

    change_three_rows(loaded)
    loaded.source.expire_tokens()
    loaded.pull("account")

    assert loaded.rev == rev + 3
    assert moved_since(loaded, rev) == {
        ("gone", False),
        ("Site 2", True),
        ("Site 9", True),
    }


def test_after_an_expired_token_a_device_learns_only_the_real_difference(loaded):
    ada = loaded.device("Ada")

    change_three_rows(loaded)
    loaded.source.expire_tokens()
    loaded.pull("account")
    result = ada.sync()

    assert (result.rows, result.deletes) == (2, 1)
    assert ada.names() == NAMES - {"Site 1"} | {"Site 9"}


def test_a_full_load_never_shows_a_hole(loaded):
    ada = loaded.device("Ada")
    loaded.source.expire_tokens()

    seen = []
    while not loaded.pull("account", time_slice=ONE_PAGE).is_finished:
        ada.sync()
        seen.append((staged(loaded), ada.names(), loaded.device("Ada").names()))

    assert seen == [(NAMES, NAMES, NAMES)] * 2


def test_a_resumed_full_load_sweeps_only_after_its_last_page(loaded):
    loaded.source.expire_tokens()
    loaded.source.delete("account", guid("Site 0"))

    deleted = []
    for _ in range(3):
        deleted.append(loaded.pull("account", time_slice=ONE_PAGE).deleted)

    assert deleted == [0, 0, 1]
    assert staged(loaded) == NAMES - {"Site 0"}


def test_a_row_that_is_new_during_a_full_load_is_not_swept(loaded):
    loaded.source.expire_tokens()
    loaded.pull("account", time_slice=ONE_PAGE)

    loaded.add_account("Site 9", owner="Ada", unit="North")
    loaded.pull("account")

    assert staged(loaded) == NAMES | {"Site 9"}


def test_a_row_that_changes_during_a_full_load_is_not_swept(loaded):
    loaded.source.expire_tokens()
    loaded.pull("account", time_slice=ONE_PAGE)

    loaded.source.put("account", guid("Site 0"), revenue=1)
    loaded.source.put("account", guid("Site 5"), revenue=1)
    loaded.pull("account")

    assert staged(loaded) == NAMES


def test_a_row_deleted_during_a_full_load_leaves_with_the_next_delta(loaded):
    loaded.source.expire_tokens()
    loaded.pull("account", time_slice=ONE_PAGE)

    loaded.source.delete("account", guid("Site 0"))
    loaded.pull("account")
    loaded.pull("account")

    assert staged(loaded) == NAMES - {"Site 0"}


def test_a_new_full_load_forgets_what_an_earlier_one_has_seen(loaded):
    loaded.source.expire_tokens()
    loaded.pull("account", time_slice=ONE_PAGE)
    loaded.source.delete("account", guid("Site 0"))

    loaded.pull("account", wants_resync=True)

    assert staged(loaded) == NAMES - {"Site 0"}


def test_a_token_that_expires_within_a_full_load_begins_it_anew(loaded):
    loaded.source.expire_tokens()
    loaded.pull("account", time_slice=ONE_PAGE)
    loaded.source.delete("account", guid("Site 0"))

    loaded.source.scripted = [replies.expired()]
    loaded.pull("account")

    assert loading(loaded) == ("none", 3)
    assert staged(loaded) == NAMES - {"Site 0"}


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        pytest.param(
            page(account("Site 5", version=1)), IncompleteLoadError, id="no delta link"
        ),
        pytest.param(
            replies.reply(b'{"value":[{"name":'), MalformedAnswerError, id="half a page"
        ),
    ],
)
def test_a_full_load_that_the_source_does_not_finish_deletes_nothing(
    loaded, broken, error
):
    first = page(account("Site 0", version=9_999), next_to="two")
    loaded.source.scripted = [replies.expired(), first, broken]

    with pytest.raises(error):
        loaded.pull("account")

    assert staged(loaded) == NAMES
    assert loading(loaded)[0] == "full"


def test_a_full_load_that_brings_nothing_at_all_empties_a_small_table(loaded):
    for name in NAMES:
        loaded.source.delete("account", guid(name))
    loaded.source.expire_tokens()

    loaded.pull("account")

    assert staged(loaded) == set()


def fill(world, count):
    """Load so many accounts at once."""
    rows = [account(f"Site {number}", version=number + 1) for number in range(count)]
    world.source.scripted = [page(*rows, delta="d")]
    world.pull("account")
    return rows


def test_a_sweep_of_more_than_half_of_a_large_table_is_refused(accounts):
    rows = fill(accounts, 202)

    accounts.source.scripted = [replies.expired(), page(*rows[:100], delta="e")]
    with pytest.raises(SweepBrakeError, match="102 of 202"):
        accounts.pull("account")

    assert len(staged(accounts)) == 202
    assert accounts.cursor("account") == (None, None)
    assert loading(accounts) == ("full", 2)


def test_a_refused_sweep_is_refused_again(accounts):
    rows = fill(accounts, 202)
    last = page(*rows[:100], delta="e")
    accounts.source.scripted = [replies.expired(), last, last]

    for _ in range(2):
        with pytest.raises(SweepBrakeError):
            accounts.pull("account")

    assert len(staged(accounts)) == 202


@pytest.mark.parametrize(("size", "kept"), [(202, 101), (100, 0)])
def test_a_sweep_of_half_a_table_or_of_a_hundred_rows_goes_through(
    accounts, size, kept
):
    rows = fill(accounts, size)

    accounts.source.scripted = [replies.expired(), page(*rows[:kept], delta="e")]
    accounts.pull("account")

    assert len(staged(accounts)) == kept


def test_a_full_load_takes_the_source_as_it_is_though_versions_went_back(accounts):
    fill(accounts, 3)
    restored = account("As it was before", version=1, key=guid("Site 2"))

    accounts.source.scripted = [replies.expired(), page(restored, delta="e")]
    accounts.pull("account")

    assert accounts.staged_names() == ["As it was before"]


def test_an_operator_can_ask_for_a_full_load(loaded):
    begun = []

    loaded.pull(
        "account", wants_resync=True, resync_begun=lambda: begun.append(loading(loaded))
    )

    assert begun == [("full", 2)]
    assert loading(loaded) == ("none", 2)


def test_a_first_load_whose_token_expires_begins_with_an_empty_table(accounts):
    accounts.source.scripted = [
        page(account("Of the first attempt", version=1), next_to="two"),
        replies.expired(),
        page(account("Airport", version=2), delta="d"),
    ]

    accounts.pull("account")

    assert accounts.staged_names() == ["Airport"]
    counted = accounts.values("SELECT row_count FROM sync.source")
    assert counted == [1]


def test_links_that_expire_as_soon_as_they_are_given_end_the_pull(accounts):
    first = page(account("Airport", version=1), next_to="two")
    accounts.source.scripted = [first, replies.expired()] * 9

    with pytest.raises(ResyncRequiredError):
        accounts.pull("account")

    assert len(accounts.source.requests) == 4


@pytest.fixture
def untracked(new_world):
    world = new_world(replace(ACCOUNT, tracked=False))
    for name in sorted(NAMES):
        world.source.put("account", guid(name), name=name)
    world.pull("account")
    return world


def test_a_table_without_change_tracking_is_compared_and_swept(untracked):
    untracked.source.delete("account", guid("Site 1"))
    untracked.source.put("account", guid("Site 2"), name="Renamed")
    untracked.source.put("account", guid("Site 9"), name="Site 9")

    progress = untracked.pull("account")

    assert staged(untracked) == NAMES - {"Site 1", "Site 2"} | {"Renamed", "Site 9"}
    assert (progress.written, progress.deleted, progress.unchanged) == (2, 1, 4)


def test_a_table_without_change_tracking_is_compared_over_several_pulls(untracked):
    untracked.page_size = 2
    untracked.source.delete("account", guid("Site 1"))

    states = []
    for _ in range(3):
        untracked.pull("account", time_slice=ONE_PAGE)
        states.append(staged(untracked))

    assert states == [NAMES, NAMES, NAMES - {"Site 1"}]


def test_a_table_without_change_tracking_goes_on_where_it_broke_off(untracked):
    untracked.page_size = 2
    untracked.source.delete("account", guid("Site 5"))
    untracked.pull("account", time_slice=ONE_PAGE)
    (link,) = untracked.values("SELECT cursor_link FROM sync.source")
    untracked.source.requests.clear()

    untracked.pull("account")

    assert untracked.source.requests[0] == link
    assert staged(untracked) == NAMES - {"Site 5"}


def test_a_comparison_that_fails_at_its_first_page_is_begun_again(untracked):
    untracked.source.scripted = [replies.reply(status=503)]
    with pytest.raises(SourceUnavailableError):
        untracked.pull("account")
    untracked.source.delete("account", guid("Site 0"))

    untracked.pull("account")

    assert staged(untracked) == NAMES - {"Site 0"}
