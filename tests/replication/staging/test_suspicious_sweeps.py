"""The brake on mass deletion, and the operator who takes it off."""

from __future__ import annotations

import pytest

from replication.staging.sweep import SweepBrakeError, is_suspicious
from tests.staged import guid


@pytest.fixture
def shrunk(accounts):
    """120 of 150 accounts are really gone, and the token has expired."""
    for number in range(150):
        accounts.add_account(f"Site {number:03}", owner="Ada", unit="North")
    accounts.pull("account")
    for number in range(120):
        accounts.source.delete("account", guid(f"Site {number:03}"))
    accounts.source.expire_tokens()
    return accounts


def test_a_full_load_that_would_delete_most_rows_waits_for_an_operator(shrunk):
    with pytest.raises(SweepBrakeError, match="120 of 150 rows"):
        shrunk.pull("account")

    assert len(shrunk.staged_names()) == 150


def test_an_operator_who_has_looked_lets_it_go_on(shrunk):
    with pytest.raises(SweepBrakeError):
        shrunk.pull("account")

    shrunk.pull("account", accepts_sweep=True)

    assert len(shrunk.staged_names()) == 30


@pytest.mark.parametrize(
    ("table", "swept", "before", "suspicious"),
    [
        ("account", 100, 100, False),
        ("account", 101, 200, True),
        ("account", 101, 203, False),
        ("systemuserroles", 13, 13, True),
        ("systemuserroles", 12, 13, False),
        ("teamroles", 4, 4, False),
    ],
)
def test_what_is_unlikely_to_be_gone(table, swept, before, suspicious):
    assert is_suspicious(table, swept=swept, before=before) is suspicious
