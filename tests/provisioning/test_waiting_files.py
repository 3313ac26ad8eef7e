"""Files on disk: written by one request at a time, and kept as far as they came."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import override_settings

from provisioning.services import waiting_files
from provisioning.services.waiting_files import WaitingFile

SCAN = b"A scan of a contract." * 100
SIZE = len(SCAN)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    with override_settings(FILES_FOLDER=tmp_path):
        yield tmp_path


def kept(folder):
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def place():
    return WaitingFile(
        organization_id=uuid4(), device_id=uuid4(), mutation_id=uuid4(), label="x"
    )


def test_a_file_for_which_the_disk_has_no_room_is_put_off(folder, place):
    with pytest.raises(waiting_files.FolderFullError):
        place.add(lambda size: bytes(size), at=0, length=2**60)

    assert kept(folder) == []


def test_a_file_is_not_written_by_two_requests_at_once(folder, place):
    def meanwhile(size):
        with pytest.raises(waiting_files.BusyError):
            place.add(lambda _: b"other", at=0, length=5)
        return SCAN[:size]

    assert place.add(meanwhile, at=0, length=10) == 10
    assert kept(folder) == [SCAN[:10]]


def test_a_piece_that_was_cut_is_kept_as_far_as_it_came(place):
    pieces = [SCAN[:700], SCAN[700:900], b""]

    assert place.add(lambda _: pieces.pop(0), at=0, length=SIZE) == 900
    assert place.held == 900
