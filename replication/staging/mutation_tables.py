"""Where staging keeps the edits of devices; a step of `install`.

It is released, and so never edited.
"""

from __future__ import annotations

TABLES = """
-- Edits made on devices, and what became of them (PROTOCOL §7). Each is here before the
-- device is told that it was accepted.
CREATE TABLE sync.mutation (
    device_id uuid NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    id uuid NOT NULL,
    -- The clock's epoch at acceptance.
    epoch uuid NOT NULL,
    -- Who made it, as known at acceptance.
    user_id uuid NOT NULL,
    object_id uuid,
    user_name text NOT NULL,
    token_id text,
    op text NOT NULL CHECK (op IN (
        'create', 'update', 'delete', 'associate', 'disassociate', 'void', 'file'
    )),
    "table" text,
    -- The key's values as the device sent them, and its canonical text: equal for
    -- equal rows.
    key jsonb,
    row_key text,
    group_id uuid,
    base_version text,
    -- The mutation as canonical JSON without id and sequence, and its SHA-256.
    body bytea NOT NULL,
    body_hash bytea NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'accepted' CHECK (status IN (
        'accepted', 'applied', 'conflict', 'rejected', 'parked'
    )),
    outcome jsonb,
    -- The rev that the present status took of the clock, when it was recorded.
    outcome_rev bigint,
    decided_at timestamptz,
    delivered_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    -- An attempt was begun then whose result is not known yet.
    sent_at timestamptz,
    next_try_at timestamptz,
    last_error text,
    -- The row's version after it was applied.
    source_version text,
    PRIMARY KEY (device_id, sequence),
    UNIQUE (device_id, id),
    CHECK (status = 'accepted' OR outcome_rev IS NOT NULL)
);
CREATE INDEX mutation_accepted ON sync.mutation (device_id, sequence)
    WHERE status = 'accepted';
CREATE INDEX mutation_outcome ON sync.mutation (device_id, outcome_rev);
-- Few at any time, however many a device has sent.
CREATE INDEX mutation_undelivered ON sync.mutation (device_id, outcome_rev)
    WHERE delivered_at IS NULL AND outcome_rev IS NOT NULL;

ALTER TABLE sync.device
    -- A device may upload before it has presented a checkpoint.
    ALTER COLUMN presented_rev SET DEFAULT 0,
    ADD COLUMN next_sequence bigint NOT NULL DEFAULT 1,
    -- The epoch in which that sequence was given; in another one any may come first.
    ADD COLUMN sequence_epoch uuid;
"""
