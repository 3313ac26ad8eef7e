"""A delete carries no version: rows that were created again must survive it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.staged import guid

ONE_PAGE = timedelta(0)


@pytest.fixture
def sites(accounts):
    for number in range(3):
        accounts.add_account(f"Site {number}", owner="Ada", unit="North")
    accounts.pull("account")
    return accounts


@pytest.mark.parametrize("page_size", [1, 2, 50])
def test_a_row_that_was_deleted_and_created_again_stays(sites, page_size):
    sites.source.delete("account", guid("Site 1"))
    sites.add_account("Site 1", owner="Ada", unit="South")
    sites.page_size = page_size

    sites.pull("account")

    names = sites.values("SELECT name FROM data.account ORDER BY name")
    assert names == ["Site 0", "Site 1", "Site 2"]


@pytest.mark.parametrize("page_size", [1, 2, 50])
def test_a_row_that_was_changed_and_then_deleted_goes(sites, page_size):
    sites.source.put("account", guid("Site 2"), name="Site 2b")
    sites.source.put("account", guid("Site 1"), name="Site 1b")
    sites.source.delete("account", guid("Site 1"))
    sites.page_size = page_size

    sites.pull("account")

    names = sites.values("SELECT name FROM data.account ORDER BY name")
    assert names == ["Site 0", "Site 2b"]


def test_a_row_that_goes_between_two_pages_of_a_run_is_gone_in_the_end(sites):
    sites.source.put("account", guid("Site 1"), name="Site 1b")
    sites.source.put("account", guid("Site 2"), name="Site 2b")
    sites.page_size = 1
    sites.pull("account", time_slice=ONE_PAGE)
    sites.source.delete("account", guid("Site 1"))

    sites.pull("account")
    sites.pull("account")

    names = sites.values("SELECT name FROM data.account ORDER BY name")
    assert names == ["Site 0", "Site 2b"]
