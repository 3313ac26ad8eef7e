"""The machinery that every staging database is created with."""

from __future__ import annotations

import psycopg

from replication.staging.mutation_tables import TABLES as _MUTATIONS
from replication.staging.parts import TABLES as _PARTS
from replication.staging.write_back_tables import TABLES as _WRITE_BACKS

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

_SEGMENTS = """
-- Rows of sets that many devices download, serialised and compressed once (FEED §6).
CREATE TABLE sync.segment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL,
    -- Which columns, and how they are written.
    layout text NOT NULL,
    columns jsonb NOT NULL,
    grants_id text NOT NULL,
    grants jsonb NOT NULL,
    epoch uuid NOT NULL,
    -- The clock's rev in the snapshot that the rows are from.
    sigma bigint NOT NULL,
    row_count bigint NOT NULL,
    byte_count bigint NOT NULL,
    built_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON sync.segment (source_id, layout);

-- The blocks of a segment divide all row ids between them; `up_to` is the last id of
-- a block's range, and the highest of all ids in the last block.
CREATE TABLE sync.segment_block (
    segment_id bigint NOT NULL,
    up_to uuid NOT NULL,
    first_row uuid,
    row_count integer NOT NULL,
    byte_count integer NOT NULL,
    frame bytea NOT NULL,
    -- For each row its id, and where its text ends.
    row_ids bytea NOT NULL,
    row_ends bytea NOT NULL,
    PRIMARY KEY (segment_id, up_to)
);
ALTER TABLE sync.segment_block
    ALTER COLUMN frame SET STORAGE EXTERNAL,
    ALTER COLUMN row_ids SET STORAGE EXTERNAL;

-- Which devices have begun to download which large sets.
CREATE TABLE sync.segment_demand (
    source_id integer NOT NULL,
    layout text NOT NULL,
    grants_id text NOT NULL,
    device_id uuid NOT NULL,
    columns jsonb NOT NULL,
    grants jsonb NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, layout, grants_id, device_id)
);
"""

_RULES = """
ALTER TABLE sync.rule
    -- What the rule hands out (domain.choices.RuleSpec), and for which profile items.
    ADD COLUMN spec text,
    ADD COLUMN slots text[] NOT NULL DEFAULT '{}',
    -- The moment at which its moving windows were looked at, and the next one.
    ADD COLUMN as_of timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN next_tick timestamptz,
    -- How far a rule has come that is being brought up to date row by row.
    ADD COLUMN stale_after uuid,
    ADD COLUMN stale_marks bigint NOT NULL DEFAULT 0;
UPDATE sync.rule SET spec = CASE shape WHEN 'base' THEN '{"shape":"base"}'
    ELSE '{"shape":"deep","opens":["ancestors"]}' END,
    stale_after = CASE shape
        WHEN 'deep' THEN '00000000-0000-0000-0000-000000000000'::uuid END;
ALTER TABLE sync.rule ALTER COLUMN spec SET NOT NULL;
DROP INDEX sync.one_living_rule_per_shape;
CREATE UNIQUE INDEX one_living_rule_per_spec ON sync.rule (source_id, md5(spec))
    WHERE state <> 'retired';

-- The profiles by which users are served; NULL before the first.
ALTER TABLE sync.policy ADD COLUMN effective jsonb;
UPDATE sync.policy SET effective = body;

-- Users with their superiors, and teams with those of their members.
CREATE TABLE sync.superior (
    principal integer NOT NULL,
    superior integer NOT NULL,
    PRIMARY KEY (principal, superior)
);

-- Stands for "no value" where a grant has to name that.
INSERT INTO sync.key_value (value) VALUES ('00000000-0000-0000-0000-000000000000')
    ON CONFLICT DO NOTHING;
"""

_SCHEMA_CHANGES = """
ALTER TABLE sync.source
    -- How the table will be once the rows are loaded in that form, and by which way
    -- they come (domain.schema_changes).
    ADD COLUMN coming jsonb,
    ADD COLUMN coming_way text CHECK (coming_way IN ('fill', 'replace')),
    -- Rises with every change of the two definitions; pages are fenced by it.
    ADD COLUMN definition_rev bigint NOT NULL DEFAULT 1,
    -- The source's metadata did not name the table when it was read then.
    ADD COLUMN missing_since timestamptz,
    -- It was gone for good: its rows were taken from devices.
    ADD COLUMN withdrawn_at timestamptz,
    ADD CHECK ((coming IS NULL) = (coming_way IS NULL));

-- Columns and relations that nothing serves any more, until they are dropped.
CREATE TABLE sync.retired_column (
    source_id integer NOT NULL,
    column_name text NOT NULL,
    type text NOT NULL,
    retired_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, column_name)
);
CREATE TABLE sync.retired_relation (
    relation text PRIMARY KEY,
    retired_at timestamptz NOT NULL DEFAULT now()
);

-- The source's metadata as it was last read, so that reading it again can be spared.
CREATE TABLE sync.metadata (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    stamp text,
    read_at timestamptz NOT NULL DEFAULT now()
);
"""

_MODES = """
ALTER TABLE sync.source
    -- How changes are found; NULL until the source was asked.
    ADD COLUMN mode text CHECK (mode IN ('delta', 'watermark', 'compare')),
    -- The column that says when a row was changed, and the highest value read of it.
    ADD COLUMN watermark_column text,
    ADD COLUMN watermark text,
    -- When keys were last compared with the source's, beside polls.
    ADD COLUMN reconciled_at timestamptz,
    ADD CHECK ((mode IS NOT DISTINCT FROM 'watermark')
        = (watermark_column IS NOT NULL));
"""

_FAILED_RULES = """
-- Rules that could not be built: left out for a while, and shown to operators.
CREATE TABLE sync.failed_rule (
    source_id integer NOT NULL,
    spec text NOT NULL,
    reason text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);
"""

_SIGNED_IN = """
-- Users of a source that has none of its own: who signed in with a token, and of its
-- claims those that published profiles name. No token is kept.
CREATE TABLE sync.token_user (
    id uuid PRIMARY KEY,
    issuer text NOT NULL,
    subject text NOT NULL,
    name text NOT NULL,
    -- `iat` of the newest token; older ones change nothing.
    issued_at bigint NOT NULL,
    claims jsonb NOT NULL DEFAULT '{}',
    is_blocked boolean NOT NULL DEFAULT false,
    first_seen date NOT NULL,
    last_seen date NOT NULL,
    UNIQUE (issuer, subject)
);
"""

STEPS = (
    _FIRST,
    _MORE_KEYS,
    _SEGMENTS,
    _RULES,
    _SCHEMA_CHANGES,
    _MODES,
    _FAILED_RULES,
    _SIGNED_IN,
    _PARTS,
    _MUTATIONS,
    _WRITE_BACKS,
)

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
    if found != (None,) and _version(conn) >= len(STEPS):
        return
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        _take_steps(conn)


def _take_steps(conn: psycopg.Connection) -> None:
    conn.execute(_VERSION)
    for step in STEPS[_version(conn) :]:
        conn.execute(step)
    conn.execute(
        "UPDATE sync.schema_version SET version = greatest(version, %s)",
        (len(STEPS),),
    )


def _version(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT version FROM sync.schema_version").fetchone()
    assert row is not None
    version: int = row[0]
    return version
