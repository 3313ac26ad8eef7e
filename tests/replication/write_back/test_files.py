"""Files reach the source once, in their device's order, and only over what was seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.test import override_settings

from provisioning.services.waiting_files import WaitingFile
from replication.domain.file_edits import FileBody
from replication.domain.profiles import ProfileItem
from replication.domain.tables import FileDef
from replication.odata.errors import SourceUnavailableError, UnknownOutcomeError
from replication.odata.files import Block, FileState
from replication.odata.writing import PreconditionFailedError, WriteRefusedError
from replication.staging import registry
from tests.fake_dataverse import ACCOUNT, FakeDataverse
from tests.replication.worlds import profile
from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)

SCAN = b"A scan of a contract."
AIRPORT = str(guid("Airport"))


@dataclass
class PlayedFiles:
    """Files at the source; a row's version grows with its file."""

    fake: FakeDataverse
    held: dict[str, bytes] = field(default_factory=dict)
    sent: list[Any] = field(default_factory=list)
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None

    def look(self, place):
        row = self.fake.rows("account").get(place.key[0])
        if row is None:
            return None
        content = self.held.get(place.key[0])
        return FileState(
            etag=f'W/"{row["versionnumber"]}"',
            row_version=str(row["versionnumber"]),
            version=version(content),
            is_there=content is not None,
        )

    def reader(self, place):
        content = self.held.get(place.key[0])

        def block(start, length):
            if content is None:
                return None
            return Block(content=content[start : start + 5], size=len(content))

        return SimpleNamespace(block=block)

    def send(self, place, parcel):
        self.before()
        self.put(place.key[0], parcel.content.read())
        self.sent.append((place.key[0], parcel.caller, parcel.name, parcel.if_match))
        self.after()

    def put(self, key, content):
        self.held[key] = content
        self.fake.put("account", key)


def version(content):
    return hashlib.sha256(content or b"none").hexdigest()[:8]


@pytest.fixture(autouse=True)
def folder(tmp_path):
    with override_settings(FILES_FOLDER=tmp_path):
        yield tmp_path


@pytest.fixture
def with_files():
    """Let accounts of a world have a contract; return the files at its source."""

    def make(world):
        known = replace(ACCOUNT, files=(FileDef(name="contract", kind="file"),))
        world.execute(
            "UPDATE sync.source SET definition = %s WHERE name = 'account'",
            registry.encode(known),
        )
        files = PlayedFiles(world.source)
        world.sink.files = lambda: files
        return files

    return make


@pytest.fixture
def files(world, with_files):
    return with_files(world)


def attach(world, device, content=SCAN, *, key=AIRPORT, column="contract", **more):
    """A file that was accepted; its content waits on disk, unless it is lost."""
    is_lost = more.pop("is_lost", False)
    about = {
        "column": column,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "name": "scan.pdf",
        **more,
    }
    id_ = world.accept("file", key, device=device, **about)
    (sequence,) = world.values("SELECT sequence FROM sync.mutation WHERE id = %s", id_)
    edit = FileBody(**about).edit(id_=id_, sequence=sequence)
    place = WaitingFile(
        organization_id=world.id, device_id=device, mutation_id=id_, label=edit.label
    )
    pieces = [content, b""]
    place.add(lambda _: pieces.pop(0), at=0, length=len(content))
    place.finish()
    if is_lost:
        place.remove()
    return id_


def kept(folder):
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def outcome(world, device, number=0):
    status, members = world.outcomes(device)[number]
    return status, members.get("reason") or members.get("lost")


def test_a_file_is_written_in_its_users_name_and_its_row_comes_back(
    world, files, device, folder
):
    ada = world.device("Ada")
    ada.sync()
    before = world.version("Airport")
    attach(world, device)

    world.carry()

    expected = (AIRPORT, guid("Ada@entra"), "scan.pdf", f'W/"{before}"')
    assert files.sent == [expected]
    assert files.held[AIRPORT] == SCAN
    assert world.outcomes(device) == [
        ("applied", {"version": world.version("Airport")})
    ]
    assert world.version("Airport") != before
    assert kept(folder) == []


def test_a_file_takes_its_turn_and_waits_behind_what_failed(
    world, files, device, folder
):
    world.sink.before = lambda writes: (_ for _ in ()).throw(
        WriteRefusedError("No.", reason="invalid")
    )
    world.edit("Airport", device=device, revenue=-1)
    attach(world, device)
    attach(world, device, key=str(guid("Depot")))

    world.carry()

    assert world.statuses(device) == ["rejected", "parked", "applied"]
    assert [key for key, *_ in files.sent] == [str(guid("Depot"))]
    assert kept(folder) == [SCAN]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"key": str(uuid4())}, "not_found"),
        ({"column": "name"}, "not_writable"),
        ({"key": "no key"}, "invalid"),
    ],
)
def test_what_the_user_may_not_write_is_refused(world, files, device, sent, reason):
    attach(world, device, **sent)

    world.carry()

    assert outcome(world, device) == ("rejected", reason)
    assert files.sent == []


def test_a_table_that_is_not_writable_takes_no_files(world, files, device):
    world.put_in_effect(profile(ProfileItem(table="account")))
    attach(world, device)

    world.carry()

    assert outcome(world, device) == ("rejected", "not_writable")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("server_wins", ("conflict", ["contract"])),
        ("merge", ("conflict", ["contract"])),
        ("client_wins", ("applied", None)),
    ],
)
def test_a_file_that_the_user_never_saw_is_kept(
    uploading, with_files, device, policy, expected
):
    world = uploading(conflicts=policy)
    files = with_files(world)
    files.put(AIRPORT, b"another's")
    attach(world, device, if_match=version(b"what he saw"))

    world.carry()

    assert outcome(world, device) == expected
    assert files.held[AIRPORT] == (SCAN if expected[1] is None else b"another's")


def test_a_device_does_not_conflict_with_its_own_file(world, files, device):
    seen = version(None)
    attach(world, device, b"first", if_match=seen)
    attach(world, device, b"second", if_match=seen)

    world.carry()

    assert world.statuses(device) == ["applied", "applied"]
    assert files.held[AIRPORT] == b"second"


def test_another_edit_of_the_row_is_no_conflict(world, files, device):
    attach(world, device, if_match=version(None))
    world.source.put("account", AIRPORT, name="Renamed")

    world.carry()

    assert world.statuses(device) == ["applied"]


def test_a_row_that_changes_just_then_is_decided_on_anew(world, files, device):
    changed = [PreconditionFailedError("It has changed.")]

    def fail_once():
        if changed:
            raise changed.pop()

    files.before = fail_once
    attach(world, device)

    world.carry()

    assert world.statuses(device) == ["applied"]


def lose(_=None):
    raise UnknownOutcomeError(SourceUnavailableError("The connection failed."))


def test_a_file_that_arrived_unheard_is_not_sent_again(world, files, device, folder):
    files.after = lose
    attach(world, device)
    world.carry()
    waiting = world.statuses(device)

    files.after = lambda: None
    world.try_again_now()
    world.carry()

    assert (waiting, world.statuses(device)) == (["accepted"], ["applied"])
    assert len(files.sent) == 1
    assert "uncertain" not in world.outcomes(device)[0][1]
    assert kept(folder) == []


def test_a_file_that_did_not_arrive_is_sent_again_when_the_first_is_over(
    world, files, device
):
    files.before = lose
    attach(world, device)
    world.carry()
    files.before = lambda: None
    world.sink.time_limit = timedelta(hours=1)
    world.try_again_now()
    world.carry()
    too_early = world.statuses(device)

    world.sink.time_limit = timedelta(0)
    world.try_again_now()
    world.carry()

    assert (too_early, world.statuses(device)) == (["accepted"], ["applied"])
    assert len(files.sent) == 1


def test_a_file_that_another_took_the_place_of_is_never_sent_again(
    world, files, device
):
    files.after = lose
    attach(world, device)
    world.carry()
    files.put(AIRPORT, b"another's, later")

    world.try_again_now()
    world.carry()

    assert world.outcomes(device)[0][1]["uncertain"] is True
    assert files.held[AIRPORT] == b"another's, later"


def test_a_file_that_the_worker_does_not_see_waits_before_it_is_given_up(
    world, files, device
):
    attach(world, device, is_lost=True)
    world.carry()
    waiting = world.statuses(device)
    world.execute(
        "UPDATE sync.mutation SET accepted_at = accepted_at - interval '2 hours'"
    )
    world.try_again_now()
    world.carry()

    assert waiting == ["accepted"]
    assert outcome(world, device) == ("rejected", "other")
