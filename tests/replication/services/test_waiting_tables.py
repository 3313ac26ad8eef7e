"""Tables change their columns while somebody reads them."""

from __future__ import annotations

import pytest

from replication.services import follow_schema
from replication.staging import connections, registry, schema
from tests.fake_dataverse import plain
from tests.replication import waiting
from tests.replication.forms import REVENUE, WITH_PHONE, with_column
from tests.staged import guid


@pytest.fixture
def world(contoso):
    contoso.add_account("Airport", owner="Ada", unit="North", revenue="1.5")
    contoso.pull("account")
    return contoso


def revenues(conn):
    """As a reader finds them: by the definition that its snapshot shows."""
    table = registry.table(conn, "account")
    assert table is not None
    relation = schema.relation(table.definition).as_string(conn)
    return [str(r) for (r,) in conn.execute(f"SELECT revenue FROM {relation}")]


def test_a_snapshot_from_before_a_swap_goes_on_with_what_it_saw(world):
    with world.staging() as reader, connections.snapshot(reader):
        reader.execute("SELECT rev FROM sync.clock")
        for row in world.source.rows("account").values():
            row[REVENUE] = "a lot"
        world.redefine(with_column(plain(REVENUE)))
        world.source.put("account", guid("Bakery"), name="Bakery")
        world.pull("account")

        before = revenues(reader)
    with world.staging() as later:
        after = revenues(later)

    assert before == ["1.5"]
    assert sorted(after) == ["None", "a lot"]


def test_a_column_is_added_as_soon_as_readers_let_go(world, in_background):
    world.change_source(WITH_PHONE)
    with world.staging() as reader, world.staging() as changer:
        with reader.transaction():
            reader.execute("SELECT FROM data.account")
            following = in_background(
                follow_schema.follow, changer, world.tables, asked=()
            )
            with world.staging() as watcher:
                waiting.until_blocked(changer, seen_by=watcher)
        followed = following.result(timeout=20)

    assert followed.changed == ("account",)
