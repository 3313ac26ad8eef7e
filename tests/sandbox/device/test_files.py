"""Files and photos: kept until they are sent, sent and fetched on from where a cut was."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass, field

import pytest

from sandbox.device.editor import Editor
from sandbox.device.errors import EditError, RefusedError, UnavailableError
from sandbox.device.file_store import PIECE_BYTES
from tests.sandbox.device.answers import ADA
from tests.sandbox.device.scripted import Answer, problem
from tests.sandbox.device.upload_service import UploadService

PATH = f"/sync/v1/orgs/contoso/files/account/{ADA}/photo"
PUT, GET = f"PUT {PATH}", f"GET {PATH}"
TABLET = {"name": "Tablet", "platform": "test", "app_version": "1"}
PHOTO = b"".join(hashlib.sha256(bytes([n % 251])).digest() for n in range(80_000))


@dataclass
class Shelf:
    """Takes one file in pieces, as PROTOCOL §8 has it; each answer may be lost."""

    service: UploadService
    content: bytes = b""
    faults: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def take(self, seen) -> Answer:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "request":
            return Answer(cut=0)
        answer = self._take(seen)
        return Answer(cut=0) if fault == "answer" else answer

    def _take(self, seen) -> Answer:
        self.headers = dict(seen.headers)
        place = seen.headers.get("Content-Range", "")
        if found := re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", place):
            start, _, size = map(int, found.groups())
            if start <= len(self.content):
                self.content = self.content[:start] + seen.body
        elif place:
            size = int(place.partition("/")[2])
        else:
            self.content, size = seen.body, len(seen.body)
        if len(self.content) == size:
            self._accept()
            return Answer(status=202)
        held = {"Range": f"bytes=0-{len(self.content) - 1}"} if self.content else {}
        return Answer(status=204, headers=held)

    def _accept(self) -> None:
        id_ = self.headers["Waystation-Mutation"]
        sequence = int(self.headers["Waystation-Sequence"])
        document = {"id": id_, "sequence": sequence, "op": "void"}
        self.service.accept({"mutations": [document]})


@pytest.fixture
def service():
    with UploadService() as running:
        running.put(ADA, name="Ada", city="London")
        yield running


@pytest.fixture
def shelf(service):
    made = Shelf(service)
    service.answer(PUT, made.take)
    return made


@pytest.fixture
def device(make_device):
    made = make_device()
    made.register(**TABLET)
    made.sync()
    return made


@pytest.fixture
def editor(device):
    return Editor(device.store)


def attach(editor, content=PHOTO):
    return editor.attach("account", ADA, "photo", io.BytesIO(content), name="é.jpg")


def ranges(service) -> list[str]:
    return [seen.headers.get("Content-Range", "") for seen in service.requests(PUT)]


def test_a_file_arrives_whole_in_pieces_and_takes_its_place_in_the_order(
    service, shelf, device, editor
):
    editor.update("account", ADA, {"name": "A"})
    attach(editor)
    editor.update("account", ADA, {"name": "B"})

    device.upload()

    assert shelf.content == PHOTO
    assert [m.sequence for m in service.memory.mutations] == [1, 2, 3]
    assert len(ranges(service)) == -(-len(PHOTO) // PIECE_BYTES)
    assert shelf.headers["Content-Disposition"].endswith("''%C3%A9.jpg")
    assert editor.pending().undecided == 3


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_a_file_of_any_size_arrives(shelf, device, editor, size):
    attach(editor, PHOTO[:size])

    device.upload()

    assert (shelf.content, editor.pending().undecided) == (PHOTO[:size], 1)


def test_a_stream_that_gives_little_at_once_is_kept_whole(shelf, device, editor):
    class Trickle(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 70_001))

    editor.attach("account", ADA, "photo", Trickle(PHOTO))

    device.upload()

    assert shelf.content == PHOTO


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(["", "request"], id="a piece is lost"),
        pytest.param(["", "answer"], id="an answer is lost"),
        pytest.param(["", "", "answer"], id="the last answer is lost"),
        pytest.param(["answer", "answer", "request"], id="all the time"),
    ],
)
def test_an_upload_goes_on_with_what_the_service_does_not_hold(
    service, shelf, device, editor, faults
):
    shelf.faults = faults
    attach(editor)

    device.upload()

    assert shelf.content == PHOTO
    assert f"bytes */{len(PHOTO)}" in ranges(service)
    sent = sum(len(seen.body) for seen in service.requests(PUT))
    assert sent < len(PHOTO) + 2 * PIECE_BYTES


def test_a_device_that_was_switched_off_goes_on_with_the_rest(
    service, shelf, make_device, device
):
    editor = Editor(device.store)
    attach(editor)
    shelf.faults = ["", "request"]
    with pytest.raises(UnavailableError):
        make_device(store=device.store, retries=0).upload()
    before = len(service.requests(PUT))

    make_device(store=device.store).upload()

    asked, *rest = ranges(service)[before:]
    assert asked == f"bytes */{len(PHOTO)}"
    assert shelf.content == PHOTO
    assert rest[0].startswith(f"bytes {PIECE_BYTES}-")


def test_a_file_that_was_attached_is_seen_here_until_it_is_settled(
    service, shelf, device, editor, tmp_path
):
    attach(editor)
    device.fetch_file("account", ADA, "photo", target=tmp_path / "photo")
    here = (tmp_path / "photo").read_bytes()
    device.upload()
    service.decide()
    device.sync()

    assert here == PHOTO
    assert editor.file("account", ADA, "photo") is None
    assert service.requests(GET) == []


def test_a_file_that_the_service_never_takes_wedges_nothing(service, device, editor):
    attach(editor)
    editor.update("account", ADA, {"name": "A"})
    service.answer(PUT, problem(404, "not_found", detail="No such column."))

    device.upload()

    assert [m.document["op"] for m in service.memory.mutations] == ["void", "update"]
    (dispute,) = editor.disputes()
    assert dispute.edit.op == "file"
    service.answer(PUT, Shelf(service).take)
    editor.keep_mine(dispute.edit.number)
    assert b"".join(editor.file("account", ADA, "photo")) == PHOTO


def test_a_file_of_a_row_that_nobody_sees_is_refused(editor):
    with pytest.raises(EditError):
        editor.attach("account", "nobody", "photo", io.BytesIO(b"?"))

    assert editor.edits() == []


def served(*, etag='"1"', cuts=()):
    """Serve the photo by ranges, each answer cut after so many bytes."""
    cuts = list(cuts)

    def reply(seen) -> Answer:
        cut = cuts.pop(0) if cuts else None
        asked = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("Range", ""))
        if asked is None or seen.headers["If-Range"] != etag:
            return Answer(body=PHOTO, headers={"ETag": etag}, cut=cut)
        start = int(asked.group(1))
        place = f"bytes {start}-{len(PHOTO) - 1}/{len(PHOTO)}"
        headers = {"ETag": etag, "Content-Range": place}
        return Answer(status=206, body=PHOTO[start:], headers=headers, cut=cut)

    return reply


@pytest.mark.parametrize(
    "cuts", [(), (0,), (100_000, 1, 0, 500_000), (len(PHOTO),)], ids=str
)
def test_a_download_goes_on_where_it_was_cut(service, device, tmp_path, cuts):
    service.answer(GET, served(cuts=cuts))
    target = tmp_path / "photo.jpg"

    device.fetch_file("account", ADA, "photo", target=target)

    assert target.read_bytes() == PHOTO
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_file_that_changed_during_a_download_starts_from_its_beginning(
    service, device, tmp_path
):
    old = Answer(body=b"old" * 100_000, headers={"ETag": '"0"'}, cut=200_000)
    service.answer(GET, old, served())

    device.fetch_file("account", ADA, "photo", target=tmp_path / "photo.jpg")

    assert (tmp_path / "photo.jpg").read_bytes() == PHOTO


def test_a_new_photo_names_the_one_that_the_user_had_seen(
    service, shelf, device, editor, tmp_path
):
    service.answer(GET, served(etag='"7"'))
    device.fetch_file("account", ADA, "photo", target=tmp_path / "photo.jpg")

    attach(editor)
    device.upload()

    assert shelf.headers["If-Match"] == '"7"'


def test_a_file_that_is_not_there_leaves_nothing_behind(service, device, tmp_path):
    service.answer(GET, problem(404, "not_found"))

    with pytest.raises(RefusedError):
        device.fetch_file("account", ADA, "photo", target=tmp_path / "photo.jpg")

    assert list(tmp_path.iterdir()) == []
