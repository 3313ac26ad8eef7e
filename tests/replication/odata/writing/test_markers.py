"""Markers: rows that are written together with edits, in the user's name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from replication.odata.errors import AccessRefusedError
from replication.odata.marker_cleanup import remove_old
from replication.odata.marker_install import NoMarkersError, install
from replication.odata.writing import (
    MarkerExistsError,
    MarkerRefusedError,
    MarkersGoneError,
    WriteRefusedError,
)
from sandbox.contoso.people import PEOPLE_BY_KEY
from tests.replication.odata.writing.conftest import opened
from tests.replication.odata.writing.edits import (
    ADA,
    create,
    marker,
    row,
    update,
    version,
    writes_after,
)
from tests.sandbox.running import Client, as_person, start

CREATE_MARKER = "prvCreatews_MutationMarker"


@pytest.fixture
def marked(source):
    install(source)
    return source


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The folder of a very small organization that was started and stopped once."""
    folder: Path = tmp_path_factory.mktemp("made")
    start(folder, scale=3).stop()
    return folder


@pytest.fixture
def bare(made, tmp_path) -> Iterator[Client]:
    """An organization of one's own, without markers."""
    shutil.copytree(made, tmp_path / "bare")
    sandbox = start(tmp_path / "bare", scale=3)
    yield as_person(sandbox, "hedy")
    sandbox.stop()


def test_the_table_is_made_once_with_the_rights_of_all_who_may_go_offline(
    bare,
) -> None:
    source = opened(bare)
    assert not source.writer().may_mark(caller=ADA)

    first, second = install(source), install(source)

    assert (first.is_new, second.is_new) == (True, False)
    assert "Field Salesperson" in first.roles
    assert "Waystation Replicator" not in first.roles
    assert second.roles == ()
    assert opened(bare).writer().may_mark(caller=ADA)


def test_whoever_may_not_change_metadata_installs_nothing(bare) -> None:
    with pytest.raises(AccessRefusedError):
        install(opened(as_person(bare.running, "ada")))


def test_other_services_have_no_markers(service) -> None:
    assert not service.writer().may_mark(caller=ADA)
    with pytest.raises(NoMarkersError):
        install(service)


def test_an_edit_and_its_marker_are_one(marked, contoso, defined) -> None:
    task, mark, before = create(defined("task"), subject="Once"), marker(), 0
    before = version(contoso)

    marked.writer().send([task], caller=ADA, marker=mark)

    assert marked.writer().has_marker(mark.id)
    (edit,) = [w for w in writes_after(contoso, before) if w["table"] == "task"]
    assert (edit["marker"], edit["by"]) == (str(mark.id), PEOPLE_BY_KEY["ada"].id)
    name = row(contoso, "ws_mutationmarkers", mark.id)["ws_name"]
    assert name == mark.name


def test_an_edit_that_is_refused_leaves_no_marker(marked, contoso, defined) -> None:
    foreign, mark = contoso.created("accounts", name="Not Ada's"), marker()
    write = update(defined("account"), foreign["accountid"], name="Ada's")

    with pytest.raises(WriteRefusedError) as refused:
        marked.writer().send([write], caller=ADA, marker=mark)

    assert (refused.value.index, refused.value.reason) == (0, "not_permitted")
    assert not marked.writer().has_marker(mark.id)


def test_an_edit_is_not_made_a_second_time(marked, contoso, defined) -> None:
    task, mark = create(defined("task"), subject="Once"), marker()
    marked.writer().send([task], caller=ADA, marker=mark)
    before = version(contoso)

    with pytest.raises(MarkerExistsError):
        marked.writer().send([task], caller=ADA, marker=mark)

    assert writes_after(contoso, before) == []


def test_an_edit_that_was_made_and_undone_by_others_is_not_made_again(
    marked, contoso, defined
) -> None:
    task, mark = create(defined("task"), subject="Once"), marker()
    marked.writer().send([task], caller=ADA, marker=mark)
    contoso.api("DELETE", f"tasks({task.key[0]})")

    with pytest.raises(MarkerExistsError):
        marked.writer().send([task], caller=ADA, marker=mark)

    assert contoso.get(f"tasks({task.key[0]})").status_code == 404


def test_a_user_without_the_right_to_mark_is_told_apart(bare, defined) -> None:
    install(opened(bare))
    source, task, mark = opened(bare), create(defined("task")), marker()
    for role in ("Field Salesperson", "Team Player"):
        bare.control(
            "POST",
            "role-privileges",
            {"role": role, "privilege": CREATE_MARKER, "depth": 0},
        )

    with pytest.raises(MarkerRefusedError):
        source.writer().send([task], caller=ADA, marker=mark)

    assert not source.writer().may_mark(caller=ADA)
    assert source.writer().may_mark(caller=UUID(PEOPLE_BY_KEY["hedy"].object_id))
    source.writer().send([task], caller=ADA)
    assert bare.get(f"tasks({task.key[0]})").status_code == 200


def test_whoever_may_not_act_at_all_is_not_taken_for_one_without_markers(
    marked, defined
) -> None:
    with pytest.raises(WriteRefusedError) as refused:
        marked.writer().send([create(defined("task"))], caller=uuid4(), marker=marker())

    assert refused.value.reason == "not_permitted"


def test_old_markers_go(marked, defined) -> None:
    mark, tomorrow = marker(), datetime.now(UTC) + timedelta(days=1)
    marked.writer().send([create(defined("task"))], caller=ADA, marker=mark)

    assert remove_old(marked, before=tomorrow - timedelta(days=30)) == 0
    assert marked.writer().has_marker(mark.id)
    assert remove_old(marked, before=tomorrow) > 0
    assert not marked.writer().has_marker(mark.id)


def test_where_no_markers_are_none_go(bare, service) -> None:
    assert remove_old(opened(bare), before=datetime.now(UTC)) == 0
    assert remove_old(service, before=datetime.now(UTC)) == 0


def test_without_the_table_nobody_says_whether_an_edit_was_made(bare) -> None:
    with pytest.raises(MarkersGoneError):
        opened(bare).writer().has_marker(uuid4())
