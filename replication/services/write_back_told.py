"""Whom else write-back tells what became of edits: the audit, and the source itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db import OperationalError

from project.errors import SyncError
from provisioning.models import AuditEntry, Organization
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.client import ODataSource
from replication.odata.write_errors import WriteRefusedError
from replication.odata.writing import Write
from replication.services.write_back_run import Draft

logger = logging.getLogger(__name__)

# `syncerror.errortype` (SOURCE §5.5).
_CONFLICT, _NOT_FOUND, _EXISTS, _OTHER = 0, 1, 2, 3
_TYPES = {"not_found": _NOT_FOUND, "exists": _EXISTS}


def _text(name: str) -> ColumnDef:
    return ColumnDef(name=name, type=ColumnType.STRING, source_name=name)


SYNC_ERROR = TableDef(
    name="syncerror",
    entity_set="syncerrors",
    key=("syncerrorid",),
    columns=(
        ColumnDef(name="syncerrorid", type=ColumnType.GUID, source_name="syncerrorid"),
        *map(
            _text,
            (
                "name",
                "action",
                "errormessage",
                "errordetail",
                "requestdata",
                "regardingobjecttypecode",
            ),
        ),
        ColumnDef(name="errortype", type=ColumnType.INT, source_name="errortype"),
        ColumnDef(name="errortime", type=ColumnType.DATETIME, source_name="errortime"),
    ),
)


class Told:
    """Tells of the drafts of one run. Nothing that fails here changes an outcome."""

    def __init__(self, organization: Organization, source: ODataSource) -> None:
        self._organization = organization
        self._source = source
        self._writer = source.writer()
        # False once the source refused: it has no such table, or nobody may write it.
        self._takes_errors = self._writer.impersonates

    def before(self, drafts: Sequence[Draft]) -> None:
        """Note in whose name something was done that the source does not know.

        Before the outcome is recorded, so that none is missing after a crash; then an
        entry may stand twice, with the same mutation.
        """
        if self._writer.impersonates:
            return
        entries = [self._entry(draft) for draft in drafts if draft.was_sent]
        try:
            AuditEntry.objects.bulk_create(entries)
        except OperationalError:
            logger.warning("Audit not written", extra={"count": len(entries)})

    def _entry(self, draft: Draft) -> AuditEntry:
        stored = draft.edit.stored
        return AuditEntry(
            actor=stored.user_name[:200],
            verb="write back",
            organization=self._organization,
            detail={
                "mutation": str(stored.id),
                "device": str(draft.device_id),
                "sequence": stored.sequence,
                "op": stored.op,
                "table": stored.table,
                "key": stored.row_key,
                "token": stored.token_id,
                "status": draft.settled.status,
            },
        )

    def after(self, drafts: Sequence[Draft]) -> None:
        """Leave a row of `syncerror` at the source for what was not done."""
        for draft in drafts:
            if draft.settled.status in ("conflict", "rejected") and self._takes_errors:
                self._leave_error(draft)

    def _leave_error(self, draft: Draft) -> None:
        stored = draft.edit.stored
        write = Write(
            table=SYNC_ERROR, op="create", key=(str(stored.id),), values=_values(draft)
        )
        try:
            self._writer.send([write], caller=stored.object_id)
        except WriteRefusedError as error:
            # Left before, when it was tried for the first time.
            self._takes_errors = error.reason == "exists"
        except SyncError as error:
            self._takes_errors = False
            logger.info("No syncerror row", extra={"code": error.code})


def _values(draft: Draft) -> dict[str, Any]:
    stored, settled = draft.edit.stored, draft.settled
    message = settled.message or "The row was changed by somebody else."
    is_conflict = settled.status == "conflict"
    return {
        "name": (stored.table or stored.op)[:100],
        "action": stored.op,
        "errortype": _CONFLICT
        if is_conflict
        else _TYPES.get(settled.reason or "", _OTHER),
        "errormessage": message[:1000],
        "regardingobjecttypecode": stored.table,
        "errortime": stored.accepted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        # Names, never values: whoever reads errors may not read the row.
        "requestdata": ", ".join(sorted(draft.edit.values))[:10_000],
        "errordetail": f"Row {stored.row_key}; mutation {stored.id}.",
    }
