"""Pages of changes: what reaches staging, together with the cursor that follows."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from replication.odata.errors import MalformedAnswerError, SourceUnavailableError
from replication.services.pull import LoopingPagesError, UnknownTableError
from tests.replication import replies
from tests.replication.hooked import HookedConnection
from tests.replication.replies import account, page, removed
from tests.staged import guid

ONE_PAGE = timedelta(0)


@pytest.fixture
def loaded(accounts):
    """An account of version 5 has been loaded."""
    accounts.source.scripted = [page(account("Airport", version=5), delta="d5")]
    accounts.pull("account")
    return accounts


def stored(world):
    return world.fetch("SELECT name, versionnumber FROM data.account ORDER BY name")


def deliver(world, *items, delta="d9"):
    world.source.scripted = [page(*items, delta=delta)]
    return world.pull("account")


def test_a_page_and_its_cursor_are_committed_together(accounts):
    deliver(accounts, account("Airport", version=5), delta="d5")

    assert stored(accounts) == [("Airport", 5)]
    assert accounts.cursor("account") == (
        "delta",
        f"{replies.ACCOUNTS}?$deltatoken=d5",
    )


def test_a_page_that_breaks_off_at_any_statement_leaves_all_as_it_was(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.add_account("Airport B", owner="Ada", unit="North")
    contoso.pull("account")
    contoso.add_account("Airport C", owner="Ada", unit="North")
    contoso.hand_over("Airport A", to="Grace")
    contoso.source.delete("account", guid("Airport B"))
    before = contoso.content()
    states: list[object] = []

    while break_off_after(contoso, len(states)):
        states.append(contoso.content())
    after = contoso.content()

    # The last statements come when the page has been committed.
    assert all(state in (before, after) for state in states)
    assert states.count(before) > 12
    assert contoso.device("Ada").names() == {"Airport C"}
    assert contoso.device("Grace").names() == {"Airport A"}


def break_off_after(world, count):
    """Pull accounts on a connection that is lost after so many statements."""
    from_now = iter(range(count))
    with world.database.connect(HookedConnection) as conn:

        def before(statement):
            if "fencing_epoch <=" not in statement and next(from_now, None) is None:
                conn.break_off()

        conn.before = before
        try:
            world.pull_on(conn, "account")
        except psycopg.OperationalError:
            return True
    return False


def test_a_page_that_waits_too_long_for_the_clock_leaves_nothing(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    before = contoso.content()

    with contoso.database.connect() as clock_holder, contoso.database.connect() as conn:
        conn.execute("SET lock_timeout = '20ms'")
        with clock_holder.transaction():
            clock_holder.execute("SELECT FROM sync.clock FOR UPDATE")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                contoso.pull_on(conn, "account")

    assert contoso.content() == before


def test_the_newest_of_several_versions_in_a_page_wins(accounts):
    deliver(
        accounts,
        account("Old", version=5, key=guid("Airport")),
        account("Newest", version=7, key=guid("Airport")),
        account("Newer", version=6, key=guid("Airport")),
    )

    assert stored(accounts) == [("Newest", 7)]


def test_an_older_version_never_overwrites(loaded):
    progress = deliver(loaded, account("Older", version=4, key=guid("Airport")))

    assert stored(loaded) == [("Airport", 5)]
    assert progress.written == 0


def test_versions_are_compared_as_numbers(loaded):
    deliver(loaded, account("Ten", version=10, key=guid("Airport")))

    assert stored(loaded) == [("Ten", 10)]


def test_a_row_that_staging_has_is_not_written_again(loaded):
    written_by = loaded.values("SELECT xmin::text FROM data.account")

    progress = deliver(loaded, account("Airport", version=5))

    assert loaded.values("SELECT xmin::text FROM data.account") == written_by
    assert (progress.written, progress.unchanged) == (0, 1)


def test_rows_that_staging_has_take_no_rev(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    rev, feed = contoso.rev, contoso.fetch("SELECT * FROM sync.feed")

    contoso.pull("account", wants_resync=True)

    assert (contoso.rev, contoso.fetch("SELECT * FROM sync.feed")) == (rev, feed)


def test_only_rows_that_changed_take_a_rev(contoso):
    for name in ("Airport A", "Airport B", "Airport C"):
        contoso.add_account(name, owner="Ada", unit="North")
    contoso.pull("account")
    rev = contoso.rev

    contoso.source.put("account", guid("Airport B"), revenue=1)
    contoso.pull("account", wants_resync=True)

    moved = contoso.values("SELECT row_id FROM sync.feed WHERE rev > %s", rev)
    assert (contoso.rev, moved) == (rev + 1, [guid("Airport B")])


def test_deletes_of_unknown_rows_are_no_error(loaded):
    progress = deliver(loaded, removed("Never heard of"))

    assert stored(loaded) == [("Airport", 5)]
    assert progress.deleted == 0


def test_deletes_of_unknown_rows_take_no_rev(contoso):
    before = contoso.rev

    deliver(contoso, removed("Never heard of"))

    assert contoso.rev == before


def test_a_delete_removes_the_row_and_leaves_a_tombstone(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    rev = contoso.rev

    contoso.source.delete("account", guid("Airport A"))
    progress = contoso.pull("account")

    assert progress.deleted == 1
    assert contoso.values("SELECT name FROM data.account") == []
    assert contoso.fetch("SELECT row_id, live, rev FROM sync.feed") == [
        (guid("Airport A"), False, rev + 1)
    ]


def test_a_row_deleted_and_made_again_in_one_page_is_there(loaded):
    deliver(loaded, removed("Airport"), account("Airport", version=8))

    assert stored(loaded) == [("Airport", 8)]


def test_staging_counts_its_rows(contoso):
    for number in range(7):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North")
    contoso.page_size = 2
    contoso.pull("account")
    contoso.source.delete("account", guid("Site 1"))
    contoso.source.put("account", guid("Site 2"), revenue=1)
    contoso.add_account("Site 9", owner="Ada", unit="North")
    contoso.pull("account")
    contoso.source.expire_tokens()
    contoso.source.delete("account", guid("Site 3"))
    contoso.pull("account")

    counted = contoso.values("SELECT row_count FROM sync.source WHERE name = 'account'")
    assert counted == contoso.values("SELECT count(*) FROM data.account") == [6]


def test_an_interrupted_first_load_goes_on_from_its_cursor(accounts):
    for number in range(5):
        accounts.source.put("account", guid(f"Site {number}"), name=f"Site {number}")
    accounts.page_size = 2

    first = accounts.pull("account", time_slice=ONE_PAGE)
    _, link = accounts.cursor("account")
    accounts.source.requests.clear()
    second = accounts.pull("account")

    assert (first.pages, first.is_finished) == (1, False)
    assert (second.pages, second.is_finished) == (2, True)
    assert accounts.source.requests[0] == link
    assert accounts.staged_names() == [f"Site {number}" for number in range(5)]


def test_a_row_that_changes_during_the_first_load_is_there_once_and_new(accounts):
    for number in range(4):
        accounts.source.put("account", guid(f"Site {number}"), name=f"Site {number}")
    accounts.page_size = 2
    accounts.pull("account", time_slice=ONE_PAGE)

    accounts.source.put("account", guid("Site 0"), name="Renamed")
    accounts.pull("account")

    assert accounts.staged_names() == ["Renamed", "Site 1", "Site 2", "Site 3"]


def test_pages_that_lead_in_a_circle_end_the_pull(accounts):
    accounts.source.scripted = [
        page(account("A", version=1), next_to="one"),
        page(account("B", version=2), next_to="two"),
        page(account("C", version=3), next_to="one"),
    ]

    with pytest.raises(LoopingPagesError):
        accounts.pull("account")

    assert accounts.cursor("account")[1] == f"{replies.ACCOUNTS}?$skiptoken=two"


def test_a_page_that_the_source_fails_to_give_moves_nothing(loaded):
    before = loaded.content()
    loaded.source.scripted = [replies.reply(b"<html>Sorry</html>", kind="text/html")]

    with pytest.raises(MalformedAnswerError):
        loaded.pull("account")

    assert loaded.content() == before


def test_what_was_committed_stays_when_a_later_page_fails(accounts):
    accounts.source.scripted = [
        page(account("A", version=1), next_to="one"),
        replies.reply(b"", status=503),
    ]

    with pytest.raises(SourceUnavailableError):
        accounts.pull("account")

    assert accounts.staged_names() == ["A"]
    assert accounts.cursor("account")[1] == f"{replies.ACCOUNTS}?$skiptoken=one"


def test_a_table_that_staging_does_not_have_is_unknown(accounts):
    accounts.execute("DELETE FROM sync.source")

    with pytest.raises(UnknownTableError):
        accounts.pull("account")
