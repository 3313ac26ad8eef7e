"""The command line for edits: what it queues, shows and settles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.device.commands import main
from sandbox.device.editor import Editor
from sandbox.device.store import Store
from tests.sandbox.device.answers import ADA, complete, delta, download, model, rows
from tests.sandbox.device.answers import table as described
from tests.sandbox.device.conftest import DEVICE_ID
from tests.sandbox.device.scripted import json_answer
from tests.sandbox.device.test_edits import outcome, outcomes
from tests.sandbox.device.upload_service import UploadService

M1 = model(
    "M1", described("account", name="string", city="string", seats="int", on="bool")
)
ROW = [ADA, "Ada", "London", 1, True, "v1"]


@pytest.fixture
def path(tmp_path) -> str:
    """A database with one row."""
    made = str(tmp_path / "ada.sqlite")
    with Store(made) as store:
        store.apply(download(M1, ROW), model=M1)
    return made


@pytest.fixture
def run(path, capsys):
    """Return a function that runs a command and returns its code and what it said."""

    def command(*words: str) -> tuple[int, str]:
        code = main([*words[:1], "--db", path, *words[1:]])
        said = capsys.readouterr()
        return code, said.out + said.err

    return command


def queued(path) -> list[dict[str, Any]]:
    with Store(path) as store:
        return [json.loads(edit.mutation()) for edit in Editor(store).edits()]


def told(path, status, **more) -> None:
    """The service tells what became of the first edit."""
    with Store(path) as store:
        edit = Editor(store).edits()[0]
        said = outcomes(outcome(edit, status, **more))
        row = [ADA, "Ada [/b] King", *ROW[2:-1], "v2"]
        end = complete("k2", through_mutation=9)
        store.apply([delta(M1), rows("account", row), said, end])


def test_values_are_typed_by_their_columns(run, path):
    words = ("name=5", "city=", "seats=7", "on=false")

    code, said = run("edit", "account", ADA, *words)
    run("edit", "account", ADA, 'name:="" ')

    assert (code, said) == (0, "Edit 1 is queued.\n")
    first, second = queued(path)
    assert first["values"] == {"name": "5", "city": None, "seats": 7, "on": False}
    assert second["values"] == {"name": ""}


def test_rows_are_made_and_deleted(run, path):
    made, said = run("create", "account", "name=Grace")
    deleted, _ = run("delete", "account", ADA)

    created, gone = queued(path)
    assert (made, deleted) == (0, 0)
    assert created["key"] in said
    assert (gone["op"], gone["key"]) == ("delete", ADA)


def test_show_prints_edits_over_synced_rows_unless_told_otherwise(run):
    run("edit", "account", ADA, "name=Countess")

    _, seen = run("show", "account")
    _, synced = run("show", "account", "--synced")

    assert ("Countess" in seen, "Countess" in synced) == (True, False)


def test_status_and_edits_tell_what_is_not_settled(run):
    run("edit", "account", ADA, "name=Countess")

    _, status = run("status")
    _, edits = run("edits")

    assert "1 unsent, 0 without an outcome" in status
    assert all(word in edits for word in ("1", "update", "name=Countess", "queued"))


def test_conflicts_are_shown_side_by_side(run, path):
    run("edit", "account", ADA, "name=Countess")
    told(path, "conflict", row={})

    code, said = run("conflicts")

    assert code == 0
    (line,) = [line for line in said.splitlines() if "Countess" in line]
    shown = [cell.strip() for cell in line.strip("│").split("│")]
    assert shown == ["name", "Ada", "Countess", "Ada [/b] King"]


def test_keeping_mine_or_theirs_settles_a_conflict(run, path):
    run("edit", "account", ADA, "name=Countess")
    told(path, "conflict", row={})

    again = run("keep", "mine", "1")
    told(path, "conflict", row={})
    given_up = run("keep", "theirs", "2")

    assert again == (0, "Queued again as 2.\n")
    assert given_up == (0, "Edit 2 is given up.\n")
    assert queued(path) == []


def test_an_edit_can_be_undone(run, path):
    run("edit", "account", ADA, "name=Countess")

    code, _ = run("undo", "1")

    assert (code, queued(path)) == (0, [])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["edit", "account", ADA, "name"], 10, id="no value"),
        pytest.param(["edit", "account", ADA, "seats=many"], 10, id="no number"),
        pytest.param(["edit", "account", ADA, "nick=A"], 10, id="no column"),
        pytest.param(["edit", "planet", ADA, "name=A"], 6, id="no table"),
        pytest.param(["attach", "account", ADA, "photo", "/none"], 10, id="no file"),
        pytest.param(["undo", "99"], 10, id="no edit"),
    ],
)
def test_what_cannot_be_is_one_line_and_an_exit_code(run, words, code):
    found, said = run(*words)

    assert (found, said.count("\n")) == (code, 1)


def test_edits_and_photos_are_uploaded(run, path, tmp_path, capsys):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"photo")
    run("edit", "account", ADA, "name=Countess")
    run("attach", "account", ADA, "photo", str(photo))
    fetched = tmp_path / "fetched.jpg"
    with UploadService() as service:
        options = signed_in(service, path)
        found = main(["fetch", *options, "account", ADA, "photo", str(fetched)])
        run("undo", "2")

        code = main(["upload", *options])

    said = capsys.readouterr().out
    assert (found, code, fetched.read_bytes()) == (0, 0, b"photo")
    assert "2 edits sent; 2 wait for their outcome" in said


def signed_in(service, path) -> list[str]:
    """The options of a command that talks to this service."""
    with Store(path) as store:
        store.bind(organization="contoso", device=DEVICE_ID)
    found = {
        "organization": "contoso",
        "endpoint": service.url,
        "authority": f"{service.url}/contoso/v2.0",
        "audience": "api://waystation",
        "state": "active",
    }
    token = {"access_token": "token", "expires_in": 3600}
    service.answer("GET /discovery/v1/orgs/contoso", json_answer(found))
    service.answer("POST /contoso/oauth2/v2.0/token", json_answer(token))
    where = ["--url", service.url, "--org", "contoso", "--db", path]
    return [*where, "--user", "ada@contoso.example", "--password", "sandbox"]
