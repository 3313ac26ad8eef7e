"""A row that PostgreSQL has no room for does not stop its table."""

from __future__ import annotations

import pytest

from replication.domain.tables import ColumnType
from tests.fake_dataverse import plain, table_def
from tests.staged import guid

WIDE = table_def(
    "asset",
    plain("name"),
    *(plain(f"d{number}", ColumnType.DOUBLE) for number in range(1100)),
)


@pytest.mark.parametrize("earlier", [False, True], ids=["first load", "delta"])
def test_a_row_that_fits_no_block_is_set_aside_and_the_others_are_stored(
    new_world, earlier
):
    world = new_world(WIDE)
    if earlier:
        world.add_row("asset", "Pump", owner="Ada", unit="North")
        world.pull("asset")
    for name in ("Valve", "Crane", "Motor"):
        world.add_row("asset", name, owner="Ada", unit="North")
    too_wide = {f"d{number}": 1.5 for number in range(1100)}
    world.source.put("asset", guid("asset Crane"), **too_wide)

    world.pull("asset")

    stored = ["Motor", "Pump", "Valve"] if earlier else ["Motor", "Valve"]
    assert world.staged_names("asset") == stored
    assert world.fetch("SELECT row_key, reason FROM sync.set_aside") == [
        (str(guid("asset Crane")), "The row is larger than PostgreSQL can store.")
    ]
