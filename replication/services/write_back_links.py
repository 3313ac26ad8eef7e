"""Which rows an associate or disassociate is about, and whether they are the user's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from uuid import UUID

import psycopg

from replication.domain.mutations import key_text
from replication.domain.writing_back import Settled
from replication.odata.writing import SourceWriter
from replication.services.write_back_plan import LINK_OPS, Edit, is_own
from replication.staging.write_backs import Stored
from replication.visibility.writable import writable

NO_OTHER = Settled(
    status="rejected",
    reason="not_found",
    message="The user has no such row to associate with.",
)


def with_table(
    conn: psycopg.Connection,
    stored: Stored,
    *,
    names: Collection[str],
    created: Mapping[str, str],
) -> Stored:
    """Add the table of the row to an edit that only names its relationship and keys.

    It is the one in which the user has a row with this key. `created`: tables by key
    of rows that edits before it create.
    """
    key = stored.row_key
    if stored.op not in LINK_OPS or stored.table is not None or key is None:
        return stored
    if key in created:
        return replace(stored, table=created[key])
    found = writable(conn, stored.user_id, {(name, key) for name in names}).rows
    # Rows of several tables may share a key; what the user sees is what he means.
    places = sorted(found, key=lambda place: (not found[place].is_visible, place))
    return replace(stored, table=places[0][0]) if places else stored


def refusal_of_other(
    writer: SourceWriter,
    conn: psycopg.Connection,
    edit: Edit,
    versions: Mapping[tuple[str, str], tuple[str, UUID]],
) -> Settled | None:
    """Why the user may not associate with that row; None if he may, for all we know.

    :raises SyncError: the source cannot be asked what the relationship leads to.
    """
    if edit.stored.op != "associate" or edit.table is None:
        return None
    name = writer.other_table(edit.table, edit.body.relationship or "")
    key = key_text(edit.other_key)
    if name is None or key is None:
        # The source has no such relationship, which is found out when it is sent.
        return None
    rights = writable(conn, edit.stored.user_id, {(name, key)})
    staged = rights.row((name, key))
    own = versions.get((name, key))
    if rights.table(name) is None or not (
        staged.is_visible or is_own(edit.stored.user_id, staged, own)
    ):
        return NO_OTHER
    return None
