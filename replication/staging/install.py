"""The machinery that every staging database is created with."""

from __future__ import annotations

import psycopg

# One program at a time alters a database.
_LOCK = 4_712

# Key columns of a feed entry. What they stand for depends on the rule's shape
# (visibility.rules).
FEED_KEYS = ("k1", "k2", "k3", "k4", "k5", "k6")

# Databases of older releases are taken from step to step (`bring_up_to_date`). A step
# that was released is never edited.
_FIRST = """
CREATE SCHEMA data;
CREATE SCHEMA sync;

-- Which database this is. A restored or copied database has another timeline,
-- system identifier or oid, so its revs must not be mistaken for ours.
CREATE FUNCTION sync.identity() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws(
        ':',
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database())
    )
$$;

CREATE TABLE sync.clock (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    rev bigint NOT NULL DEFAULT 0,
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    identity text NOT NULL,
    -- Tombstones up to this rev may be gone.
    horizon bigint NOT NULL DEFAULT 0,
    -- Newest rev that changed who may see what, or how a table looks.
    access_rev bigint NOT NULL DEFAULT 0,
    -- The access_rev for which the rules were last brought up to date.
    rules_rev bigint NOT NULL DEFAULT -1,
    CHECK (horizon <= rev AND access_rev <= rev)
) WITH (fillfactor = 10);

-- Rev and the moment at which it was current; housekeeping samples it.
CREATE TABLE sync.rev_sample (
    rev bigint PRIMARY KEY,
    sampled_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sync.source (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    relation text NOT NULL UNIQUE,
    definition jsonb NOT NULL,
    fencing_epoch bigint NOT NULL DEFAULT 0,
    cursor_kind text CHECK (cursor_kind IN ('next', 'delta')),
    cursor_link text,
    generation bigint NOT NULL DEFAULT 1,
    loading text NOT NULL DEFAULT 'first'
        CHECK (loading IN ('first', 'full', 'none')),
    is_complete boolean NOT NULL DEFAULT false,
    row_count bigint NOT NULL DEFAULT 0,
    stripped_nuls bigint NOT NULL DEFAULT 0,
    last_page_at timestamptz,
    last_complete_at timestamptz,
    CHECK ((cursor_kind IS NULL) = (cursor_link IS NULL))
);

CREATE TABLE sync.set_aside (
    source_id integer NOT NULL,
    row_key text,
    column_name text,
    reason text NOT NULL,
    times bigint NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (source_id, row_key)
);

-- Keys of rows whose key is not a single GUID; `row_id` is derived from the key.
CREATE TABLE sync.row_key (
    source_id integer NOT NULL,
    row_id uuid NOT NULL,
    row_key text NOT NULL,
    PRIMARY KEY (source_id, row_id)
);

-- Principals and business units as small integers.
CREATE TABLE sync.key_value (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    value uuid NOT NULL UNIQUE
);

-- Every business unit with each of its ancestors, itself included. Rows are handed
-- out by ancestors other than the unit itself and a topmost one.
CREATE TABLE sync.closure (
    unit integer NOT NULL,
    ancestor integer NOT NULL,
    is_handed_out boolean NOT NULL,
    PRIMARY KEY (unit, ancestor)
);

CREATE TABLE sync.rule (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL REFERENCES sync.source,
    shape text NOT NULL,
    state text NOT NULL DEFAULT 'building'
        CHECK (state IN ('building', 'active', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX one_living_rule_per_shape ON sync.rule (source_id, shape)
    WHERE state <> 'retired';

CREATE TABLE sync.feed (
    rule integer NOT NULL,
    row_id uuid NOT NULL,
    k1 integer, k2 integer, k3 integer,
    rev bigint NOT NULL,
    live boolean NOT NULL
) PARTITION BY LIST (rule);

-- Rows that changed while a rule was being built.
CREATE TABLE sync.catchup (
    rule integer NOT NULL,
    row_id uuid NOT NULL,
    PRIMARY KEY (rule, row_id)
);

-- The published profiles.
CREATE TABLE sync.policy (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    body jsonb NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
);

-- Sets of grants and sets of columns, named by a hash of their content.
CREATE TABLE sync.subscription (
    id text PRIMARY KEY,
    body jsonb NOT NULL,
    named_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sync.device (
    device_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    presented_rev bigint NOT NULL,
    presented_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO sync.clock (identity) VALUES (sync.identity());
"""


_MORE_KEYS = """
ALTER TABLE sync.feed
    ADD COLUMN k4 integer, ADD COLUMN k5 integer, ADD COLUMN k6 integer;
"""

_STEPS = (_FIRST, _MORE_KEYS)

_VERSION = """
CREATE TABLE IF NOT EXISTS sync.schema_version (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    version integer NOT NULL
);
INSERT INTO sync.schema_version (version) VALUES (1) ON CONFLICT DO NOTHING;
"""


def install(conn: psycopg.Connection) -> None:
    """Create the schemas `data` and `sync` in an empty database.

    The caller commits. Not repeatable: a staging database that was begun under
    its temporary name is dropped and begun anew.
    """
    conn.execute(_FIRST)
    _take_steps(conn)


def bring_up_to_date(conn: psycopg.Connection) -> None:
    """Give a database of an older release what this one needs. Safe to repeat.

    A database that is newer than this program stays as it is.
    """
    found = conn.execute("SELECT to_regclass('sync.schema_version')::text").fetchone()
    if found != (None,) and _version(conn) >= len(_STEPS):
        return
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        _take_steps(conn)


def _take_steps(conn: psycopg.Connection) -> None:
    conn.execute(_VERSION)
    for step in _STEPS[_version(conn) :]:
        conn.execute(step)
    conn.execute(
        "UPDATE sync.schema_version SET version = greatest(version, %s)",
        (len(_STEPS),),
    )


def _version(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT version FROM sync.schema_version").fetchone()
    assert row is not None
    version: int = row[0]
    return version
