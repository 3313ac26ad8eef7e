"""Random lives of devices that edit offline, and of a source that misbehaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from replication.domain.mutations import ReusedIdError, SequenceError
from tests.oracle.failures import MismatchError
from tests.oracle.stage import _AnyRule
from tests.staged import guid
from tests.uploads import world
from tests.uploads.devices import Loss, Made, UploadingDevice
from tests.uploads.failpoints import ACCEPTS, FREE, UPLOADS
from tests.uploads.source import READ_FAULTS, WRITE_FAULTS
from tests.uploads.stage import Stage

PEOPLE = ("Ada", "Ada", "Grace")
WHICH = st.integers(0, len(PEOPLE) - 1)
NUMBERS = st.integers(0, 4)
TABLES = st.sampled_from(("account", "account", "account", "contact"))
# Requests and passages at which something happens.
EARLY = st.sampled_from((0, 0, 0, 1, 1, 2))
NTH = st.sampled_from((1, 1, 1, 2))
_KINDS = st.sampled_from(
    ("update",) * 8 + ("create",) * 4 + ("delete",) * 3 + ("void", "odd", "odd")
)
_ODDITIES = st.sampled_from(("refused", "refused", "secret", "task", "lead", "unknown"))
_LOSSES = st.sampled_from((Loss.NOTHING,) * 4 + (Loss.REQUEST, Loss.ANSWER))

Happens = Callable[[], object]


class Life(RuleBasedStateMachine):
    """Three devices of two users; they see and edit the same rows."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self._rules_strategy = _AnyRule(self)
        self.numbers = 0

    @initialize(
        has_markers=st.booleans(),
        conflicts=st.sampled_from(("server_wins", "client_wins", "merge", "merge")),
        rows=st.sampled_from((3, 4, 2, 0)),
    )
    def begin(self, has_markers: bool, conflicts: Any, rows: int) -> None:
        self.stage.begin(has_markers=has_markers, conflicts=conflicts, people=PEOPLE)
        if not has_markers:
            self.note("without markers")
        for number in range(rows):
            self._somebody_writes("account", number)
        self._somebody_writes("contact", 0)
        self.stage.pull_business()
        for device in self.stage.devices:
            self.stage.sync(device)

    @property
    def note(self) -> Callable[[str], None]:
        return self.stage.occurred.note

    # Editing.

    @rule(which=WHICH, edits=st.integers(1, 4), data=st.data())
    def edit(self, which: int, edits: int, data: st.DataObject) -> None:
        for _ in range(edits):
            self._edit(self.stage.devices[which], data)

    @rule(which=WHICH, data=st.data())
    def edit_one_row_often(self, which: int, data: st.DataObject) -> None:
        device, number = self.stage.devices[which], data.draw(NUMBERS)
        for _ in range(data.draw(st.integers(2, 3))):
            self._edit_row(device, data, "account", number)

    @rule(which=WHICH, edits=st.integers(2, 3), data=st.data())
    def edit_in_a_group(self, which: int, edits: int, data: st.DataObject) -> None:
        device = self.stage.devices[which]
        numbers = data.draw(st.permutations(range(5)))
        group = str(guid(f"group {self.numbers} of {device}"))
        for number in numbers[:edits]:
            self._edit_row(device, data, "account", number, group=group)
        self.note("group")

    @rule(number=NUMBERS, table=TABLES, gone=st.integers(0, 3))
    def somebody_else_writes(self, number: int, table: str, gone: int) -> None:
        self._somebody_writes(table, number, is_gone=not gone)

    # Sending and hearing.

    @rule(which=WHICH, loss=_LOSSES, data=st.data())
    def upload(self, which: int, loss: Loss, data: st.DataObject) -> None:
        device = self.stage.devices[which]
        self._edit(device, data)
        if loss is not Loss.NOTHING and device.unsent:
            self.note(loss.value)
        device.upload(loss=loss)

    @rule(which=WHICH, place=st.sampled_from(ACCEPTS))
    def upload_to_one_who_dies(self, which: int, place: str) -> None:
        device = self.stage.devices[which]
        self._plan_death(place, 1)
        device.upload()
        self.stage.places.forget()

    @rule(which=WHICH)
    def upload_again(self, which: int) -> None:
        """What was confirmed comes again, as after a lost answer."""
        device = self.stage.devices[which]
        run = [made for made in device.made if made.is_accepted][-1:]
        if run and not self.stage.ledger.is_restored:
            self.note("upload repeated")
            device.send(run)

    @rule(which=WHICH)
    def upload_with_a_gap(self, which: int) -> None:
        """A later request overtakes an earlier one, which gets lost."""
        device = self.stage.devices[which]
        waiting = device.unsent
        if len(waiting) < 2 or waiting[0].sends or self.stage.ledger.is_restored:
            return
        self.note("gap")
        try:
            device.send(waiting[1:2])
        except SequenceError as error:
            if error.expected == waiting[0].sequence:
                return
        self.stage.has_failed = True
        raise MismatchError(f"{device} left a sequence out, and nobody minded.")

    @rule(which=WHICH)
    def reuse_an_id(self, which: int) -> None:
        device = self.stage.devices[which]
        accepted = [made for made in device.made if made.is_accepted]
        if not accepted or self.stage.ledger.is_restored:
            return
        self.note("reused id")
        last = accepted[-1]
        other = Made(
            device=device,
            id=last.id,
            sequence=last.sequence,
            content={"op": "create", "table": "task", "key": "other", "values": {}},
        )
        try:
            device.send([other])
        except ReusedIdError:
            return
        self.stage.has_failed = True
        raise MismatchError(f"The id of {last} was taken by another edit.")

    @rule(which=WHICH, cut=st.sampled_from((None, None, None, 0, 1, 2, 3)))
    def sync(self, which: int, cut: int | None) -> None:
        if cut is not None:
            self.note("answer cut")
        self.stage.sync(self.stage.devices[which], cut_after=cut)

    @rule(table=st.sampled_from(("account", "account", "contact")))
    def pull(self, table: str) -> None:
        self.stage.pull(table)

    # Writing back.

    @rule(threads=st.integers(1, 2))
    def write_back(self, threads: int) -> None:
        for device in self.stage.devices:
            device.upload()
        self.stage.write_back(threads=threads)

    @rule(data=st.data(), threads=st.integers(1, 2), many=st.integers(1, 3))
    def write_back_to_a_bad_source(
        self, data: st.DataObject, threads: int, many: int
    ) -> None:
        self._upload_all(data)
        plans = self.stage.source.plans
        for _ in range(many):
            plans.faults["write"][data.draw(EARLY)] = data.draw(
                st.sampled_from(WRITE_FAULTS)
            )
        if data.draw(st.booleans()):
            fault = data.draw(st.sampled_from(READ_FAULTS))
            plans.faults["read"][data.draw(EARLY)] = fault
        self._plan_changes(data)
        self.stage.write_back(threads=threads)

    @rule(place=st.sampled_from(UPLOADS), nth=NTH, data=st.data())
    def write_back_and_die(self, place: str, nth: int, data: st.DataObject) -> None:
        self._upload_all(data)
        if place == "upload.found_out":
            self.stage.source.plans.faults["write"][0] = "answer lost"
            self.stage.write_back()
            nth = 1
        self._plan_death(place, nth)
        self.stage.write_back(threads=data.draw(st.integers(1, 2)))
        self.stage.sync(self.stage.devices[data.draw(WHICH)])

    @rule(place=st.sampled_from(FREE), nth=NTH, data=st.data())
    def write_back_and_be_met(self, place: str, nth: int, data: st.DataObject) -> None:
        """Somebody else writes a row, and it is pulled, in the midst of everything."""
        self._upload_all(data)
        change = self._somebody(data)

        def meet() -> None:
            self.note("pulled amid write-back")
            change()
            self.stage.pull("account")

        self.stage.places.plan(place, nth, meet)
        self.stage.write_back(threads=1)

    @rule(place=st.sampled_from(FREE), nth=NTH, data=st.data())
    def write_back_and_be_overtaken(
        self, place: str, nth: int, data: st.DataObject
    ) -> None:
        """The lease has expired, and another worker has it."""
        self._upload_all(data)

        def overtake() -> None:
            self.note("two workers")
            self.stage.run(threads=1)

        self.stage.places.plan(place, nth, overtake)
        self.stage.write_back(threads=1)

    @rule()
    def requests_end(self) -> None:
        self.stage.let_requests_end()

    @precondition(lambda self: not self.stage.source.late)
    @rule()
    def staging_is_restored(self) -> None:
        self.stage.back_up_or_restore()

    @rule(which=WHICH)
    def check_through(self, which: int) -> None:
        self.stage.sync(self.stage.devices[which])

    def teardown(self) -> None:
        if hasattr(self.stage, "ledger") and not self.stage.has_failed:
            self.stage.settle()

    # How.

    def _upload_all(self, data: st.DataObject) -> None:
        """All devices; one of them has edited something."""
        device = self.stage.devices[data.draw(WHICH)]
        for _ in range(data.draw(st.integers(1, 3))):
            self._edit(device, data)
        for one in self.stage.devices:
            one.upload()

    def _plan_death(self, place: str, nth: int) -> None:
        def die() -> None:
            self.note(f"died: {place}")
            self.stage.places.die()

        self.stage.places.plan(place, nth, die)

    def _plan_changes(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(0, 2))):
            change = self._somebody(data)

            def happens(change: Happens = change) -> None:
                self.note("row changed amid write-back")
                change()

            self.stage.source.plans.happenings[data.draw(EARLY)].append(happens)

    def _somebody(self, data: st.DataObject) -> Happens:
        number, gone = data.draw(NUMBERS), data.draw(st.integers(0, 3))
        return lambda: self._somebody_writes("account", number, is_gone=not gone)

    def _somebody_writes(
        self, table: str, number: int, *, is_gone: bool = False
    ) -> None:
        source = self.stage.source
        if is_gone:
            if world.key(table, number) in source.rows(table):
                source.delete(table, world.key(table, number))
            return
        first, *_ = world.COLUMNS[table]
        secret = {world.SECRET: self._next()} if table == "account" else {}
        # Sometimes only what devices never write.
        name = {} if self.numbers % 3 == 0 else {first: f"theirs {self._next()}"}
        world.put_row(source, table, number, **name, **secret)

    def _next(self) -> int:
        self.numbers += 1
        return self.numbers

    def _edit(self, device: UploadingDevice, data: st.DataObject) -> None:
        kind = data.draw(_KINDS)
        if kind == "void":
            self.note("void")
            self.stage.ledger.enter(device.add(op="void"))
        elif kind == "odd":
            self._edit_oddly(device, data)
        else:
            table, number = data.draw(TABLES), data.draw(NUMBERS)
            self._edit_row(device, data, table, number, wants=kind)

    def _edit_row(
        self,
        device: UploadingDevice,
        data: st.DataObject,
        table: str,
        number: int,
        *,
        wants: str = "update",
        **more: Any,
    ) -> None:
        """What the user wants, or a create where he sees no row."""
        key = world.key(table, number)
        row = device.seen(table, key)
        op = "create" if row is None else ("update" if wants == "create" else wants)
        content: dict[str, Any] = {"op": op, "table": table, "key": key, **more}
        if op != "delete":
            content["values"] = self._values(table, data)
        if op != "create" and row is not None:
            synced = device.synced(table).get(key)
            if synced is not None:
                content["base_version"] = str(synced["_version"])
            if op == "update":
                content["base_values"] = {n: row.get(n) for n in content["values"]}
        self.stage.ledger.enter(device.add(**content))

    def _values(self, table: str, data: st.DataObject) -> dict[str, Any]:
        first, second = world.COLUMNS[table]
        name = {first: f"ours {self._next()}"}
        if table == "contact":
            account = {second: world.key("account", data.draw(NUMBERS))}
            return name | (account if data.draw(st.booleans()) else {})
        number = {second: str(1_000_000 + self._next())}
        return data.draw(st.sampled_from((name | number, name, number)))

    def _edit_oddly(self, device: UploadingDevice, data: st.DataObject) -> None:
        """Edits that can never succeed."""
        kind, number = data.draw(_ODDITIES), data.draw(NUMBERS)
        table = kind if kind in {"task", "lead"} else "account"
        key = world.key(table, 99 if kind == "unknown" else number)
        row = device.synced(table).get(key)
        words = world.WORDS_REFUSED if kind == "refused" else "odd"
        values: dict[str, Any] = {"name": f"{words} {self._next()}"}
        if kind == "secret":
            values[world.SECRET] = self._next()
        content: dict[str, Any] = {"op": "create"}
        if row is not None or kind == "unknown":
            version = str(row["_version"]) if row is not None else "1"
            content = {"op": "update", "base_version": version}
        content |= {"table": table, "key": key, "values": values}
        self.stage.ledger.enter(device.add(**content))
