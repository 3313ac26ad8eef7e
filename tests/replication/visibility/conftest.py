"""An organization whose rows bring others along, for tests of what devices hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.replication.databases import SharedDatabase
from tests.replication.related import add_two_accounts, saved_related
from tests.replication.worlds import SavedWorld, World


@pytest.fixture(scope="session")
def all_related() -> Iterator[SavedWorld]:
    database = SharedDatabase("related")
    yield saved_related(database)
    database.drop()


@pytest.fixture(scope="session")
def all_two_accounts(all_related: SavedWorld) -> SavedWorld:
    """Airport of Ada's and Harbour of Grace's, with a contact each, and one more."""
    return all_related.varied("two_accounts", add_two_accounts)


@pytest.fixture
def offices(db: None, all_related: SavedWorld) -> World:
    """Contoso, loaded, as `related.saved_related` describes it."""
    return all_related.world()
