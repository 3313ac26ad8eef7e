"""What staging keeps for write-back; a step of `install`.

It is released, and so never edited.
"""

from __future__ import annotations

TABLES = """
-- Who carries edits to the source now.
CREATE TABLE sync.write_back (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    fencing_epoch bigint NOT NULL DEFAULT 0
);
INSERT INTO sync.write_back DEFAULT VALUES;

-- What the attempt that began at `sent_at` is to do: with which guard, which values,
-- and with which outcome. Whoever finds out whether it was done goes by that.
ALTER TABLE sync.mutation
    ADD COLUMN attempt jsonb,
    -- How often an operator had a conflict tried again; each round has its marker.
    ADD COLUMN round integer NOT NULL DEFAULT 0,
    -- An operator wants it written over the row as it is.
    ADD COLUMN is_forced boolean NOT NULL DEFAULT false;
-- Earlier edits of a row.
CREATE INDEX mutation_of_row ON sync.mutation (device_id, row_key, sequence);
"""
