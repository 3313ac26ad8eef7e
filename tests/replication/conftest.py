"""Staged organizations for tests of replication and visibility."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from replication.domain.tables import TableDef
from tests.fake_dataverse import ACCOUNT
from tests.replication.databases import SharedDatabase
from tests.replication.worlds import (
    SavedWorld,
    World,
    empty_world,
    saved_contoso,
)


@pytest.fixture(scope="session")
def _empty_database() -> Iterator[SharedDatabase]:
    database = SharedDatabase("empty")
    database.save("empty")
    yield database
    database.drop()


@pytest.fixture(scope="session")
def all_of_contoso() -> Iterator[SavedWorld]:
    """What `contoso` is restored from; modules may save variations of it."""
    database = SharedDatabase("contoso")
    yield saved_contoso(database)
    database.drop()


@pytest.fixture
def new_world(db: None, _empty_database: SharedDatabase) -> Callable[..., World]:
    """Make an organization of these tables; nothing was pulled and nobody is known."""

    def make(*tables: TableDef, kind: type[World] = World) -> World:
        return empty_world(_empty_database, *tables, kind=kind)

    return make


@pytest.fixture
def accounts(new_world: Callable[..., World]) -> World:
    """An organization that replicates accounts and has not begun yet."""
    return new_world(ACCOUNT)


@pytest.fixture
def contoso(db: None, all_of_contoso: SavedWorld) -> World:
    """Contoso, loaded, as `worlds.saved_contoso` describes it."""
    return all_of_contoso.world()


@pytest.fixture
def in_background() -> Iterator[Callable[..., Any]]:
    """Start a callable in a thread of its own; `result(timeout=…)` waits for it."""
    with ThreadPoolExecutor(max_workers=8) as executor:
        yield executor.submit
