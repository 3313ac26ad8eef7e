"""A database that an older release created is brought up to date, and goes on."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest

from provisioning.services import staging_databases
from replication.domain.choices import spec_of
from replication.staging import connections, install
from replication.visibility import policy, subscriptions
from tests.staged import organization

# What the first release left behind: rules of both shapes, profiles, a set of grants.
LEFT_BEHIND = """
INSERT INTO sync.source (name, relation, definition) VALUES ('account', 'account', '{}');
INSERT INTO sync.rule (source_id, shape, state) VALUES (1, 'base', 'active');
INSERT INTO sync.rule (source_id, shape, state) VALUES (1, 'deep', 'active');
CREATE TABLE sync.feed_1 PARTITION OF sync.feed FOR VALUES IN (1);
INSERT INTO sync.feed VALUES
    (1, 'aaaaaaaa-0000-0000-0000-000000000001', 7, 8, NULL, 3, true);
INSERT INTO sync.policy (body) VALUES (
    '{"profiles": [{"name": "Field", "items": [{"table": "account"}]}]}'
);
INSERT INTO sync.subscription (id, body) VALUES ('g1', '[[1, 7, null, null]]');
"""

COLUMNS = """
SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default
FROM information_schema.columns WHERE table_schema IN ('data', 'sync')
AND table_name <> 'feed_1' ORDER BY 1, 2, 3
"""


@pytest.fixture
def old(db):
    """An organization's database as the first release made and used it."""
    owner = organization("aged")
    with psycopg.connect(staging_databases.conninfo(owner), autocommit=True) as conn:
        conn.execute("DROP SCHEMA data CASCADE; DROP SCHEMA sync CASCADE")
        conn.execute(install.STEPS[0])
        conn.execute(LEFT_BEHIND)
    yield owner
    staging_databases.drop(owner)


@pytest.fixture
def new(db):
    owner = organization("newborn")
    yield owner
    staging_databases.drop(owner)


def test_an_old_database_becomes_like_a_new_one(old, new):
    with connections.opened(old.id) as conn, connections.opened(new.id) as fresh:
        assert conn.execute(COLUMNS).fetchall() == fresh.execute(COLUMNS).fetchall()


def test_rules_of_both_shapes_say_what_they_hand_out(old):
    with connections.opened(old.id) as conn:
        specs = conn.execute("SELECT spec FROM sync.rule ORDER BY id").fetchall()

    assert [(spec_of(s).shape, spec_of(s).opens) for (s,) in specs] == [
        ("base", ()),
        ("deep", ("ancestors",)),
    ]


def test_entries_profiles_and_what_devices_hold_stay(old):
    epoch = UUID(int=1)
    with connections.opened(old.id) as conn:
        entries = conn.execute("SELECT k1, k2, k3, k4, rev FROM sync.feed").fetchall()
        served = policy.effective(conn)
        held = subscriptions.grant_sets(conn, epoch, ["g1"])

    assert entries == [(7, 8, None, None, 3)]
    assert [profile.name for profile in served.profiles] == ["Field"]
    assert held == {"g1": {(1, 7, None, None, None, None, None)}}


def test_bringing_it_up_to_date_again_changes_nothing(old):
    with connections.opened(old.id) as conn:
        before = conn.execute("SELECT * FROM sync.rule").fetchall()

        install.bring_up_to_date(conn)

        assert conn.execute("SELECT * FROM sync.rule").fetchall() == before
        version = conn.execute("SELECT version FROM sync.schema_version").fetchone()
        assert version == (len(install.STEPS),)
