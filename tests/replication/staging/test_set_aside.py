"""Rows that cannot be stored: set aside with the reason, and the page goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replication.domain.tables import ColumnDef, ColumnType
from tests.fake_dataverse import ACCOUNT, plain
from tests.replication import replies
from tests.replication.replies import account, page, removed
from tests.staged import guid

FOUNDED = plain("founded", ColumnType.DATE)
MEASURED = replace(
    ACCOUNT,
    columns=(
        *ACCOUNT.columns,
        plain("seats", ColumnType.INT),
        FOUNDED,
        ColumnDef(
            name="code", type=ColumnType.STRING, source_name="code", max_length=3
        ),
    ),
)
# Shaped like a date, so that only PostgreSQL finds out.
NO_SUCH_DAY = "2026-02-30"


@pytest.fixture
def measured(new_world):
    return new_world(MEASURED)


@pytest.fixture
def loaded(measured):
    """Airport and Depot are loaded, each with 10 seats."""
    deliver(
        measured,
        account("Airport", version=1, seats=10),
        account("Depot", version=2, seats=10),
    )
    return measured


def deliver(world, *items, delta="d", **changes):
    world.source.scripted.append(page(*items, delta=delta))
    return world.pull("account", **changes)


def seats(world):
    return dict(world.fetch("SELECT name, seats FROM data.account"))


def aside(world):
    return world.fetch(
        "SELECT row_key, column_name, times FROM sync.set_aside ORDER BY row_key"
    )


def test_a_row_whose_value_fits_no_type_keeps_its_previous_version(loaded):
    deliver(
        loaded,
        account("Airport", version=3, seats="many"),
        account("Depot", version=4, seats=20),
    )

    assert seats(loaded) == {"Airport": 10, "Depot": 20}
    assert aside(loaded) == [(str(guid("Airport")), "seats", 1)]


def test_the_reason_names_no_value(loaded):
    deliver(loaded, account("Airport", version=3, seats="very secret"))

    (reason,) = loaded.values("SELECT reason FROM sync.set_aside")
    assert "secret" not in reason
    assert reason


def test_a_value_that_only_postgresql_refuses_is_set_aside_too(loaded):
    deliver(
        loaded,
        account("Airport", version=3, seats=11, founded=NO_SUCH_DAY),
        account("Depot", version=4, seats=20, founded="2026-02-28"),
    )

    assert seats(loaded) == {"Airport": 10, "Depot": 20}
    assert aside(loaded) == [(str(guid("Airport")), "founded", 1)]


def test_what_postgresql_refuses_does_not_stop_a_first_load(measured):
    deliver(
        measured,
        account("Airport", version=3, founded=NO_SUCH_DAY),
        account("Depot", version=4, seats=20),
    )

    assert seats(measured) == {"Depot": 20}
    assert aside(measured) == [(str(guid("Airport")), "founded", 1)]
    assert measured.values("SELECT row_count FROM sync.source") == [1]


def test_a_page_of_nothing_but_unfit_rows_goes_by(measured):
    deliver(
        measured,
        account("Airport", version=3, founded=NO_SUCH_DAY),
        account("Depot", version=4, seats="x"),
    )

    assert seats(measured) == {}
    assert len(aside(measured)) == 2
    assert measured.values("SELECT is_complete FROM sync.source") == [True]


def test_a_row_without_a_usable_key_is_set_aside_and_the_page_goes_on(loaded):
    deliver(
        loaded,
        account("Nobody", version=3, key="no guid"),
        account("Depot", version=4, seats=20),
    )

    assert seats(loaded) == {"Airport": 10, "Depot": 20}
    assert aside(loaded) == [(None, "accountid", 1)]


def test_rows_without_keys_are_counted_together(loaded):
    deliver(loaded, account("Nobody", version=3, key="no guid"))
    deliver(loaded, account("Nobody", version=3, key="none either"))

    assert aside(loaded) == [(None, "accountid", 2)]


def test_a_row_set_aside_again_is_counted(loaded):
    for version in (3, 4):
        deliver(loaded, account("Airport", version=version, seats="many"))

    assert aside(loaded) == [(str(guid("Airport")), "seats", 2)]


@pytest.mark.parametrize("bad", [{"seats": "many"}, {"founded": NO_SUCH_DAY}])
def test_a_good_version_ends_it(loaded, bad):
    deliver(loaded, account("Airport", version=3, **bad))

    deliver(loaded, account("Airport", version=4, seats=12))

    assert (seats(loaded)["Airport"], aside(loaded)) == (12, [])


def test_a_good_version_ends_it_though_the_source_writes_keys_in_capitals(loaded):
    key = str(guid("Airport")).upper()
    deliver(loaded, account("Airport", version=3, key=key, founded=NO_SUCH_DAY))

    deliver(loaded, account("Airport", version=4, key=key, seats=12))

    assert (seats(loaded)["Airport"], aside(loaded)) == (12, [])


def test_a_row_that_is_deleted_at_the_source_is_no_longer_reported(loaded):
    deliver(loaded, account("Airport", version=3, seats="many"))

    deliver(loaded, removed("Airport"))

    assert (seats(loaded), aside(loaded)) == ({"Depot": 10}, [])


def test_a_row_that_a_full_load_no_longer_meets_is_no_longer_reported(loaded):
    deliver(loaded, account("Airport", version=3, seats="many"))

    deliver(loaded, account("Depot", version=2, seats=10), wants_resync=True)

    assert (seats(loaded), aside(loaded)) == ({"Depot": 10}, [])


@pytest.mark.parametrize("bad", [{"seats": "many"}, {"founded": NO_SUCH_DAY}])
def test_a_row_that_is_set_aside_during_a_full_load_is_not_swept(loaded, bad):
    loaded.source.scripted = [replies.expired()]
    deliver(
        loaded,
        account("Airport", version=3, **bad),
        account("Depot", version=2, seats=10),
    )

    assert seats(loaded) == {"Airport": 10, "Depot": 10}
    assert len(aside(loaded)) == 1


def test_another_row_of_the_page_does_not_end_it(loaded):
    deliver(loaded, account("Airport", version=3, seats="many"))

    deliver(loaded, account("Depot", version=4, seats=20))

    assert len(aside(loaded)) == 1


def test_nul_characters_are_taken_out_and_counted(loaded):
    deliver(loaded, account("Air\0port\0", version=3, key=guid("Airport"), seats=1))

    assert seats(loaded) == {"Airport": 1, "Depot": 10}
    assert loaded.values("SELECT stripped_nuls FROM sync.source") == [2]
    assert aside(loaded) == []


def test_declared_lengths_are_not_enforced(loaded):
    deliver(loaded, account("Airport", version=3, code="longer than three"))

    assert loaded.values("SELECT code FROM data.account WHERE code IS NOT NULL") == [
        "longer than three"
    ]


def test_text_that_copy_gives_a_meaning_arrives_as_it_is(loaded):
    odd = '\\N \\. \t tab \n line \r "quoted" \\ back \u2028 é 😀'

    deliver(loaded, account(odd, version=3, key=guid("Airport")))

    assert odd in seats(loaded)


def test_text_that_copy_gives_a_meaning_survives_beside_an_unfit_row(loaded):
    odd = "\\N \\. \t \n \\ 😀"

    deliver(
        loaded,
        account(odd, version=3, key=guid("Airport")),
        account("Depot", version=4, founded=NO_SUCH_DAY),
    )

    assert set(seats(loaded)) == {odd, "Depot"}


def test_what_is_set_aside_is_said_of_the_table(loaded):
    deliver(loaded, account("Air\0port", version=3, seats="many"))

    assert loaded.status("account").set_aside == 1
