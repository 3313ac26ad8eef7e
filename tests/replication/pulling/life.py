"""Random lives of a source without change tracking, or with it, and of its pulls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from tests.oracle.workers import Death, Takeover
from tests.replication.pulling import values
from tests.replication.pulling.played import EXPIRIES, FAULTS, ORDERS, PAGE_FAULTS
from tests.replication.pulling.stage import AT_ONCE, LONG, ONE_DAY, TABLES, Stage
from tests.replication.pulling.values import NUMBERS, RARE_NUMBERS

# One table a life. Each kind as often as it takes for its faults to be met.
OFTEN = tuple(
    name
    for name in sorted(TABLES)
    for _ in range(
        {
            "notes_tracked": 2,
            "products": 3,
            "products_tracked": 2,
            "samples": 2,
            "samples_tracked": 3,
        }.get(name, 1)
    )
)
SIZES = st.sampled_from((1, 2, 3, 3, 50))
# Statements before which a worker may die or be overtaken; a page takes about 12.
PLACES = st.integers(1, 60)
# Requests before whose answers something may happen. Where changes are not tracked,
# a pull may begin with questions about the mode.
REQUESTS = st.integers(0, 8)
FEW_REQUESTS = st.integers(0, 3)
_OLD = "2025-12-31T00:00:00Z"
# Times that rows get from writers other than the service.
_TIMES = st.sampled_from(
    (None, None, _OLD, _OLD, "2026-01-01T11:58:00.5Z", "2099-01-01T00:00:00Z")
)
# More than the overlap of two polls, or less.
_SECONDS = st.sampled_from((700, 1, 60, 100_000))
_KINDS = st.sampled_from(
    ("edit", "edit", "delete", "make again", "come and go", "behind", "pause")
)

Happens = Callable[[], object]


def _one_by_one(*happenings: Happens) -> Happens:
    def happens() -> None:
        for one in happenings:
            one()

    return happens


class Life(RuleBasedStateMachine):
    """A life of one table; most pulls are disturbed."""

    stage: ClassVar[Stage]

    @initialize(
        table=st.sampled_from(OFTEN),
        order=st.sampled_from(ORDERS),
        rows=st.sampled_from((5, 8, 0, 3, 8)),
        is_known=st.sampled_from((True, True, False)),
        data=st.data(),
    )
    def begin(
        self, table: str, order: str, rows: int, *, is_known: bool, data: st.DataObject
    ) -> None:
        self.stage.begin()
        self.played = self.stage.played
        self.played.order = order
        self.table = table
        self.set = TABLES[table].entity_set
        # Most pages of other tables are cut by ourselves.
        self.faults = st.sampled_from(
            FAULTS if not TABLES[table].tracked else (*FAULTS, *PAGE_FAULTS * 2)
        )
        self.requests = FEW_REQUESTS if TABLES[table].tracked else REQUESTS
        # Rows that were edited in ways that no poll can see.
        self.hidden: set[int] = set()
        for number in range(rows):
            self._put(number, data.draw(values.values(self.set)))
        if is_known:
            # Loaded, and compared with the source once.
            self.stage.settle(self.table, reconcile_every=ONE_DAY)

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, 6))):
            self._event(data)()

    @precondition(lambda self: self.set in values.STAMPS)
    @rule(number=NUMBERS, data=st.data())
    def edit_behind_the_service(self, number: int, data: st.DataObject) -> None:
        self._edit_unseen(data, number)()

    @precondition(lambda self: TABLES[self.table].tracked)
    @rule(
        variant=st.sampled_from((*EXPIRIES, "silent")),
        size=st.integers(1, 2),
        request=st.sampled_from((1, 2, 0, 1)),
        data=st.data(),
    )
    def outlive_a_link(
        self, variant: str, size: int, request: int, data: st.DataObject
    ) -> None:
        """Of what happened last no delta tells any more, or not to its end."""
        for _ in range(data.draw(st.integers(1, 4))):
            self._event(data)()
        self._delete(data.draw(NUMBERS))
        self.played.plan(request, lambda: self._expire(variant))
        self._pull(data, page_size=size)

    @rule(
        size=SIZES,
        slices=st.booleans(),
        resyncs=st.integers(0, 9),
        reconciles=st.booleans(),
        data=st.data(),
    )
    def pull(
        self,
        size: int,
        *,
        slices: bool,
        resyncs: int,
        reconciles: bool,
        data: st.DataObject,
    ) -> None:
        if resyncs == 0:
            self.stage.occurred.note("resync wished")
        self._pull(
            data,
            page_size=size,
            time_slice=AT_ONCE if slices else LONG,
            wants_resync=resyncs == 0,
            reconcile_every=AT_ONCE if reconciles else ONE_DAY,
        )

    @precondition(lambda self: self.set in values.STAMPS)
    @rule(size=st.integers(1, 3), request=REQUESTS, data=st.data())
    def reconcile(self, size: int, request: int, data: st.DataObject) -> None:
        """Somebody edits, and much later edits something else, during one scan."""
        many = [self._edit(data) for _ in range(2)]
        for happens in (many[0], lambda: self.played.pass_time(700), many[1]):
            self.played.plan(request, happens)
        self._pull(data, page_size=size, reconcile_every=AT_ONCE)

    @rule(size=SIZES, at=PLACES, reconciles=st.booleans(), data=st.data())
    def pull_and_die(
        self, size: int, at: int, *, reconciles: bool, data: st.DataObject
    ) -> None:
        self._pull(
            data,
            page_size=size,
            interruption=Death(at),
            reconcile_every=AT_ONCE if reconciles else ONE_DAY,
        )

    @rule(size=SIZES, at=PLACES, slices=st.booleans(), data=st.data())
    def pull_and_be_overtaken(
        self, size: int, at: int, *, slices: bool, data: st.DataObject
    ) -> None:
        """The lease has expired, and another worker has it."""

        def overtake() -> None:
            self.stage.occurred.note("two workers")
            limit = AT_ONCE if slices else LONG
            self.stage.pull(self.table, worker="other", time_slice=limit)

        self._pull(data, page_size=size, interruption=Takeover(at, overtake))

    @rule(data=st.data())
    def be_quiet(self, data: st.DataObject) -> None:
        """After the last of what happens, staging becomes the source."""
        for _ in range(data.draw(st.integers(0, 3))):
            self._event(data)()
        self._settle()

    def teardown(self) -> None:
        if hasattr(self, "table"):
            self._settle()

    def _settle(self) -> None:
        definition = TABLES[self.table]
        self.stage.settle(self.table, reconcile_every=ONE_DAY)
        if self.stage.staged(self.table).mode == "watermark":
            hidden = [values.key(self.set, number) for number in self.hidden]
            self.stage.check_polled(definition, hidden)
        self.stage.settle(self.table, reconcile_every=AT_ONCE)
        self.stage.check(definition)

    def _pull(self, data: st.DataObject, **options: Any) -> None:
        """Pull while rows change and answers are spoiled."""
        for _ in range(data.draw(st.integers(0, 3))):
            happens = self._event(data)
            self.played.plan(data.draw(self.requests), self._meanwhile(happens))
        for _ in range(data.draw(st.integers(0, 2))):
            fault = data.draw(self.faults)
            self.played.plan_fault(data.draw(self.requests), fault)
        self.stage.pull(self.table, **options)
        self.played.forget_plans()

    def _meanwhile(self, happens: Happens) -> Happens:
        def happens_noted() -> None:
            if self.played.has_more:
                self.stage.occurred.note("changed between pages")
            happens()

        return happens_noted

    def _event(self, data: st.DataObject) -> Happens:
        """Draw something that may happen at the source, now or later."""
        number = data.draw(NUMBERS)
        match data.draw(_KINDS):
            case "delete":
                return lambda: self._delete(number)
            case "pause":
                seconds = data.draw(_SECONDS)
                return lambda: self.played.pass_time(seconds)
            case "make again":
                edit = self._edit(data, number)
                return _one_by_one(lambda: self._delete(number), edit)
            case "come and go":
                # Perhaps without anybody having seen it.
                brief = data.draw(RARE_NUMBERS)
                edit = self._edit(data, brief)
                return _one_by_one(edit, lambda: self._delete(brief))
            case "behind" if self.set in values.STAMPS:
                return self._edit_unseen(data, number)
        return self._edit(data, number)

    def _edit(self, data: st.DataObject, number: int | None = None) -> Happens:
        chosen = data.draw(NUMBERS) if number is None else number
        drawn = data.draw(values.values(self.set))
        return lambda: self._put(chosen, drawn)

    def _edit_unseen(self, data: st.DataObject, number: int) -> Happens:
        """With a time of its own, or none."""
        stamp = data.draw(_TIMES)
        if stamp is None and self.set not in values.UNSTAMPED:
            stamp = _OLD
        drawn = data.draw(values.values(self.set)) | {values.STAMPS[self.set]: stamp}

        def edit() -> None:
            self._put(number, drawn, keeps_time=True)
            if stamp is not None:
                self.hidden.add(number)

        return edit

    def _put(self, number: int, drawn: dict[str, Any], **options: Any) -> None:
        self.hidden.discard(number)
        self.played.put(self.set, **options, **values.key(self.set, number), **drawn)

    def _delete(self, number: int) -> None:
        self.played.delete(self.set, **values.key(self.set, number))

    def _expire(self, variant: str) -> None:
        self.played.expiry = variant
        self.played.expire_tokens()
