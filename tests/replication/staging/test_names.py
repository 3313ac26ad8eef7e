"""Names from the source as identifiers: none is refused, and no two become one."""

from __future__ import annotations

import pytest

from replication.domain.profiles import ProfileItem
from replication.domain.tables import ColumnType
from replication.staging.names import LONGEST_IDENTIFIER, identifier
from tests.fake_dataverse import plain, table_def
from tests.replication.worlds import profile
from tests.staged import guid

LONG = "new_" + "x" * 58  # one byte below the limit with one more letter


def bytes_of(name):
    return len(name.encode())


@pytest.mark.parametrize("name", ["name", "x" * LONGEST_IDENTIFIER, "é" * 31, "Name"])
def test_a_name_that_fits_stays_as_it_is(name):
    assert identifier(name) == name


@pytest.mark.parametrize("name", ["x" * 64, "é" * 32, "😀" * 16, "x" * 62 + "é"])
def test_a_long_name_is_cut_to_what_postgresql_keeps(name):
    assert bytes_of(identifier(name)) <= LONGEST_IDENTIFIER
    assert identifier(name)[:5] == name[:5]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("x" * 64, "x" * 65, id="alike in what is kept"),
        pytest.param("x" * 70 + "a", "x" * 70 + "b", id="different at the end"),
        pytest.param("é" * 40 + "a", "é" * 40 + "b", id="in two bytes"),
        pytest.param("na\0me", "name", id="without the NUL"),
    ],
)
def test_names_that_begin_alike_stay_different(one, other):
    assert identifier(one) != identifier(other)


def test_the_same_name_gets_the_same_stand_in_again():
    assert identifier("x" * 100) == identifier("x" * 100)


@pytest.mark.parametrize("name", ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"])
def test_names_of_postgresqls_own_columns_get_a_stand_in(name):
    assert identifier(name) not in {name, identifier(f"{name}_2")}


ODD = (
    "select",
    "user",
    "größe",
    "имя",
    "数量",
    "Case",
    "with_percent",
    "ctid",
    "xmin",
    "_row",
    "row_id",
    "k1",
    "incoming",
    LONG + "a" * 60,
    LONG + "b" * 60,
)


@pytest.fixture
def odd(contoso):
    """A table whose columns bear odd names; Ada has one row of it."""
    contoso.add_table(
        table_def("table", plain("name"), *map(plain, ODD), entity_set="tables")
    )
    contoso.add_role("Reader", unit="Contoso", table=1)
    contoso.grant("Ada", "Reader")
    contoso.pull_these("role", "privilege", "roleprivileges", "systemuserroles")
    contoso.add_row("table", "Row", owner="Ada", unit="North")
    contoso.source.put("table", guid("table Row"), **{name: name for name in ODD})
    contoso.publish(profile(ProfileItem(table="table")))
    contoso.pull("table")
    return contoso


def test_columns_with_odd_names_keep_their_values(odd):
    ada = odd.device("Ada")

    (row,) = ada.store.rows("table").values()

    assert {name: row[name] for name in ODD} == {name: name for name in ODD}


def test_columns_with_odd_names_change_like_others(odd):
    ada = odd.device("Ada")

    odd.source.put("table", guid("table Row"), **dict.fromkeys(ODD, "changed"))
    odd.pull("table")
    ada.sync()

    (row,) = ada.store.rows("table").values()
    assert {row[name] for name in ODD} == {"changed"}


def test_columns_with_odd_names_do_not_hide_what_is_unfit(contoso):
    contoso.add_table(
        table_def("measure", plain("name"), plain("ctid", ColumnType.DATE))
    )
    contoso.add_row("measure", "Row", owner="Ada", unit="North")
    contoso.source.put("measure", guid("measure Row"), ctid="2026-02-30")

    contoso.pull("measure")

    assert contoso.values("SELECT column_name FROM sync.set_aside") == ["ctid"]


@pytest.mark.parametrize("count", [89, 90, 91, 180, 300])
def test_a_table_of_very_many_columns_travels_whole(contoso, count):
    names = [f"c{number}" for number in range(count)]
    contoso.add_table(table_def("account_wide", *map(plain, names)))
    contoso.add_role("Reader", unit="Contoso", account_wide=1)
    contoso.grant("Ada", "Reader")
    contoso.pull_these("role", "privilege", "roleprivileges", "systemuserroles")
    contoso.source.put(
        "account_wide",
        guid("Row"),
        ownerid=str(guid("Ada")),
        **{name: f"[{name}]" for name in names},
    )
    contoso.publish(profile(ProfileItem(table="account_wide")))
    contoso.pull("account_wide")

    (row,) = contoso.device("Ada").store.rows("account_wide").values()

    assert [row[name] for name in names] == [f"[{name}]" for name in names]
