"""A database that an older release created is brought up to date, and goes on."""

from __future__ import annotations

import pytest

from replication.staging import connections, install
from tests.replication.worlds import ALL_ACCOUNTS

# What the first release had not.
BACK_TO_THE_FIRST = """
DROP TABLE sync.schema_version;
ALTER TABLE sync.feed DROP COLUMN k4, DROP COLUMN k5, DROP COLUMN k6;
UPDATE sync.subscription SET body = (
    SELECT jsonb_agg(jsonb_path_query_array(one, '$[0 to 3]'))
    FROM jsonb_array_elements(body) one
) WHERE id LIKE 'g%';
"""


@pytest.fixture
def old(contoso):
    """Contoso as it was left by the first release, and a device from then."""
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.publish(ALL_ACCOUNTS)
    contoso.pull("account")
    device = contoso.device("Ada")
    with contoso.staging() as conn:
        conn.execute(BACK_TO_THE_FIRST)
        conn.commit()
    yield contoso, device
    with contoso.staging() as conn:
        install.bring_up_to_date(conn)


def test_opening_a_database_brings_it_up_to_date(old):
    world, device = old

    with connections.opened(world.id):
        pass
    world.add_account("Airport B", owner="Ada", unit="North")
    world.pull("account")
    device.sync()

    assert device.names() == {"Airport A", "Airport B"}


def test_bringing_it_up_to_date_again_changes_nothing(old):
    world, _ = old
    with connections.opened(world.id) as conn:
        before = world.content()

        install.bring_up_to_date(conn)

    assert world.content() == before
