"""Random lives of an organization; whenever a device is up to date, it is as it must be.

Every rule is something that happens to a real installation.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from replication.domain.profiles import Policy
from replication.services import housekeeping
from replication.services.serving import Limits
from tests.oracle import changes, openings, policies, ways, world
from tests.oracle.changes import Change
from tests.oracle.devices import Ending
from tests.oracle.stage import Stage
from tests.oracle.workers import (
    ONE_PAGE,
    AtClock,
    Death,
    DeathAtClock,
    Meeting,
    Takeover,
    WhileBuilding,
)

NOW = timedelta(0)
SPANS = (
    *(timedelta(minutes=5), timedelta(hours=1), timedelta(hours=2), timedelta(days=1)),
    *(timedelta(days=1), timedelta(days=3), timedelta(days=8), timedelta(days=31)),
    *(timedelta(days=100), timedelta(days=366)),
)

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


def _publishes(stage: Stage) -> bool:
    """It is no life in which only rights change."""
    return stage.publishes


class OracleMachine(Stage):
    """One organization with three devices of two users."""

    # The source changes

    @rule(
        drawn=st.lists(openings.row_changes, min_size=1, max_size=3),
        page_size=st.sampled_from((5000, 1, 2, None)),
    )
    def rows_change(self, drawn: list[Change], page_size: int | None) -> None:
        self._make(drawn, page_size=page_size)

    @rule(
        drawn=st.lists(openings.right_changes, min_size=1, max_size=3),
        page_size=st.sampled_from((5000, 1, None)),
    )
    def rights_change(self, drawn: list[Change], page_size: int | None) -> None:
        self._make(drawn, page_size=page_size)

    @rule(
        drawn=st.lists(
            openings.link_changes | openings.opening_changes, min_size=1, max_size=3
        ),
        page_size=st.sampled_from((5000, 1, None)),
    )
    def openings_change(self, drawn: list[Change], page_size: int | None) -> None:
        self._make(drawn, page_size=page_size)

    @rule(drawn=st.lists(openings.there_and_back, min_size=2, max_size=5))
    def something_opens_and_closes(self, drawn: list[openings.ThereAndBack]) -> None:
        """And in between devices have heard of it."""
        people = {person for person, _, _ in drawn}
        devices = {one.person: one for one in self.devices if one.person in people}
        opened = [there for _, there, _ in drawn]
        for changed in (opened, [back for _, _, back in drawn]):
            self._make(changed)
            for device in devices.values():
                self._sync(device)

    @precondition(_publishes)
    @rule(policy=policies.policies, is_reconciled=st.booleans())
    def profiles_are_published(self, policy: Policy, is_reconciled: bool) -> None:
        self._publish(policy, is_reconciled=is_reconciled)

    @precondition(_publishes)
    @rule(edit=policies.filter_edits, is_reconciled=st.booleans(), number=numbers)
    def filter_is_edited(
        self, edit: policies.Edit, is_reconciled: bool, number: int
    ) -> None:
        self._publish(edit(self.harness.policy), is_reconciled=is_reconciled)
        self.harness.note("filter edited")
        self._sync(self.devices[number])

    @precondition(_publishes)
    @rule(edit=policies.association_edits, is_reconciled=st.booleans(), number=numbers)
    def association_is_edited(
        self, edit: policies.Edit, is_reconciled: bool, number: int
    ) -> None:
        self._publish(edit(self.harness.policy), is_reconciled=is_reconciled)
        self.harness.note("association edited")
        self._sync(self.devices[number])

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
        change=openings.row_changes,
    )
    def one_page_is_pulled(self, table: str, page_size: int, change: Change) -> None:
        """The time slice ends after a page, and the source goes on."""
        self._pull(table, page_size=page_size, time_slice=ONE_PAGE)
        if not self.harness.pulled.is_current(table):
            self.harness.note("page by page")
        change.make(self.harness.source)

    @rule(change=openings.row_changes, page_size=st.sampled_from((1, 5000)), at=deaths)
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

    @rule(table=business, change=openings.row_changes, at=st.integers(1, 14))
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
        first=openings.row_changes,
        second=openings.right_changes | openings.row_changes,
        at=st.integers(1, 16),
    )
    def two_pages_meet(self, first: Change, second: Change, at: int) -> None:
        """A page is committed between two statements of another table's."""
        self._meet(first, second, at=at)

    @rule(
        row=changes.moving_accounts, unit=changes.unit_changes, is_first=st.booleans()
    )
    def unit_moves_while_a_page_is_committed(
        self, row: Change, unit: Change, is_first: bool
    ) -> None:
        """Either waits for the clock, its rows merged, until the other is done."""
        self._meet(*((unit, row) if is_first else (row, unit)), at=None)

    @rule(
        drawn=ways.drawn,
        is_edited=st.booleans(),
        at=st.integers(1, 40),
        dies=st.booleans(),
    )
    def rules_are_built(
        self, drawn: ways.Drawn, is_edited: bool, at: int, dies: bool
    ) -> None:
        """While rules are built, a page is committed, or the worker dies."""
        harness, (edit, changed) = self.harness, drawn
        if is_edited and self.publishes:
            self.publish(edit(harness.policy))
        self._make(changed, page_size=None)
        if dies:
            if not harness.workers.reconcile(interruption=Death(at)):
                harness.note("died building rules")
            return
        table = changed[0].table
        page = Meeting(at, lambda: harness.workers.commit_one_page(table))
        harness.workers.reconcile(interruption=page)
        if page.has_happened:
            harness.note("met building rules")

    @precondition(_publishes)
    @rule(
        edit=policies.edits,
        change=openings.tracked_changes,
        at=st.integers(1, 8),
        dies=st.booleans(),
        number=numbers,
    )
    def rows_change_while_rules_change(
        self, edit: policies.Edit, change: Change, at: int, dies: bool, number: int
    ) -> None:
        """Before the n-th rule begins or is there, or the n-th chunk."""
        harness = self.harness
        self.publish(edit(harness.policy))
        change.make(harness.source)
        page = AtClock(at, lambda: harness.workers.commit_one_page(change.table))
        event = DeathAtClock(at) if dies else page
        harness.workers.reconcile(interruption=event)
        if event.has_happened:
            harness.note("died catching up" if dies else "met catching up")
        self._sync(self.devices[number])
        harness.settle()
        self._sync(self.devices[number])

    @precondition(_publishes)
    @rule(drawn=ways.ways)
    def a_way_changes_while_it_is_built(self, drawn: ways.Drawn) -> None:
        """A page of a table through which a rule comes to its rows is committed."""
        harness, (edit, changed) = self.harness, drawn
        self._load_the_rest()
        self.publish(edit(harness.policy))
        self._make(changed, page_size=None)
        table = changed[0].table
        page = WhileBuilding(
            lambda: harness.is_building_through(table),
            lambda: harness.workers.commit_one_page(table),
        )
        harness.workers.reconcile(interruption=page)
        if page.has_happened:
            harness.note("met on the way")
        harness.settle()
        self._all_sync()

    # Devices

    @rule(number=numbers, allowed=limits, digest=st.booleans())
    def device_syncs(self, number: int, allowed: Limits, digest: bool) -> None:
        self._sync(self.devices[number], limits=allowed, digest=digest)

    @rule(
        number=numbers,
        change=openings.row_changes | openings.right_changes,
        is_new=st.booleans(),
        allowed=limits,
        cut=st.sampled_from((3, 0, 4, 5, 0, 6, 2)),
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
            self._make([change])
        device = self.devices[number]
        self._break_off(device, limits=allowed, cut=cut, ahead=ahead)
        if goes_on:
            self._sync(device, limits=allowed)

    @rule(
        number=numbers,
        role=changes.roles,
        allowed=limits,
        cut=st.integers(2, 6),
    )
    def right_is_taken_and_given_back(
        self, number: int, role: str, allowed: Limits, cut: int
    ) -> None:
        """And in between a device has heard the beginning of it."""
        device = self.devices[number]
        has_it = changes.Assign("systemuserroles", device.person, role, True)
        self._make([has_it])
        self._sync(device)
        self._make([replace(has_it, is_held=False)])
        self._break_off(device, limits=allowed, cut=cut)
        self._make([has_it])
        self._sync(device)

    @rule(number=numbers, change=openings.row_changes | openings.right_changes)
    def source_changes_in_mid_answer(self, number: int, change: Change) -> None:
        def happens() -> None:
            self._make([change])
            self.harness.note("changed in mid-answer")

        few = Limits(rows=1, answer_bytes=64 * 2**20)
        device = self.devices[number]
        self.harness.keep_time()
        earlier = self.harness.may_hold(device.user)
        if device.sync(limits=few, between=happens) is Ending.COMPLETE:
            self.harness.check_either(device, earlier)
        self._sync(device)

    @rule(number=numbers, table=business)
    def device_wants_a_table_again(self, number: int, table: str) -> None:
        device = self.devices[number]
        if table in device.store.tables():
            device.lose(table)
            self.harness.note("reset")

    @rule()
    def all_devices_sync(self) -> None:
        self._all_sync()

    @rule(
        number=numbers,
        drawn=st.lists(openings.row_changes, min_size=1, max_size=3),
        right=st.none() | openings.right_changes,
        is_forgotten=st.booleans(),
        allowed=st.none() | limits,
        at=st.none() | st.none() | deaths,
    )
    def shared_rows_are_stored(
        self,
        number: int,
        drawn: list[Change],
        right: Change | None,
        is_forgotten: bool,
        allowed: Limits | None,
        at: int | None,
    ) -> None:
        """And first downloads come when something has changed since."""
        death = None if at is None else Death(at)
        built = self.harness.workers.keep_segments(interruption=death)
        self.harness.note("died storing" if built is None else "stored")
        self._make(drawn if right is None else [*drawn, right])
        if is_forgotten:
            housekeeping.sample_rev(self.harness.conn)
            housekeeping.purge(self.harness.conn, retention=NOW)
        for one in (number, (number + 1) % len(self.devices)):
            self._replace(one)
            self._sync(self.devices[one], limits=allowed)

    # Operators and time

    @rule(span=st.sampled_from(SPANS), number=numbers, at=st.none() | st.integers(1, 6))
    def time_passes(self, span: timedelta, number: int, at: int | None) -> None:
        self.harness.let_time_pass(span)
        if at is not None:
            survived = self.harness.workers.keep_time(
                self.harness.now, interruption=Death(at)
            )
            self.harness.note("time passed" if survived else "died moving windows")
        self.harness.note("time passed")
        self._sync(self.devices[number])

    @rule(number=numbers, drawn=st.lists(openings.row_changes, min_size=1, max_size=3))
    def history_is_forgotten(self, number: int, drawn: list[Change]) -> None:
        """Up to where the clock stood at the last time; something happened since."""
        self._sync(self.devices[number])
        self._make(drawn)
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
