"""Pulls of several pages, in every mode, during which a worker may be killed.

What the source does is told by functions, so that two processes can play it alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tests.replication.pulling import values
from tests.replication.pulling.played import Played
from tests.replication.pulling.stage import AT_ONCE, ONE_DAY, TABLES

Plays = Callable[[Played, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbed:
    """Rows come, are pulled as `is_known` says, and change; then comes the pull."""

    name: str
    table: str
    changes: Plays
    is_known: bool = True
    reconcile_every: timedelta = ONE_DAY

    @property
    def entity_set(self) -> str:
        return TABLES[self.table].entity_set

    def grow(self, played: Played) -> None:
        for number in range(8):
            _put(played, self.entity_set, number, "a")

    def change(self, played: Played) -> None:
        self.changes(played, self.entity_set)


def _nothing(played: Played, entity_set: str) -> None:
    """A first load needs no changes."""


def _edits(played: Played, entity_set: str) -> None:
    """Rows are edited, deleted, made again, made and deleted, and made."""
    for number in (0, 1, 2, 3):
        _put(played, entity_set, number, "b")
    for number in (4, 5):
        played.delete(entity_set, **values.key(entity_set, number))
    _put(played, entity_set, 5, "made again")
    _put(played, entity_set, 9, "brief")
    played.delete(entity_set, **values.key(entity_set, 9))
    _put(played, entity_set, 8, "new")


def _unstamped(played: Played, entity_set: str) -> None:
    _edits(played, entity_set)
    for number in (6, 7):
        stamp = {values.STAMPS[entity_set]: None}
        _put(played, entity_set, number, "unseen", keeps_time=True, **stamp)


def _expired(variant: str, *, at: int) -> Plays:
    def changes(played: Played, entity_set: str) -> None:
        _edits(played, entity_set)
        played.expiry = variant
        played.plan(at, played.expire_tokens)

    return changes


def _out_of_order(played: Played, entity_set: str) -> None:
    """A poll's rows do not come in its order: the table has to be compared."""
    _edits(played, entity_set)
    for number in (0, 2):
        played.pass_time(1)
        _put(played, entity_set, number, "later")
    for request in range(4):
        played.plan_fault(request, "rows reordered")


PULLS = {
    pull.name: pull
    for pull in (
        Disturbed(name="delta", table="products_tracked", changes=_edits),
        Disturbed(
            name="first_load",
            table="products_tracked",
            changes=_nothing,
            is_known=False,
        ),
        *(
            Disturbed(
                name=f"expired_{variant}_{at}",
                table="products_tracked",
                changes=_expired(variant, at=at),
            )
            for variant in ("gone", "refused", "silent")
            for at in (0, 1)
        ),
        Disturbed(name="open_type", table="notes_tracked", changes=_edits),
        Disturbed(name="watermark", table="products", changes=_unstamped),
        Disturbed(
            name="watermark_first_load",
            table="products",
            changes=_nothing,
            is_known=False,
        ),
        Disturbed(
            name="reconciliation",
            table="products",
            changes=_unstamped,
            reconcile_every=AT_ONCE,
        ),
        Disturbed(name="out_of_order", table="products", changes=_out_of_order),
        Disturbed(name="by_links", table="people", changes=_edits),
        Disturbed(name="compare", table="orderlines", changes=_edits),
        Disturbed(name="compare_by_links", table="notes", changes=_edits),
    )
}


def _put(
    played: Played, entity_set: str, number: int, text: str, **options: object
) -> None:
    """`options`: `keeps_time`, and further columns."""
    column = {"OrderLines": "ProductID", "Notes": "Text"}.get(entity_set, "Name")
    value = len(text) if column == "ProductID" else text
    key = values.key(entity_set, number)
    played.put(entity_set, **key, **{column: value}, **options)  # type: ignore[arg-type]
