"""A source that was restored from a backup: its versions are lower than before."""

from __future__ import annotations

from tests.staged import guid


def test_a_full_load_takes_rows_back_to_what_the_restored_source_says(accounts):
    accounts.add_account("Site", owner="Ada", unit="North", revenue=2)
    accounts.pull("account")
    accounts.source.version = 4
    accounts.source.put("account", guid("Site"), revenue=1)

    accounts.pull("account", wants_resync=True)

    assert accounts.fetch("SELECT revenue, _version FROM data.account") == [(1, 5)]
