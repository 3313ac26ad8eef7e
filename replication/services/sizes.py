"""Ask the source how many rows it has of a table that was pulled."""

from __future__ import annotations

import psycopg

from project.errors import TransientError
from provisioning.services import budgets
from provisioning.services.leases import Lease
from replication.odata.client import ODataSource
from replication.staging import registry


def ask(conn: psycopg.Connection, source: ODataSource, held: Lease) -> None:
    """Write the number down for operators; it is never worth a failure."""
    staged = registry.table(conn, held.table)
    if staged is None:
        return
    try:
        rows = source.row_count(staged.definition)
    except TransientError:
        # The pull itself succeeded; an hour later the source may have time.
        rows = None
    budgets.note_source_rows(held.work_item_id, rows)
