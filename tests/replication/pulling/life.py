"""Random lives of a source without change tracking, or with it, and of its pulls."""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.oracle.workers import Death, Takeover
from tests.replication.pulling.played import EXPIRIES
from tests.replication.pulling.stage import AT_ONCE, LONG, ONE_DAY, TABLES, Stage

NUMBERS = st.integers(0, 7)
SIZES = st.sampled_from((1, 2, 3, 50))
# Statements before which a worker may die or be overtaken; a page takes about 12.
PLACES = st.integers(1, 40)
_TEXTS = st.sampled_from(
    ("", "a", "it's", "\t\\N\n", "😀", "ß é", "a\0b", "null", "x" * 1_000_000)
)
_EXACT = st.sampled_from(
    ("9" * 38, "-" + "9" * 38, "0." + "0" * 37 + "1", "0", "1.50", "-0.1", "1e3")
)
_SAMPLE = st.fixed_dictionaries(
    {},
    optional={
        "Text": st.none() | _TEXTS,
        "Exact": st.none() | _EXACT,
        "Whole": st.sampled_from((None, 2**63 - 1, -(2**63), 0)),
        "Small": st.sampled_from((None, 2**31 - 1, -(2**31))),
        "Real": st.sampled_from(
            (None, 1.7976931348623157e308, 5e-324, 0.1, "INF", "-INF", "NaN")
        ),
        "Truth": st.sampled_from((None, True, False)),
        "Day": st.sampled_from((None, "0001-01-01", "9999-12-31", "2024-02-29")),
        "Moment": st.sampled_from(
            (
                None,
                "0001-01-01T00:00:00Z",
                "9999-12-31T23:59:59.999999Z",
                "2026-03-29T02:30:00.5+02:00",
            )
        ),
        "Hour": st.sampled_from((None, "00:00:00", "23:59:59.9999999")),
        "Span": st.sampled_from((None, "PT0S", "-P10675199DT2H48M5.4775808S")),
        "Bytes": st.sampled_from((None, "", "AAEC_-8=")),
        "Guid": st.sampled_from((None, "2E451703-C686-E711-80E5-00155DB19E6D")),
        "Words": st.sampled_from(([], ["a", "", "😀"])),
    },
)
_NAMES = st.sampled_from(("a", "b", "", None))
_STAMPS = {
    "Products": "ModifiedAt",
    "Customers": "LastUpdated",
    "People": "ModifiedOn",
    "Samples": "UpdatedAt",
}
# Not in every set may a row be without a time.
_NULLABLE = frozenset({"Products", "Samples"})


def _key(entity_set: str, number: int) -> dict[str, Any]:
    guid = f"2e451703-c686-e711-80e5-00155db19e{number:02x}"
    keys: dict[str, dict[str, Any]] = {
        "Products": {"ID": number},
        "Customers": {"Code": "aA'b c,%"[number] + str(number)},
        "OrderLines": {"Order": number // 3, "Line": "ab'"[number % 3]},
        "People": {"Id": guid},
        "Notes": {"Id": guid.upper()},
        "Samples": {"ID": (-1) ** number * (2**62 + number)},
    }
    return keys[entity_set]


@st.composite
def _values(draw: st.DrawFn, entity_set: str) -> dict[str, Any]:
    if entity_set == "Samples":
        return draw(_SAMPLE)
    if entity_set == "OrderLines":
        return {"Amount": draw(_EXACT), "ProductID": draw(st.integers(0, 3))}
    if entity_set == "Notes":
        more = draw(st.dictionaries(st.sampled_from(("X", "y z", "ü")), NUMBERS))
        return {"Text": draw(_NAMES), **more}
    if entity_set == "Products":
        city = {"Street": None, "City": draw(_NAMES)}
        return {"Name": draw(_NAMES), "MadeAt": city, "Condition": "New"}
    if entity_set == "People" and draw(st.booleans()):
        return {"@odata.type": "#Example.Shop.Employee", "Salary": "1.5"}
    return {"Name": draw(_NAMES)}


class Life(RuleBasedStateMachine):
    """A life of one table; most pulls are disturbed."""

    stage: ClassVar[Stage]

    @initialize(table=st.sampled_from(sorted(TABLES)), data=st.data())
    def begin(self, table: str, data: st.DataObject) -> None:
        self.stage.begin()
        self.played = self.stage.played
        self.table = table
        self.set = TABLES[table].entity_set
        self.is_quiet = False
        # Rows that were edited in ways that no poll can see.
        self.hidden: set[int] = set()
        for number in range(data.draw(NUMBERS)):
            self._put(number, data.draw(_values(self.set)))

    def _put(self, number: int, values: dict[str, Any], **options: Any) -> None:
        self.hidden.discard(number)
        self.played.put(self.set, **options, **_key(self.set, number), **values)

    @rule(number=NUMBERS, data=st.data())
    def edit(self, number: int, data: st.DataObject) -> None:
        self._put(number, data.draw(_values(self.set)))

    @rule(number=NUMBERS)
    def delete(self, number: int) -> None:
        self.played.delete(self.set, **_key(self.set, number))

    @rule(number=NUMBERS, data=st.data())
    def recreate(self, number: int, data: st.DataObject) -> None:
        self.played.delete(self.set, **_key(self.set, number))
        self._put(number, data.draw(_values(self.set)))

    @precondition(lambda self: self.set in _STAMPS)
    @rule(
        number=NUMBERS,
        data=st.data(),
        stamp=st.sampled_from(
            (
                None,
                "2025-12-31T00:00:00Z",
                "2026-01-01T11:58:00.5Z",
                "2099-01-01T00:00:00Z",
            )
        ),
    )
    def edit_behind_the_service(
        self, number: int, data: st.DataObject, stamp: str | None
    ) -> None:
        """With a time of its own, or none."""
        if stamp is None and self.set not in _NULLABLE:
            stamp = "2025-12-31T00:00:00Z"
        values = data.draw(_values(self.set)) | {_STAMPS[self.set]: stamp}
        self._put(number, values, keeps_time=True)
        if stamp is not None:
            self.hidden.add(number)

    @rule(seconds=st.sampled_from((1, 60, 700, 100_000)))
    def pass_time(self, seconds: int) -> None:
        self.played.pass_time(seconds)

    @rule(expiry=st.sampled_from(EXPIRIES))
    def expire_tokens(self, expiry: str) -> None:
        self.played.expiry = expiry
        self.played.expire_tokens()

    @rule(fault=st.sampled_from(("lost", "twice")))
    def spoil_an_answer(self, fault: str) -> None:
        self.played.faults.append(fault)

    @rule(
        request=st.integers(0, 8),
        number=NUMBERS,
        data=st.data(),
        kind=st.sampled_from(("edit", "delete")),
    )
    def edit_between_pages(
        self, request: int, number: int, data: st.DataObject, kind: str
    ) -> None:
        values = data.draw(_values(self.set))
        happens = (
            (lambda: self._put(number, values))
            if kind == "edit"
            else (lambda: self.delete(number))
        )
        self.played.meanwhile = (request, happens)

    @rule(size=SIZES, slices=st.booleans(), resyncs=st.integers(0, 9))
    def pull(self, size: int, *, slices: bool, resyncs: int) -> None:
        self.stage.pull(
            self.table,
            page_size=size,
            time_slice=AT_ONCE if slices else LONG,
            wants_resync=resyncs == 0,
        )

    @rule(size=SIZES, at=PLACES, reconciles=st.booleans())
    def pull_and_die(self, size: int, at: int, *, reconciles: bool) -> None:
        self.stage.pull(
            self.table,
            page_size=size,
            interruption=Death(at),
            reconcile_every=AT_ONCE if reconciles else ONE_DAY,
        )

    @rule(size=SIZES, at=PLACES)
    def pull_and_be_overtaken(self, size: int, at: int) -> None:
        """The lease has expired, and another worker has it."""

        def overtake() -> None:
            self.stage.pull(self.table, worker="other")

        self.stage.pull(self.table, page_size=size, interruption=Takeover(at, overtake))

    @rule()
    def be_quiet(self) -> None:
        self.is_quiet = True

    @invariant()
    def staging_is_the_source_when_all_is_quiet(self) -> None:
        if getattr(self, "is_quiet", False):
            self.is_quiet = False
            self._settle()

    def teardown(self) -> None:
        if hasattr(self, "table"):
            self._settle()

    def _settle(self) -> None:
        definition = TABLES[self.table]
        self.stage.settle(self.table, reconcile_every=ONE_DAY)
        if self.stage.staged(self.table).mode == "watermark":
            hidden = [_key(self.set, number) for number in self.hidden]
            self.stage.check_polled(definition, hidden)
        self.stage.settle(self.table, reconcile_every=AT_ONCE)
        self.stage.check(definition)
