"""For each seeded bug a short history after which staging would not be the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.oracle.workers import Death
from tests.replication.pulling import values
from tests.replication.pulling.stage import AT_ONCE, ONE_DAY, TABLES, Stage

# More than the overlap of two polls.
A_WHILE = 700
OLD = "2025-12-31T00:00:00Z"


def dies_in_a_page(stage: Stage) -> None:
    """The first statement of a page's transaction is never sent."""
    for number in range(4):
        stage.played.put("Products", ID=number, Name="a")
    stage.pull("products_tracked")
    for at in range(1, 40):
        stage.played.put("Products", ID=1, Name=f"edit {at}")
        stage.pull("products_tracked", interruption=Death(at))
        _check(stage, "products_tracked")


def edits_behind_a_scan(stage: Stage) -> None:
    """While a scan is under way, a row that it has passed is edited, and much later
    one that it has yet to reach."""
    _known(stage, "products")

    def happens() -> None:
        stage.played.put("Products", ID=0, Name="behind")
        stage.played.pass_time(A_WHILE)
        stage.played.put("Products", ID=5, Name="newest")

    stage.played.plan(3, happens)
    stage.pull("products", page_size=2, reconcile_every=AT_ONCE)
    _check_polled(stage, "products")


def edits_within_a_second(stage: Stage) -> None:
    """A row is edited in the second of the watermark, after it was read."""
    _known(stage, "products")
    stage.played.put("Products", ID=2, Name="b")
    _check_polled(stage, "products")


def shares_a_time_with_many(stage: Stage) -> None:
    """More rows than a page holds bear one time, and the last of them is edited."""
    _known(stage, "products")
    stage.played.put("Products", ID=5, Name="b")
    _check_polled(stage, "products")


def loses_its_time(stage: Stage) -> None:
    """A writer of its own leaves a row without a time."""
    _known(stage, "products")
    stage.played.put("Products", ID=5, Name="b", ModifiedAt=None, keeps_time=True)
    _check_polled(stage, "products")


def is_edited_under_an_old_time(stage: Stage) -> None:
    """No poll can see it: the next comparison of keys and versions has to."""
    _known(stage, "products")
    stage.played.put("Products", ID=5, Name="b", ModifiedAt=OLD, keeps_time=True)
    stage.settle("products", reconcile_every=ONE_DAY)
    stage.settle("products", reconcile_every=AT_ONCE)
    stage.check(TABLES["products"])


def expires_silently(stage: Stage) -> None:
    """A row is gone, and the service answers an old link with all rows there are."""
    _known(stage, "products_tracked")
    stage.played.delete("Products", ID=3)
    stage.played.expiry = "silent"
    stage.played.expire_tokens()
    _check(stage, "products_tracked")


def expires_silently_between_pages(stage: Stage) -> None:
    """The same, when a delta has been read in part."""
    _known(stage, "products_tracked")
    for number in range(5):
        stage.played.put("Products", ID=number, Name="b")
    stage.played.delete("Products", ID=5)
    stage.played.expiry = "silent"
    stage.played.plan(1, stage.played.expire_tokens)
    stage.pull("products_tracked", page_size=3)
    _check(stage, "products_tracked")


def repeats_what_changed_only(stage: Stage) -> None:
    """A delta brings a row without the columns that did not change."""
    _known(stage, "products_tracked")
    for name in ("b", "c"):
        stage.played.put("Products", ID=1, Condition="Used")
        stage.played.put("Products", ID=2, Name=name)
        _check(stage, "products_tracked")


def repeats_no_undeclared_column(stage: Stage) -> None:
    """The same where nobody can say which columns a row might have."""
    key = values.key("Notes", 0)
    for _ in range(2):
        stage.played.put("Notes", **key, Text="a", more=1)
        stage.settle("notes_tracked", reconcile_every=ONE_DAY)
        stage.played.put("Notes", **key, Text="b")
        _check(stage, "notes_tracked")


SITUATIONS: Mapping[str, Callable[[Stage], None]] = {
    "place_first": dies_in_a_page,
    "watermark_of_the_end": edits_behind_a_scan,
    "no_overlap": edits_within_a_second,
    "pages_by_time_alone": shares_a_time_with_many,
    "no_unstamped_rows": loses_its_time,
    "keys_only": is_edited_under_an_old_time,
    "silent_expiry": expires_silently,
    "partial_rows": repeats_what_changed_only,
    "silent_expiry_between_pages": expires_silently_between_pages,
    "undeclared_columns": repeats_no_undeclared_column,
}


def _known(stage: Stage, table: str) -> None:
    """Six rows of one second are loaded, and compared with the source once."""
    for number in range(6):
        stage.played.put("Products", ID=number, Name="a", Condition="New")
    stage.settle(table, reconcile_every=ONE_DAY)


def _check(stage: Stage, table: str) -> None:
    stage.settle(table, reconcile_every=ONE_DAY)
    stage.check(TABLES[table])


def _check_polled(stage: Stage, table: str) -> None:
    stage.settle(table, reconcile_every=ONE_DAY)
    stage.check_polled(TABLES[table], [])
