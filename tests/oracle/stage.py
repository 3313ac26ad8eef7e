"""What every life of an organization begins and ends with, and the acts between.

At the end everything is pulled, everybody syncs, and devices hold what their users may
see, value for value. The same is compared after every complete answer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, RuleStrategy, initialize

from replication.domain.profiles import Policy
from replication.services import housekeeping
from replication.services.serving import Limits
from tests.oracle import policies, world
from tests.oracle.changes import Change
from tests.oracle.devices import Device, Ending
from tests.oracle.failures import MismatchError
from tests.oracle.harness import Harness
from tests.oracle.policies import Life
from tests.oracle.workers import LONG, Death, Meeting

BUSINESS = tuple(table.name for table in world.BUSINESS)
MANY = 20_000


class _AnyRule(RuleStrategy):
    """All rules in every run.

    By itself Hypothesis leaves most of them out of most runs. That finds deep bugs in
    cheap machines; here a run costs half a second and has to do many things.
    """

    def _rule_is_enabled(self, r: Any) -> bool:
        return self.is_valid(r)


class Stage(RuleBasedStateMachine):
    """One organization with three devices of two users."""

    def __init__(self, harness: Harness) -> None:
        super().__init__()
        self._rules_strategy = _AnyRule(self)
        self.harness = harness
        self.has_backup = False
        self.publishes = True
        harness.begin()
        self.devices = [
            Device(harness.id, user, f"{user}'s device {number}")
            for number, user in enumerate(("Ada", "Ada", "Grace"))
        ]

    @initialize(
        life=policies.lives,
        loaded=st.sampled_from((BUSINESS, BUSINESS, BUSINESS, ("account",), ())),
        sizes=st.sampled_from(((MANY, MANY), (MANY, MANY), (2, 2), (0, 1), (1, 3))),
        is_synced=st.sampled_from((True, True, False)),
    )
    def begin(
        self,
        life: Life,
        loaded: Sequence[str],
        sizes: tuple[int, int],
        is_synced: bool,
    ) -> None:
        self.harness.set_sizes(at_once=sizes[0], chunk=sizes[1])
        if sizes[1] < MANY:
            self.harness.note("small chunks")
        source = self.harness.source
        self.publishes = life.publishes
        for role, depth in zip(world.ROLES, life.depths, strict=True):
            world.set_depth(source, role, "account", depth)
            world.set_depth(source, role, "contact", depth)
            world.set_depth(source, role, "task", depth)
        world.set_depth(source, "Salesperson", "price", 8)
        world.set_depth(source, "Manager", "team", 4)
        self.publish(life.policy)
        for table in ("roleprivileges", *loaded):
            self._pull(table)
        housekeeping.sample_rev(self.harness.conn)
        if is_synced:
            self._all_sync()

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self._fall_quiet()
            for person in world.PEOPLE:
                device = Device(self.harness.id, person, f"{person}'s new one")
                self._sync(device)
                device.store.close()
        for device in self.devices:
            for code in device.refusals:
                self.harness.note(code)
            device.store.close()

    def _fall_quiet(self) -> None:
        for table in world.BY_NAME:
            if not self.harness.pulled.is_current(table):
                self._pull(table)
        self.harness.settle()
        for device in self.devices:
            if self._sync(device, digest=True) is Ending.COMPLETE:
                device.sync()
                if not device.said_nothing:
                    raise MismatchError(f"{device} has everything, and is sent more.")

    def _all_sync(self) -> None:
        for device in self.devices:
            self._sync(device)

    def _replace(self, number: int) -> None:
        old = self.devices[number]
        old.store.close()
        self.devices[number] = Device(self.harness.id, old.person, f"{old}'")

    def publish(self, policy: Policy) -> None:
        self.harness.publish(policy)
        if policy.hierarchy is not None:
            self.harness.note(f"hierarchy of {policy.hierarchy.model}s")
        if policy.served:
            self.harness.note("organization filter")

    def _publish(self, policy: Policy, *, is_reconciled: bool) -> None:
        self.publish(policy)
        self.harness.note("published")
        if is_reconciled:
            self.harness.workers.reconcile()

    def _make(self, drawn: Sequence[Change], *, page_size: int | None = 5000) -> None:
        """Let the source change; `None` leaves it to others to pull that."""
        for change in drawn:
            change.make(self.harness.source)
            self.harness.note(type(change).__name__)
        if page_size is not None:
            for table in dict.fromkeys(change.table for change in drawn):
                self._pull(table, page_size=page_size)

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

    def _load_the_rest(self) -> None:
        for table in BUSINESS:
            if table not in self.harness.pulled.complete:
                self._pull(table)

    def _pull(
        self,
        table: str,
        *,
        page_size: int = 5000,
        time_slice: timedelta = LONG,
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
        self.harness.keep_time()

    def _sync(
        self, device: Device, *, limits: Limits | None = None, digest: bool = False
    ) -> Ending:
        self.harness.keep_time()
        ending = device.sync(
            limits=limits,
            digest=digest,
            witness=lambda message: self.harness.check_message(device, message),
        )
        self._check(device, ending)
        return ending

    def _break_off(
        self, device: Device, *, limits: Limits, cut: int, ahead: int = 0
    ) -> None:
        self.harness.keep_time()
        ending = device.sync(
            limits=limits,
            cut_after=cut,
            ahead=ahead,
            witness=lambda message: self.harness.check_message(device, message),
        )
        if ending is Ending.CUT:
            self.harness.note("answer lost" if cut == 0 else "cut")

    def _check(self, device: Device, ending: Ending) -> None:
        if ending is Ending.NOT_ALLOWED:
            self.harness.check_refused(device)
        elif ending is Ending.NOT_READY:
            self.harness.check_waiting(device)
        else:
            self.harness.check_complete(device)
