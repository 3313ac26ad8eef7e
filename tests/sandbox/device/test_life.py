"""A device that edits, syncs, loses requests and answers, is killed, and loses nothing.

The service decides when it likes, is restored from backups, and other people write the
same rows. The rules are checked after every step, and at the end all falls quiet.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import requests
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from sandbox.device.client import Device
from sandbox.device.editor import Editor, Update
from sandbox.device.edits import Edit
from sandbox.device.errors import EditError, UnavailableError
from sandbox.device.store import Store
from tests.sandbox.device.answers import ADA, EDSGER, GRACE
from tests.sandbox.device.conftest import DEVICE_ID
from tests.sandbox.device.scripted import Answer, Seen
from tests.sandbox.device.upload_service import HIDDEN, UploadService

NAMES = st.sampled_from(["Ann", "Bob", "Cas", "bad"])
CITIES = st.sampled_from(["Oslo", "Rome", HIDDEN])
WHICH = st.integers(0, 20)
FAULTS = st.lists(
    st.sampled_from(["", "", "request", "response", "decide"]), max_size=6
)
# What of a mutation is beside its body.
NAMED = ("id", "sequence")
TABLET = {"name": "Tablet", "platform": "test", "app_version": "1"}


class KilledError(BaseException):
    """The process is gone; nothing of it may catch this."""


class MortalSession(requests.Session):
    """A session that sends nothing once its process is dead."""

    is_alive = True

    def request(self, *args, **options):
        if not self.is_alive:
            raise KilledError
        return super().request(*args, **options)


class FaultyService(UploadService):
    """Loses the requests and answers that `faults` tells, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.judge = _refuse_bad_names

    def reply_to(self, seen: Seen) -> Answer:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "request":
            return Answer(cut=0)
        answer = super().reply_to(seen)
        if fault == "decide":
            self.decide(most=2)
        if fault == "response":
            return Answer(cut=0)
        return answer


def _refuse_bad_names(document: Mapping[str, object]) -> str | None:
    values = document.get("values")
    is_bad = isinstance(values, Mapping) and values.get("name") == "bad"
    return "No." if is_bad else None


class Life(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(mkdtemp())
        self.service = FaultyService()
        self.service.__enter__()
        for key, name in ((ADA, "Ada"), (GRACE, "Grace"), (EDSGER, "Edsger")):
            self.service.put(key, name=name, city="Oslo")
        # Edits by id as they were made, and those that the user gave up or sent anew.
        self.made: dict[str, Edit] = {}
        self.settled: set[str] = set()
        self.open(self.folder / "1.sqlite")
        self.device.register(**TABLET)
        self.device.sync()
        self.service.back_up()

    def open(self, path: Path) -> None:
        self.session = MortalSession()
        self.store = Store(path)
        self.editor = Editor(self.store)
        self.device = Device(
            self.store,
            self.service.url,
            "contoso",
            DEVICE_ID,
            lambda: "token",
            session=self.session,
            retries=2,
            sleep=lambda _seconds: None,
        )

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            return
        try:
            self.fall_quiet()
        finally:
            self.device.close()
            self.store.close()
            self.service.__exit__()
            shutil.rmtree(self.folder)

    # What the user does.

    @rule(which=WHICH, name=NAMES)
    def rename(self, which: int, name: str) -> None:
        self.edit_row(
            which, lambda key: self.editor.update("account", key, {"name": name})
        )

    @rule(which=WHICH, city=CITIES)
    def move(self, which: int, city: str) -> None:
        self.edit_row(
            which, lambda key: self.editor.update("account", key, {"city": city})
        )

    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        self.edit_row(which, lambda key: self.editor.delete("account", key))

    @rule(which=WHICH, name=NAMES, city=CITIES)
    def change_together(self, which: int, name: str, city: str) -> None:
        def both(key: str) -> None:
            wishes = ({"name": name}, {"city": city})
            self.editor.edit(*(Update("account", key, wish) for wish in wishes))

        self.edit_row(which, both)

    @rule(name=NAMES, city=CITIES)
    def create(self, name: str, city: str) -> None:
        self.editor.create("account", {"name": name, "city": city})
        self.note_made()

    @rule(which=WHICH, choice=st.sampled_from(["mine", "theirs", "undo"]))
    def decide_on_a_failed_one(self, which: int, choice: str) -> None:
        failed = [edit for edit in self.editor.edits() if edit.has_failed]
        if failed:
            chosen = failed[which % len(failed)].number
            with self.settling():
                verbs: dict[str, Callable[[int], object]] = {
                    "mine": self.editor.keep_mine,
                    "theirs": self.editor.keep_theirs,
                    "undo": self.editor.undo,
                }
                verbs[choice](chosen)

    @rule(which=WHICH)
    def take_back(self, which: int) -> None:
        edits = self.editor.edits()
        if edits:
            with self.settling(), suppress(EditError):
                self.editor.undo(edits[which % len(edits)].number)

    # What the device and the world do.

    @rule(faults=FAULTS)
    def sync(self, faults: list[str]) -> None:
        self.service.faults = list(faults)
        with suppress(UnavailableError):
            self.device.sync()
        self.service.faults = []

    @rule(faults=FAULTS, statement=st.integers(1, 60))
    def be_killed_in_a_sync(self, faults: list[str], statement: int) -> None:
        self.service.faults = list(faults)
        with suppress(UnavailableError, KilledError):
            self.killed_at(statement, self.device.sync)
        self.service.faults = []

    @rule(name=NAMES, statement=st.integers(1, 12))
    def be_killed_in_an_edit(self, name: str, statement: int) -> None:
        wish = {"name": name, "city": "Oslo"}
        self.killed_at(statement, lambda: self.editor.create("account", wish))
        self.note_made()

    @rule(most=st.integers(1, 5))
    def carry_out(self, most: int) -> None:
        self.service.decide(most=most)

    @rule(which=WHICH, name=NAMES)
    def somebody_else_writes(self, which: int, name: str) -> None:
        keys = self.in_order_of_making(self.service.source)
        if keys:
            self.service.put(keys[which % len(keys)], name=name)

    @rule(which=WHICH)
    def somebody_else_deletes(self, which: int) -> None:
        keys = self.in_order_of_making(self.service.source)
        if keys:
            self.service.remove(keys[which % len(keys)])

    @rule()
    def back_up(self) -> None:
        self.service.back_up()

    @rule()
    def restore(self) -> None:
        self.service.restore()

    # What always holds.

    @precondition(lambda self: hasattr(self, "service"))
    @invariant()
    def nothing_typed_vanishes(self) -> None:
        held = {edit.id for edit in self.editor.edits()}
        gone = self.made.keys() - held - self.settled
        assert gone <= set(self.service.journal)

    @precondition(lambda self: hasattr(self, "service"))
    @invariant()
    def the_user_sees_synced_rows_under_edits(self) -> None:
        seen = {key: dict(row) for key, row in self.store.rows("account").items()}
        for edit in self.editor.edits():
            key = str(edit.key)
            empty = {"id": key, "name": None, "city": None, "_version": None}
            if edit.op == "delete":
                seen.pop(key, None)
            else:
                seen[key] = {**seen.get(key, {**empty}), **edit.values}
        assert self.editor.rows("account") == seen

    @precondition(lambda self: hasattr(self, "service"))
    @invariant()
    def edits_go_out_exactly_as_they_were_made(self) -> None:
        for mutation in self.service.memory.mutations:
            made = self.made.get(mutation.id)
            body = {n: v for n, v in mutation.document.items() if n not in NAMED}
            assert body == (made.body if made else {"op": "void"})

    @precondition(lambda self: hasattr(self, "service"))
    @invariant()
    def the_source_carries_each_out_once_and_in_order(self) -> None:
        numbers = [self.made[id_].number for id_ in self.service.journal]
        assert numbers == sorted(set(numbers))

    def fall_quiet(self) -> None:
        for _ in range(8):
            self.device.sync()
            self.service.decide()
        assert not self.editor.pending().unsent
        assert not self.editor.pending().undecided
        while failed := [edit for edit in self.editor.edits() if edit.has_failed]:
            self.editor.keep_theirs(failed[0].number)
            # What was parked behind it goes out anew.
            self.device.sync()
            self.service.decide()
            self.device.sync()
        assert self.editor.edits() == []
        assert self.editor.rows("account") == {
            key: {"id": key, **{n: row[n] for n in ("name", "city", "_version")}}
            for key, row in self.service.visible().items()
        }

    # Helpers.

    def edit_row(self, which: int, edit: Callable[[str], object]) -> None:
        keys = self.in_order_of_making(self.editor.rows("account"))
        if keys:
            edit(keys[which % len(keys)])
            self.note_made()

    def in_order_of_making(self, keys: Iterable[str]) -> list[str]:
        """Keys are random; a life that is lived again has to meet the same rows."""
        creates = [edit for edit in self.made.values() if edit.op == "create"]
        made = {edit.key: edit.number for edit in creates}
        return sorted(keys, key=lambda key: (made.get(key, 0), key))

    def note_made(self) -> None:
        for edit in self.editor.edits():
            self.made.setdefault(edit.id, edit)

    def settling(self):
        return _Settling(self)

    def killed_at(self, statement: int, act: Callable[[], object]) -> None:
        """Do something, and go on with what the disk had at that statement."""
        survivor = self.folder / str(uuid4())
        left = statement

        def die(_statement: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                survivor.mkdir()
                for file in Path(self.store.path).parent.glob(
                    f"{Path(self.store.path).name}*"
                ):
                    if not file.name.endswith("-shm"):
                        shutil.copy(file, survivor / file.name)
                self.session.is_alive = False

        self.store.connection.set_trace_callback(die)
        try:
            act()
        finally:
            self.store.connection.set_trace_callback(None)
            if not self.session.is_alive:
                path = survivor / Path(self.store.path).name
                self.device.close()
                self.store.close()
                self.open(path)


class _Settling:
    """What is gone afterwards was given up, or sent anew, because the user said so."""

    def __init__(self, life: Life) -> None:
        self.life = life

    def __enter__(self) -> None:
        self.before = {edit.id for edit in self.life.editor.edits()}

    def __exit__(self, *_: object) -> None:
        after = {edit.id for edit in self.life.editor.edits()}
        self.life.settled |= self.before - after
        self.life.note_made()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    database=None,
    # The same lives in every run: a failure is of the change that it came with.
    derandomize=True,
    # Shrinking a life takes far longer than reading it.
    phases=[Phase.generate],
    report_multiple_bugs=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
