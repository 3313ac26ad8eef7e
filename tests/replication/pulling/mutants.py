"""Bugs that the machine of pulls must find."""

from __future__ import annotations

from tests.oracle.mutants import Edit, Mutant

_POLLING = "replication.odata.polling"
_CLIENT = "replication.odata.client"


def _mutant(
    name: str, story: str, module: str, old: str, new: str, *more: Edit
) -> Mutant:
    edit = Edit(module=module, old=old, new=new)
    return Mutant(name=name, story=story, edits=(edit, *more))


_GOES_OVER = Edit(
    module="replication.services.pull",
    old="    if page.lists_rows and _is_amid_changes(staged):\n",
    new="    if page.lists_rows and staged.mode is None:\n",
)

MUTANTS = (
    _mutant(
        "place_first",
        "The cursor is saved before the page: a crash in between loses the page.",
        "replication.services.commit",
        "    with conn.transaction():\n        registry.hold_fence(\n",
        "    registry.store_cursor(conn, source.definition.name, following(page))\n"
        "    with conn.transaction():\n        registry.hold_fence(\n",
    ),
    _mutant(
        "watermark_of_the_end",
        "A scan leaves the newest time of its end: edits behind it are never polled.",
        _POLLING,
        '        ended = Place(kind="poll", high=place.high) if self._found.column'
        " else None\n",
        "        ended = None\n"
        "        if self._found.column:\n"
        "            column = table.column(self._found.column)\n"
        "            high = probing.newest(self._client, table, column)\n"
        '            ended = Place(kind="poll", high=high)\n',
    ),
    _mutant(
        "no_overlap",
        "A poll asks for what is newer than the watermark: edits of the same second"
        " are lost.",
        _POLLING,
        '        return f"{name} ge {modes.low_end(column, place.high)}"\n',
        '        return f"{name} gt {place.high}"\n',
    ),
    _mutant(
        "pages_by_time_alone",
        "A page begins after the last time, not after the last row: rows of one time"
        " that fill more than a page are lost.",
        _POLLING,
        "        return after(order, place.after)\n",
        "        return after(order[:1], place.after[:1])\n",
    ),
    _mutant(
        "no_unstamped_rows",
        "Rows without a time are never polled.",
        _POLLING,
        "        if column.required:\n",
        "        if column:\n",
    ),
    _mutant(
        "keys_only",
        "A key scan looks for keys and not at versions: lost edits stay lost.",
        "replication.staging.differences",
        '            " JOIN {relation} t ON t.{row_id} = i.row_id AND t.{version} ='
        ' i.version"\n',
        '            " JOIN {relation} t ON t.{row_id} = i.row_id"\n',
    ),
    _mutant(
        "silent_expiry",
        "A full answer is taken for a delta: rows that are gone stay.",
        _CLIENT,
        '        if cursor.kind == "delta" and decoded.denies_delta:\n',
        '        if cursor.kind == "none" and decoded.denies_delta:\n',
        _GOES_OVER,
    ),
    Mutant(
        name="silent_expiry_between_pages",
        story="The same, where a run of changes goes over to all rows.",
        edits=(_GOES_OVER,),
    ),
    _mutant(
        "undeclared_columns",
        "What a delta does not repeat of columns that nobody declared is lost.",
        "replication.odata.decoding",
        "            self._gathers or not self._whole <= members.keys()\n",
        "            not self._whole <= members.keys()\n",
    ),
    _mutant(
        "partial_rows",
        "What a delta does not repeat is taken for null.",
        _CLIENT,
        '        if self._kind == "dataverse" or decoded.denies_delta:\n',
        "        if self._kind:\n",
    ),
)
