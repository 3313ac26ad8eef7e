"""What operators see of tables."""

from __future__ import annotations

from datetime import timedelta

from tests.staged import guid


def test_a_table_is_loaded_when_its_last_page_is_in(accounts):
    for number in range(3):
        accounts.source.put("account", guid(f"Site {number}"), name=f"Site {number}")
    accounts.page_size = 2

    accounts.pull("account", time_slice=timedelta(0))
    half = accounts.status("account")
    accounts.pull("account")
    whole = accounts.status("account")

    assert (half.loaded, half.rows, half.cursor_kind) == (False, 2, "next")
    assert (whole.loaded, whole.rows, whole.cursor_kind) == (True, 3, "delta")
    assert (half.last_complete_at, whole.last_complete_at is None) == (None, False)


def test_it_is_said_how_changes_are_found(contoso):
    assert contoso.status("account").mode == "delta"
    assert contoso.status("teammembership").mode == "compare"
