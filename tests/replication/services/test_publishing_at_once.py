"""Two who publish at once: what was read earlier never overwrites what came later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from replication.services import profiles
from replication.staging import connections
from replication.visibility import policy
from tests.replication.waiting import PATIENCE_SECONDS, until
from tests.replication.worlds import SavedWorld, World


@pytest.fixture
def contoso(transactional_db: None, all_of_contoso: SavedWorld) -> World:
    """Contoso in a catalog that other connections see too."""
    return all_of_contoso.world()


def save(world: World, *tables: str) -> None:
    document = {
        "items": [{"table": table} for table in tables],
        "assignments": {"everyone": True},
    }
    profiles.save_profile(world.id, name="Field sales", document=document)


def publish(world: World) -> None:
    try:
        profiles.publish(world.id)
    finally:
        connection.close()


def is_waited_for(cursor: Any) -> bool:
    """Whether a statement in the cursor's database waits for a lock."""
    cursor.execute(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
        " AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    return bool(cursor.fetchone()[0])


def test_an_older_read_never_overwrites_a_newer_publish(
    contoso: World, in_background: Callable[..., Any]
) -> None:
    save(contoso, "account", "contact")
    connections.forget(contoso.id)
    with contoso.staging() as gate, contoso.staging() as seeing, gate.transaction():
        with connections.reading(contoso.id):
            # The older one has read, and gets no further: no connection is idle,
            # and a new one asks for the version.
            gate.execute("LOCK TABLE sync.schema_version")
            older = in_background(publish, contoso)
            until(lambda: is_waited_for(seeing.cursor()))
        # The newer one finds the connection that was just given back.
        save(contoso, "account")
        newer = in_background(publish, contoso)
        with connection.cursor() as catalog:
            until(lambda: newer.done() or is_waited_for(catalog))
    older.result(timeout=PATIENCE_SECONDS)
    newer.result(timeout=PATIENCE_SECONDS)

    (published,) = policy.published(contoso.database.kept("test")).profiles
    assert [item.table for item in published.items] == ["account"]
