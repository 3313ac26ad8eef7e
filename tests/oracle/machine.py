"""Random lives of an organization; whenever a device is up to date, it is as it must be.

Every rule is something that happens to a real installation. What the oracle says is
compared after every complete answer; at the end everything is pulled, everybody syncs,
and devices hold what their users may see, value for value.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, RuleStrategy, initialize, rule

from replication.domain.profiles import Assignments, ProfileDef, ProfileItem
from replication.services import housekeeping
from replication.services.serving import Limits
from tests.oracle import changes, world
from tests.oracle.changes import Change
from tests.oracle.devices import Device, Ending
from tests.oracle.failures import MismatchError
from tests.oracle.harness import Harness
from tests.oracle.workers import ONE_PAGE, Death, Meeting, Takeover
from tests.staged import guid

EVERYTHING = ProfileDef(
    name="Everything",
    items=tuple(ProfileItem(table=table) for table in ("account", "contact", "price")),
    assignments=Assignments(everyone=True),
)
BUSINESS = ("account", "contact", "price")
NOW = timedelta(0)

numbers = st.integers(min_value=0, max_value=2)
page_sizes = st.sampled_from((1, 2, 3, 5000))
limits = st.builds(
    Limits,
    rows=st.sampled_from((1, 1, 2, 3, 4)),
    piece_bytes=st.sampled_from((4 * 2**20, 250)),
    answer_bytes=st.sampled_from((64 * 2**20, 400, 1)),
)
business = st.sampled_from(("account", "account", "contact", "price"))
tracked = st.sampled_from(
    ("account", "account", "price", "businessunit", "systemuser", "team", "role")
)
deaths = st.integers(min_value=1, max_value=24)


class _AnyRule(RuleStrategy):
    """All rules in every run.

    By itself Hypothesis leaves most of them out of most runs. That finds deep bugs in
    cheap machines; here a run costs half a second and has to do many things.
    """

    def _rule_is_enabled(self, r: Any) -> bool:
        return self.is_valid(r)


class OracleMachine(RuleBasedStateMachine):
    """One organization with three devices of two users."""

    def __init__(self, harness: Harness) -> None:
        super().__init__()
        self._rules_strategy = _AnyRule(self)
        self.harness = harness
        self.has_backup = False
        harness.begin()
        self.devices = [
            Device(harness.id, guid(user), f"{user}'s device {number}")
            for number, user in enumerate(("Ada", "Ada", "Grace"))
        ]

    @initialize(
        depths=st.tuples(*[st.sampled_from((1, 4, 2, 1, 4, 1, 8))] * 4),
        profiles=st.just((EVERYTHING,)) | changes.profile_sets,
        loaded=st.sampled_from((BUSINESS, BUSINESS, ("account",), ())),
        is_synced=st.sampled_from((True, True, False)),
    )
    def begin(
        self,
        depths: tuple[int, ...],
        profiles: tuple[ProfileDef, ...],
        loaded: Sequence[str],
        is_synced: bool,
    ) -> None:
        source = self.harness.source
        for role, depth in zip(world.ROLES, depths, strict=True):
            world.set_depth(source, role, "account", depth)
            world.set_depth(source, role, "contact", depth)
        world.set_depth(source, "Salesperson", "price", 8)
        world.set_depth(source, "Manager", "team", 4)
        self.harness.publish(profiles)
        for table in ("roleprivileges", *loaded):
            self._pull(table)
        housekeeping.sample_rev(self.harness.conn)
        if is_synced:
            self.everybody_syncs()

    # The source changes

    @rule(
        drawn=st.lists(changes.row_changes, min_size=1, max_size=3),
        is_pulled=st.sampled_from((True, True, False)),
    )
    def rows_change(self, drawn: list[Change], is_pulled: bool) -> None:
        self._make(drawn, is_pulled=is_pulled)

    @rule(
        drawn=st.lists(changes.right_changes, min_size=1, max_size=3),
        is_pulled=st.sampled_from((True, True, False)),
    )
    def rights_change(self, drawn: list[Change], is_pulled: bool) -> None:
        self._make(drawn, is_pulled=is_pulled)

    @rule(profiles=changes.profile_sets, is_reconciled=st.booleans())
    def profiles_are_published(
        self, profiles: tuple[ProfileDef, ...], is_reconciled: bool
    ) -> None:
        self.harness.publish(profiles)
        self.harness.note("published")
        if is_reconciled:
            self.harness.workers.reconcile()

    # Workers

    @rule(table=business, page_size=page_sizes)
    def table_is_pulled(self, table: str, page_size: int) -> None:
        self._pull(table, page_size=page_size)

    @rule(page_size=page_sizes)
    def everything_changed_is_pulled(self, page_size: int) -> None:
        for table in world.BY_NAME:
            if not self.harness.pulled.is_current(table):
                self._pull(table, page_size=page_size)

    @rule(
        table=business | tracked,
        page_size=st.sampled_from((1, 2)),
        change=changes.row_changes,
    )
    def one_page_is_pulled(self, table: str, page_size: int, change: Change) -> None:
        """The time slice ends after a page, and the source goes on."""
        self._pull(table, page_size=page_size, time_slice=ONE_PAGE)
        if not self.harness.pulled.is_current(table):
            self.harness.note("page by page")
        change.make(self.harness.source)

    @rule(change=changes.row_changes, page_size=st.sampled_from((1, 5000)), at=deaths)
    def worker_dies(self, change: Change, page_size: int, at: int) -> None:
        change.make(self.harness.source)
        self._pull(change.table, page_size=page_size, dies_at=at)

    @rule(table=tracked | business, is_asked_for=st.booleans(), at=st.none() | deaths)
    def table_is_loaded_anew(
        self, table: str, is_asked_for: bool, at: int | None
    ) -> None:
        """The source forgot the token, or an operator asks for it."""
        if not is_asked_for:
            self.harness.source.expire_tokens()
        self._pull(table, page_size=2, wants_resync=is_asked_for, dies_at=at)
        self.harness.note("loaded anew")

    @rule(table=business, change=changes.row_changes, at=st.integers(1, 14))
    def worker_loses_its_table(self, table: str, change: Change, at: int) -> None:
        """A worker stops before its n-th statement until another one took over."""
        change.make(self.harness.source)
        workers = self.harness.workers
        takeover = Takeover(at, lambda: workers.take_over(table))
        survived = workers.pull(table, page_size=1, interruption=takeover)
        self.harness.check_staging(table)
        if takeover.has_happened:
            self.harness.note("taken over")
        if survived is None:
            self.harness.note("fenced")

    @rule(
        first=changes.row_changes,
        second=changes.right_changes | changes.row_changes,
        at=st.integers(1, 16),
    )
    def two_pages_meet(self, first: Change, second: Change, at: int) -> None:
        """A page is committed between two statements of another table's."""
        self._meet(first, second, at=at)

    @rule(
        row=changes.account_changes, unit=changes.unit_changes, is_first=st.booleans()
    )
    def unit_moves_while_a_page_is_committed(
        self, row: Change, unit: Change, is_first: bool
    ) -> None:
        """Either waits for the clock, its rows merged, until the other is done."""
        self._meet(*((unit, row) if is_first else (row, unit)), at=None)

    @rule(
        profiles=st.none() | changes.profile_sets,
        change=changes.row_changes,
        at=st.integers(1, 40),
        dies=st.booleans(),
    )
    def rules_are_built(
        self,
        profiles: tuple[ProfileDef, ...] | None,
        change: Change,
        at: int,
        dies: bool,
    ) -> None:
        """While rules are built, a page is committed, or the worker dies."""
        harness = self.harness
        if profiles is not None:
            harness.publish(profiles)
        change.make(harness.source)
        if dies:
            if not harness.workers.reconcile(interruption=Death(at)):
                harness.note("died building rules")
            return
        if world.BY_NAME[change.table].tracked:
            page = Meeting(at, lambda: harness.workers.commit_one_page(change.table))
            harness.workers.reconcile(interruption=page)
            if page.has_happened:
                harness.note("met building rules")

    # Devices

    @rule(number=numbers, allowed=limits, digest=st.booleans())
    def device_syncs(self, number: int, allowed: Limits, digest: bool) -> None:
        self._sync(self.devices[number], limits=allowed, digest=digest)

    @rule(
        number=numbers,
        change=changes.row_changes | changes.right_changes,
        is_new=st.booleans(),
        allowed=limits,
        cut=st.integers(0, 6),
        ahead=st.integers(0, 6),
        goes_on=st.booleans(),
    )
    def answer_breaks_off(
        self,
        number: int,
        change: Change,
        is_new: bool,
        allowed: Limits,
        cut: int,
        ahead: int,
        goes_on: bool,
    ) -> None:
        """A first download, or the answer after a change."""
        if is_new:
            self._replace(number)
        else:
            self._make([change], is_pulled=True)
        device = self.devices[number]
        ending = device.sync(
            limits=allowed,
            cut_after=cut,
            ahead=ahead,
            witness=lambda message: self.harness.check_message(device, message),
        )
        if ending is Ending.CUT:
            self.harness.note("answer lost" if cut == 0 else "cut")
        if goes_on:
            self._sync(device, limits=allowed)

    @rule(number=numbers, change=changes.row_changes | changes.right_changes)
    def source_changes_in_mid_answer(self, number: int, change: Change) -> None:
        def happens() -> None:
            self._make([change], is_pulled=True)
            self.harness.note("changed in mid-answer")

        few = Limits(rows=1, answer_bytes=64 * 2**20)
        device = self.devices[number]
        earlier = self.harness.may_hold(device.user)
        if device.sync(limits=few, between=happens) is Ending.COMPLETE:
            self.harness.check_either(device, earlier)
        self._sync(device)

    @rule(number=numbers, table=business)
    def device_wants_a_table_again(self, number: int, table: str) -> None:
        device = self.devices[number]
        if table in device.store.tables():
            device.store.want_reset([table])
            self.harness.note("reset")

    @rule()
    def everybody_syncs(self) -> None:
        for device in self.devices:
            self._sync(device)

    # Operators and time

    @rule(number=numbers, change=changes.row_changes)
    def history_is_forgotten(self, number: int, change: Change) -> None:
        """Up to where the clock stood at the last time; something happened since."""
        self._sync(self.devices[number])
        self._make([change], is_pulled=True)
        housekeeping.purge(self.harness.conn, retention=NOW)
        housekeeping.sample_rev(self.harness.conn)
        self.harness.note("purged")

    @rule()
    def staging_is_restored(self) -> None:
        if not self.has_backup:
            self.harness.back_up()
            self.has_backup = True
        elif self.harness.can_restore():
            self.harness.restore()
            self.harness.note("restored")

    @rule()
    def source_is_restored(self) -> None:
        if self.harness.source.back_up_or_restore():
            self.harness.note("source restored")

    def everything_falls_quiet(self) -> None:
        for table in world.BY_NAME:
            if not self.harness.pulled.is_current(table):
                self._pull(table)
        self.harness.settle()
        for device in self.devices:
            if self._sync(device, digest=True) is Ending.COMPLETE:
                device.sync()
                if not device.said_nothing:
                    raise MismatchError(f"{device} has everything, and is sent more.")

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.everything_falls_quiet()
            for person in world.PEOPLE:
                self._sync(Device(self.harness.id, guid(person), f"{person}'s new one"))
        for device in self.devices:
            for code in device.refusals:
                self.harness.note(code)
            device.store.close()

    def _replace(self, number: int) -> None:
        old = self.devices[number]
        old.store.close()
        self.devices[number] = Device(self.harness.id, old.user, f"{old}'")

    def _make(self, drawn: Sequence[Change], *, is_pulled: bool) -> None:
        for change in drawn:
            change.make(self.harness.source)
            self.harness.note(type(change).__name__)
        if is_pulled:
            for table in dict.fromkeys(change.table for change in drawn):
                self._pull(table)

    def _meet(self, first: Change, second: Change, *, at: int | None) -> None:
        first.make(self.harness.source)
        second.make(self.harness.source)
        if first.table == second.table or not world.BY_NAME[second.table].tracked:
            return
        workers = self.harness.workers
        meeting = Meeting(at, lambda: workers.commit_one_page(second.table))
        workers.pull(first.table, interruption=meeting)
        self.harness.check_staging(first.table)
        self.harness.check_staging(second.table)
        for table in ("account", "contact"):
            self.harness.check_feed(table)
        if meeting.has_happened:
            self.harness.note("met before the clock" if at is None else "met")

    def _pull(
        self,
        table: str,
        *,
        page_size: int = 5000,
        time_slice: timedelta = timedelta(minutes=1),
        wants_resync: bool = False,
        dies_at: int | None = None,
    ) -> None:
        progress = self.harness.workers.pull(
            table,
            page_size=page_size,
            time_slice=time_slice,
            wants_resync=wants_resync,
            interruption=None if dies_at is None else Death(dies_at),
        )
        if progress is None:
            self.harness.note("died")
        self.harness.check_staging(table)

    def _sync(
        self, device: Device, *, limits: Limits | None = None, digest: bool = False
    ) -> Ending:
        ending = device.sync(
            limits=limits,
            digest=digest,
            witness=lambda message: self.harness.check_message(device, message),
        )
        self._check(device, ending)
        return ending

    def _check(self, device: Device, ending: Ending) -> None:
        if ending is Ending.NOT_ALLOWED:
            self.harness.check_refused(device)
        else:
            self.harness.check_complete(device)
