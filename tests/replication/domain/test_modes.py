"""Which columns may be a watermark, and where polls begin."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from replication.domain import modes
from replication.domain.modes import Place
from replication.domain.tables import ColumnDef, ColumnType, TableDef

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def column(name, kind=ColumnType.DATETIME, **members):
    return ColumnDef(name=name, type=kind, source_name=name, **members)


def table(*columns):
    return TableDef(name="t", entity_set="T", key=("id",), columns=columns)


@pytest.mark.parametrize(
    "name",
    ["modifiedon", "ModifiedAt", "LastModifiedDateTime", "updated_at", "LastUpdated",
     "SystemModstamp", "LastChangeDateTime", "row_changed_on"],
)  # fmt: skip
def test_a_modified_time_is_known_by_its_name(name):
    assert [c.name for c in modes.candidates(table(column(name)))] == [name]


@pytest.mark.parametrize("name", ["CreatedOn", "Birthday", "ModifiedBy", "UpdateCount"])
def test_other_times_are_none(name):
    assert modes.candidates(table(column(name))) == ()


def test_what_an_etag_is_made_from_comes_first():
    columns = (
        column("ModifiedOn", computed=True),
        column("Stamp", guards_row=True),
        column("UpdatedAt"),
        column("rowversion", ColumnType.BIGINT),
    )

    found = [c.name for c in modes.candidates(table(*columns))]

    assert found == ["Stamp", "ModifiedOn", "UpdatedAt", "rowversion"]


def test_the_watermark_is_the_highest_that_is_not_of_the_future():
    stamps = ["2026-01-01T00:00:00Z", None, "2026-01-01T00:00:00.1234567Z",
              "2099-01-01T00:00:00Z", "10000-01-01T00:00:00Z"]  # fmt: skip

    assert modes.highest(column("m"), stamps, now=NOW) == stamps[2]


def test_offsets_are_minded():
    stamps = ["2026-01-01T01:00:00+02:00", "2026-01-01T00:00:00Z"]

    assert modes.highest(column("m"), stamps, now=NOW) == stamps[1]


@pytest.mark.parametrize(
    ("high", "low"),
    [
        ("2026-01-01T00:05:00.9Z", "2025-12-31T23:55:00Z"),
        ("0001-01-01T00:05:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_poll_begins_an_overlap_earlier(high, low):
    assert modes.low_end(column("m"), high) == low


def test_versions_have_an_overlap_too():
    assert modes.low_end(column("v", ColumnType.BIGINT), "5000") == "4000"


def test_a_place_survives_its_cursor():
    place = Place(kind="poll", after=("2026-01-01T00:00:00Z", "a'b"), high="x")

    assert modes.place_of(place.encoded()) == place


def test_a_link_of_the_source_is_no_place():
    with pytest.raises(ValueError, match="own link"):
        modes.place_of("https://a.example/odata/T?$skiptoken=1")
