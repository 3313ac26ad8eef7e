"""Bugs that the machine of uploads must find."""

from __future__ import annotations

from tests.oracle.mutants import Edit, Mutant

_UNIT = "replication.services.write_back_unit"
_RECORDING = "replication.services.write_back_recording"

MUTANTS = (
    Mutant(
        name="blind_retry",
        story="After a time-out an edit is sent again, and nobody asks what became of it.",
        edits=(
            Edit(
                module=_UNIT,
                old="        if any(edit.stored.sent_at is not None for edit in"
                " self._edits):\n",
                new="        if not self._edits:\n",
            ),
            Edit(
                module=_UNIT,
                old="            marker=self._marker() if self.is_marked else None,\n",
                new="            marker=None,\n",
            ),
        ),
    ),
    Mutant(
        name="no_if_match",
        story="An update is sent without the version that it was decided on.",
        edits=(
            Edit(
                module="replication.odata.write_requests",
                old='{"If-Match": _etag(write.if_match or "*")}',
                new='{"If-Match": "*"}',
            ),
        ),
    ),
    Mutant(
        name="outcome_before_row",
        story="An outcome is committed before its row: a device that hears of it between"
        " the two lets go of an edit whose effect it does not have.",
        edits=(
            Edit(
                module=_RECORDING,
                old="        with self._conn.transaction():\n"
                "            write_backs.hold_fence(self._conn, epoch=self._epoch)\n",
                new="        with self._conn.transaction():\n"
                "            early = clock.lock(self._conn)\n"
                "            self._settle(drafts, reads, early)\n"
                "            clock.store(self._conn, early)\n"
                "        with self._conn.transaction():\n"
                "            write_backs.hold_fence(self._conn, epoch=self._epoch)\n",
            ),
        ),
    ),
    Mutant(
        name="sequence_gap",
        story="A request is taken whose first sequence is not the next one.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.domain.mutations",
                old="    if mutation.sequence != expected:\n        raise SequenceError"
                "(number, expected=expected)\n\n",
                new="    if mutation.sequence < expected:\n        raise SequenceError"
                "(number, expected=expected)\n\n",
            ),
        ),
    ),
    Mutant(
        name="through_too_early",
        story="`through_mutation` counts edits that still wait for the source.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.staging.mutations",
                old="        \" AND m.status = 'accepted' ORDER BY m.sequence"
                ' LIMIT 1),"\n',
                new="        \" AND m.status = 'sent' ORDER BY m.sequence LIMIT 1),\"\n",
            ),
        ),
    ),
    Mutant(
        name="older_version",
        story="A row that was read before a page was committed overwrites the page's.",
        edits=(
            Edit(
                module=_RECORDING,
                old="                and all(pages.get(name) == now[name] for pages in"
                " read.pages)\n",
                new="",
            ),
            Edit(
                module="replication.staging.merge",
                old='    return sql.SQL(">" if orders else "IS DISTINCT FROM")\n',
                new='    return sql.SQL("IS DISTINCT FROM")\n',
            ),
        ),
    ),
    Mutant(
        name="own_conflict",
        story="What a device has changed itself counts as changed by somebody else.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.domain.writing_back",
                old="    return version in {base_version, own_version} - {None}\n",
                new="    return version == base_version\n",
            ),
        ),
    ),
    Mutant(
        name="masked_columns",
        story="The row that an impersonated write returns is merged into staging.",
        edits=(
            Edit(
                module="replication.odata.writing",
                old="        wants_row = not self._is_dataverse and write.op in"
                ' {"create", "update"}\n',
                new='        wants_row = write.op in {"create", "update"}\n',
            ),
            Edit(
                module=_UNIT,
                old="        answers = not self._writer.impersonates\n",
                new="        answers = True\n",
            ),
        ),
    ),
)
