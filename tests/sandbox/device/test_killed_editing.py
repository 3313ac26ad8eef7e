"""A device that is killed at any point has each edit wholly or not at all."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.device.editor import Create, Editor, Update
from sandbox.device.store import Store
from tests.sandbox.device.answers import ADA, complete, delta, download, model, rows
from tests.sandbox.device.answers import table as described
from tests.sandbox.device.conftest import DEVICE_ID
from tests.sandbox.device.test_crashes import crashed_copy
from tests.sandbox.device.test_edits import outcome, outcomes
from tests.sandbox.device.upload_service import UploadService

M1 = model("M1", described("account", name="string", city="string"))

# Makes the edits that are missing, telling of each as an app would be told, and sends
# them; dies like a process that the system kills, at the statement of that number.
EDITING = """
import os, signal, sys
from sandbox.device.client import Device
from sandbox.device.editor import Editor
from sandbox.device.store import Store

path, url, device_id, wanted, last = sys.argv[1:]
left = int(last)

def die(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

with Store(path) as store, Device(
    store, url, "contoso", device_id, lambda: "token", sleep=lambda seconds: None
) as device:
    if store.model is None:
        device.sync()
    store.connection.set_trace_callback(die)
    editor = Editor(store)
    for number in range(len(open(path + ".told").readlines()), int(wanted)):
        edit = editor.create("account", {"name": f"Row {number}"})
        with open(path + ".told", "a") as file:
            file.write(edit.id + "\\n")
    device.sync()
"""


def test_a_crash_at_any_statement_of_an_edit_leaves_all_of_it_or_nothing(tmp_path):
    path = tmp_path / "ada.sqlite"
    found: list[list[tuple[int | None, bytes]]] = []

    def crash(_statement: str) -> None:
        crashed_copy(path, tmp_path / "copy")
        with Store(tmp_path / "copy" / path.name) as store:
            edits = Editor(store).edits()
            found.append([(edit.sequence, edit.mutation()) for edit in edits])

    with Store(path) as store:
        store.apply(download(M1, [ADA, "Ada", "London", "1"]), model=M1)
        store.connection.set_trace_callback(crash)

        Editor(store).edit(
            Update("account", ADA, {"name": "A"}), Create("account", {"name": "B"})
        )

        store.connection.set_trace_callback(None)
        crash("after the commit")
    assert len(found) > 8
    assert all(edits == [] for edits in found[:-1])
    assert [sequence for sequence, _ in found[-1]] == [1, 2]


def test_a_crash_while_an_answer_is_stored_never_shows_the_old_value(tmp_path):
    path = tmp_path / "ada.sqlite"
    found: list[object] = []

    def crash(_statement: str) -> None:
        crashed_copy(path, tmp_path / "copy")
        with Store(tmp_path / "copy" / path.name) as store:
            found.append(Editor(store).rows("account")[ADA]["name"])

    with Store(path) as store:
        store.apply(download(M1, [ADA, "Ada", "London", "1"]), model=M1)
        edit = Editor(store).update("account", ADA, {"name": "Countess"})
        told = outcomes(outcome(edit, "applied"))
        store.connection.set_trace_callback(crash)

        store.apply(
            [
                delta(M1),
                rows("account", [ADA, "Countess", "London", "2"]),
                told,
                complete("k2", through_mutation=1),
            ]
        )

        store.connection.set_trace_callback(None)
        crash("after the commit")
        assert Editor(store).edits() == []
    assert len(found) > 8
    assert set(found) == {"Countess"}


def test_a_crash_while_a_photo_is_attached_leaves_no_half_of_it(tmp_path):
    path = tmp_path / "ada.sqlite"
    photo = b"photo" * 700_000
    found: list[object] = []

    def crash(_statement: str) -> None:
        crashed_copy(path, tmp_path / "copy")
        with Store(tmp_path / "copy" / path.name) as store:
            pieces = Editor(store).file("account", ADA, "photo")
            found.append(None if pieces is None else b"".join(pieces))

    with Store(path) as store:
        store.apply(download(M1, [ADA, "Ada", "London", "1"]), model=M1)
        store.connection.set_trace_callback(crash)

        Editor(store).attach("account", ADA, "photo", io.BytesIO(photo))

        store.connection.set_trace_callback(None)
        crash("after the commit")
    assert len(found) > 8
    assert found == [None] * (len(found) - 1) + [photo]


def test_a_device_that_is_killed_again_and_again_sends_everything_once(tmp_path):
    path = tmp_path / "ada.sqlite"
    told = Path(f"{path}.told")
    told.touch()
    with UploadService() as service:
        wanted, kills = 0, 0
        for statement in (1, 5, 9, 14, 18, 23, 27, 31, 36, 45, 60, 10_000):
            wanted += 2
            code = run_device(path, service.url, wanted=wanted, last=statement)
            kills += code == -signal.SIGKILL
        assert (code, kills > 5) == (0, True)

        service.decide()
        code = run_device(path, service.url, wanted=wanted, last=10_000)

        sequences = [mutation.sequence for mutation in service.memory.mutations]
        assert sequences == list(range(1, len(sequences) + 1))
        assert service.journal == [m.id for m in service.memory.mutations]
        # An edit of which the app was not told may be there as well.
        assert set(told.read_text().split()) <= set(service.journal)
        with Store(path) as store:
            assert Editor(store).edits() == []
            assert len(store.rows("account")) == len(service.journal)


def run_device(path: Path, url: str, *, wanted: int, last: int) -> int:
    """Run the device's process to its end, and return how that was."""
    arguments = [str(path), url, DEVICE_ID, str(wanted), str(last)]
    process = subprocess.run(
        [sys.executable, "-c", EDITING, *arguments],
        cwd=Path(__file__).parents[3],
        timeout=30,
        check=False,
    )
    return process.returncode
