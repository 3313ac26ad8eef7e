"""Contoso, whose devices send edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.replication.worlds import SavedWorld
from tests.replication.write_back.played import Uploading


@pytest.fixture
def uploading(db: None, all_of_contoso: SavedWorld) -> Callable[..., Uploading]:
    """Make Contoso with three accounts of Ada's, under a policy for conflicts."""

    def make(**policy: Any) -> Uploading:
        world = all_of_contoso.world()
        world.__class__ = Uploading
        assert isinstance(world, Uploading)
        for name in ("Airport", "Depot", "Harbour"):
            world.add_account(name, owner="Ada", unit="North", revenue=1)
        world.pull("account")
        world.begin(**policy)
        return world

    return make


@pytest.fixture
def world(uploading: Callable[..., Uploading]) -> Uploading:
    return uploading()


@pytest.fixture
def device() -> UUID:
    return uuid4()
