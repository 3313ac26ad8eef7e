"""Tables whose key is not one GUID, and tables without numbered versions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from replication.domain.profiles import ProfileItem
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from tests.fake_dataverse import ACCOUNT, lookup, plain
from tests.replication import replies
from tests.replication.replies import account
from tests.replication.worlds import profile
from tests.staged import guid

VISIT = TableDef(
    name="visit",
    entity_set="visits",
    key=("site", "number"),
    columns=(
        ColumnDef(name="site", type=ColumnType.STRING, source_name="site"),
        ColumnDef(name="number", type=ColumnType.INT, source_name="number"),
        lookup("ownerid"),
        plain("name"),
    ),
    ownership="user",
    primary_name="name",
    tracked=True,
    read_privilege="prvReadAccount",
)


def visit(site, number, *, name, etag=None, owner="Ada"):
    row = {
        "site": site,
        "number": number,
        "_ownerid_value": str(guid(owner)),
        "name": name,
    }
    return row if etag is None else {"@odata.etag": etag} | row


def gone(site, number):
    return {
        "@removed": {"reason": "deleted"},
        "@id": f"visits(site='{site}',number={number})",
    }


def key(site, number):
    return json.dumps([site, number], separators=(",", ":"))


def deliver(world, table, *items, **links):
    world.source.scripted = [replies.page(*items, **links or {"delta": "d"})]
    return world.pull(table)


@pytest.fixture
def visits(new_world):
    return new_world(VISIT)


@pytest.fixture
def visited(contoso):
    """Visits are published; Ada has two, loaded at once."""
    contoso.add_table(VISIT)
    contoso.publish(profile(ProfileItem(table="visit")))
    deliver(
        contoso,
        "visit",
        visit("AMS", 1, name="First", etag="a"),
        visit("AMS", 2, name="Second", etag="b"),
    )
    return contoso


def test_rows_with_a_composite_key_are_told_apart(visits):
    deliver(
        visits,
        "visit",
        visit("AMS", 1, name="A", etag="a"),
        visit("AMS", 2, name="B", etag="a"),
        visit("BER", 1, name="C", etag="a"),
    )

    assert visits.staged_names("visit") == ["A", "B", "C"]


def test_a_changed_etag_is_a_new_version(visits):
    deliver(visits, "visit", visit("AMS", 1, name="A", etag="a"))

    progress = deliver(visits, "visit", visit("AMS", 1, name="B", etag="b"))

    assert (progress.written, visits.staged_names("visit")) == (1, ["B"])


def test_an_unchanged_etag_is_no_change(visits):
    deliver(visits, "visit", visit("AMS", 1, name="A", etag="a"))

    progress = deliver(visits, "visit", visit("AMS", 1, name="A", etag="a"))

    assert (progress.written, progress.unchanged) == (0, 1)


def test_without_etags_a_row_is_compared_by_its_content(visits):
    deliver(visits, "visit", visit("AMS", 1, name="A"), visit("AMS", 2, name="B"))

    progress = deliver(
        visits, "visit", visit("AMS", 1, name="A"), visit("AMS", 2, name="Z")
    )

    assert (progress.written, progress.unchanged) == (1, 1)
    assert visits.staged_names("visit") == ["A", "Z"]


def test_the_last_one_of_several_etags_in_a_page_counts(visits):
    deliver(
        visits,
        "visit",
        visit("AMS", 1, name="A", etag="a"),
        visit("AMS", 1, name="B", etag="b"),
    )

    assert visits.staged_names("visit") == ["B"]


def test_deletes_find_their_rows_by_a_composite_key(visits):
    deliver(visits, "visit", visit("O'Hare", 1, name="A"), visit("O'Hare", 2, name="B"))

    deliver(visits, "visit", gone("O''Hare", 1))

    assert visits.staged_names("visit") == ["B"]


def test_rows_with_a_composite_key_reach_the_device(visited):
    ada = visited.device("Ada")

    assert set(ada.store.rows("visit")) == {key("AMS", 1), key("AMS", 2)}


def test_changes_of_rows_from_the_first_load_reach_the_device(visited):
    ada = visited.device("Ada")

    deliver(visited, "visit", visit("AMS", 1, name="Changed", etag="c"))
    ada.sync()

    assert ada.names("visit") == {"Changed", "Second"}


def test_deletes_of_rows_from_the_first_load_reach_the_device(visited):
    ada = visited.device("Ada")

    deliver(visited, "visit", gone("AMS", 1))
    ada.sync()

    assert ada.names("visit") == {"Second"}


def test_rows_from_the_first_load_leave_with_the_right_to_them(visited):
    ada = visited.device("Ada")

    deliver(visited, "visit", visit("AMS", 1, name="First", etag="c", owner="Grace"))
    ada.sync()

    assert ada.names("visit") == {"Second"}


def test_the_digest_covers_composite_keys(visited):
    ada = visited.new_device("Ada")
    ada.wants_digest = True

    result = ada.sync()

    assert ada.store.differing(result.digest) == ()
    assert result.digest["visit"][0] == 2


def test_a_dataverse_table_without_versions_uses_its_etags(new_world):
    world = new_world(replace(ACCOUNT, version_column=None))
    deliver(world, "account", account("Airport", version=5))

    progress = deliver(
        world, "account", account("Renamed", version=4, key=guid("Airport"))
    )

    assert (progress.written, world.staged_names()) == (1, ["Renamed"])
