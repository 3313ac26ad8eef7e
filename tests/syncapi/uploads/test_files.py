"""A file is durable before it is accepted, once, in its device's order, and whole."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from django.test import override_settings

from provisioning.services import waiting_files
from replication.domain.file_edits import LARGEST_FILE
from replication.domain.profiles import ProfileItem
from replication.domain.tables import FileDef
from replication.services import file_uploads, heads
from replication.staging import registry
from tests.fake_dataverse import ACCOUNT
from tests.replication.worlds import profile
from tests.staged import guid
from tests.syncapi.uploads.deciding import decide
from tests.syncapi.uploads.phone import PATH, void

AIRPORT = str(guid("Airport"))
SCAN = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(200))


@pytest.fixture(autouse=True)
def folder(tmp_path):
    with override_settings(FILES_FOLDER=tmp_path / "files"):
        yield tmp_path / "files"


@pytest.fixture
def world(world):
    """Accounts have a contract, and one that only some may see."""
    known = replace(
        ACCOUNT,
        files=(
            FileDef(name="contract", kind="file"),
            FileDef(name="salary", kind="file", secured=True),
        ),
    )
    world.execute(
        "UPDATE sync.source SET definition = %s WHERE name = 'account'",
        registry.encode(known),
    )
    return world


def put(
    phone,
    content=SCAN,
    *,
    sequence=1,
    id_=None,
    place=None,
    path=None,
    device=None,
    **headers,
):
    named = {
        "Waystation-Mutation": str(id_ or UUID(int=1_000_000 + sequence)),
        "Waystation-Sequence": str(sequence),
        **({"Content-Range": place} if place else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    where = path or f"account/{AIRPORT}/contract"
    return phone.client.put(
        f"{PATH}/files/{where}?device={device or phone.device}",
        content,
        content_type="application/octet-stream",
        headers=named,
    )


SIZE = len(SCAN)


def part(first, last, *, of=SIZE):
    return {"content": SCAN[first : last + 1], "place": f"bytes {first}-{last}/{of}"}


def ask(phone, *, of=SIZE, **more):
    return put(phone, b"", place=f"bytes */{of}", **more)


def said(answer):
    return answer.status_code, answer.headers.get("Range")


def problem(answer):
    return answer.status_code, answer.json()["code"]


def kept(folder):
    return sorted(p.read_bytes() for p in folder.rglob("*") if p.is_file())


def stored(world):
    return world.fetch(
        'SELECT sequence, op, "table", row_key, status FROM sync.mutation'
    )


def test_accepted_means_on_disk_and_in_the_queue(world, phone, folder):
    answer = put(phone)

    mutation = str(UUID(int=1_000_001))
    assert answer.status_code == 202
    assert answer.headers["Waystation-Mutation"] == mutation
    assert answer.headers["Waystation-Sequence"] == "1"
    assert answer.json()["outcomes"] == [
        {"id": mutation, "sequence": 1, "status": "accepted"}
    ]
    assert stored(world) == [(1, "file", "account", AIRPORT, "accepted")]
    assert kept(folder) == [SCAN]


def test_a_file_comes_in_parts_and_says_what_it_holds(world, phone, folder):
    answers = [
        ask(phone),
        put(phone, **part(0, 999)),
        put(phone, **part(2000, 2999)),
        put(phone, **part(500, 4999)),
        ask(phone),
    ]
    before = stored(world)
    last = put(phone, **part(5000, len(SCAN) - 1))

    assert [said(answer) for answer in answers] == [
        (204, None),
        (204, "bytes=0-999"),
        (204, "bytes=0-999"),
        (204, "bytes=0-4999"),
        (204, "bytes=0-4999"),
    ]
    assert (before, last.status_code) == ([], 202)
    assert kept(folder) == [SCAN]


def test_a_file_has_its_place_among_the_edits(world, phone):
    phone.accepted(void(1))
    put(phone, sequence=2)
    phone.accepted(void(3))

    assert [(row[0], row[1]) for row in stored(world)] == [
        (1, "void"),
        (2, "file"),
        (3, "void"),
    ]


def test_the_same_file_again_changes_nothing_and_tells_how_it_stands(
    world, phone, folder
):
    put(phone)
    again, asked = put(phone), ask(phone)
    decide(world, phone.device, 1)
    settled = put(phone)

    assert [a.status_code for a in (again, asked, settled)] == [202, 202, 202]
    assert settled.json()["outcomes"][0]["status"] == "applied"
    assert len(stored(world)) == 1
    assert kept(folder) == [SCAN]


@pytest.mark.parametrize("size", [0, 1])
def test_a_file_of_no_bytes_is_one(phone, folder, size):
    assert put(phone, SCAN[:size]).status_code == 202
    assert kept(folder) == [SCAN[:size]]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"content": SCAN[::-1]}, id="other content"),
        pytest.param({"content": SCAN[1:]}, id="another size"),
        pytest.param({"path": f"account/{guid('Harbour')}/contract"}, id="another row"),
        pytest.param({"If_Match": '"7"'}, id="another version"),
        pytest.param({"sequence": 2, "id_": UUID(int=1_000_001)}, id="a new sequence"),
    ],
)
def test_an_id_that_comes_again_with_something_else_is_refused(
    world, phone, folder, changes
):
    put(phone)

    answer = put(phone, **changes)

    assert problem(answer) == (409, "reused")
    assert len(stored(world)) == 1
    assert kept(folder) == [SCAN]


def test_a_gap_is_refused_before_anything_is_stored(world, phone, folder):
    answer = put(phone, sequence=3)

    assert problem(answer) == (400, "malformed")
    assert "must be 1" in answer.json()["errors"][0]["message"]
    assert (stored(world), kept(folder)) == ([], [])


HUGE = LARGEST_FILE + 50 * 2**20


MALFORMED, UNKNOWN = (400, "malformed"), (404, "not_found")
TOO_LARGE = (413, "too_large")
REFUSED = {
    "50 MB too large": (
        {"place": f"bytes 0-9/{HUGE}", "content": SCAN[:10]},
        TOO_LARGE,
    ),
    "a question too large": ({"place": f"bytes */{HUGE}", "content": b""}, TOO_LARGE),
    "a range backwards": ({"place": "bytes 5-2/100"}, MALFORMED),
    "a range beyond its file": ({"place": "bytes 0-9/5"}, MALFORMED),
    "an endless range": ({"place": f"bytes 0-{10**30}/{10**31}"}, MALFORMED),
    "more bytes than its range": (
        {"place": "bytes 0-9/100", "content": SCAN[:11]},
        MALFORMED,
    ),
    "a question with bytes": ({"place": "bytes */100", "content": b"x"}, MALFORMED),
    "no range at all": ({"place": "pages 1-2/3"}, MALFORMED),
    "sequence 0": ({"sequence": 0}, MALFORMED),
    "sequence 1e3": ({"sequence": "1e3"}, MALFORMED),
    "sequence -1": ({"sequence": "-1"}, MALFORMED),
    "an id that is a path": ({"id_": "../../etc/passwd"}, MALFORMED),
    "no ETag": ({"If_Match": "no etag"}, MALFORMED),
    "a coding": ({"Content_Encoding": "gzip"}, MALFORMED),
    "no such device": ({"device": UUID(int=5)}, (404, "unknown_device")),
    "no file": ({"path": f"account/{AIRPORT}/name"}, UNKNOWN),
    "no table": ({"path": f"nothing/{AIRPORT}/contract"}, UNKNOWN),
    "a key that is a path": (
        {"path": f"account/{AIRPORT}/..%2F..%2Fcontract"},
        UNKNOWN,
    ),
    "a table that is a path": ({"path": f"..%2Fa/{AIRPORT}/contract"}, MALFORMED),
    "a column that is a path": ({"path": f"account/{AIRPORT}/.."}, MALFORMED),
    "a key without end": ({"path": "account/" + "x" * 2000 + "/contract"}, MALFORMED),
    "NUL in a key": ({"path": "account/a%00b/contract"}, MALFORMED),
}


@pytest.mark.parametrize(("sent", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_breaks_the_protocol_is_refused_and_leaves_nothing(
    world, phone, folder, sent, expected
):
    if not isinstance(sent.get("sequence", 1), int):
        sent = {"id_": UUID(int=1), **sent}

    answer = put(phone, **sent)

    assert problem(answer) == expected
    assert (stored(world), kept(folder)) == ([], [])


def test_another_users_device_is_unknown(world, phone, phone_of, folder):
    answer = put(phone_of("Grace"), device=phone.device)

    assert problem(answer) == (404, "unknown_device")
    assert (stored(world), kept(folder)) == ([], [])


def test_the_only_device_need_not_be_named(phone, phone_of):
    path = f"{PATH}/files/account/{AIRPORT}/contract"
    headers = {
        "Waystation-Mutation": str(uuid4()),
        "Waystation-Sequence": "1",
    }

    def unnamed(**more):
        return phone.client.put(
            path, SCAN, content_type="application/octet-stream", headers=headers | more
        )

    alone = unnamed()
    phone_of("Ada")
    one_of_two = unnamed()

    assert alone.status_code == 202
    assert problem(one_of_two) == (400, "malformed")


def test_a_file_never_comes_with_other_edits(phone):
    edit = {"id": str(uuid4()), "sequence": 1, "op": "file", "table": "account"}

    assert problem(phone.upload(edit)) == (400, "malformed")


def test_parts_of_two_uploads_are_never_mixed(phone, folder):
    put(phone, **part(0, 999))
    other = put(phone, **part(0, 99), path=f"account/{guid('Harbour')}/contract")

    assert said(other) == (204, "bytes=0-99")
    assert kept(folder) == [SCAN[:100]]


def test_a_file_that_was_whole_before_a_crash_is_accepted_when_it_is_asked_for(
    world, phone, folder
):
    put(phone, **part(0, len(SCAN) - 2))
    (left,) = folder.rglob("*.part")
    with left.open("ab") as file:
        file.write(SCAN[-1:])
    left.rename(left.with_suffix(""))

    assert ask(phone).status_code == 202
    assert kept(folder) == [SCAN]


def test_housekeeping_leaves_only_files_that_wait(world, phone, folder):
    put(phone)
    put(phone, sequence=2)
    put(phone, **part(0, 99), sequence=3)
    decide(world, phone.device, 1)
    world.execute(
        "UPDATE sync.mutation SET decided_at = now() - interval '30 days'"
        " WHERE sequence = 1"
    )
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))

    with world.staging() as conn:
        removed = file_uploads.sweep(conn, world.id)

    assert removed == 2
    assert kept(folder) == [SCAN]


def test_an_organization_that_goes_takes_its_files_along(world, phone, folder):
    put(phone)

    waiting_files.remove_all(world.id)

    assert kept(folder) == []


def get(phone, row, column="contract"):
    path = f"{PATH}/files/account/{guid(row)}/{column}?device={phone.device}"
    return phone.client.get(path)


@pytest.fixture
def own_rows(world):
    world.put_in_effect(
        profile(ProfileItem(table="account", records="filtered", owned_by_me=True))
    )
    heads.drop_head(world.id)


def test_only_who_may_hold_the_row_may_have_its_file(world, phone_of, own_rows):
    ada, grace = phone_of("Ada"), phone_of("Grace")

    # Who may have it goes on to the source, which these tests do not have.
    assert problem(get(ada, "Airport"))[0] == 503
    assert problem(get(grace, "Airport")) == (404, "not_found")
    assert problem(get(ada, "Nowhere")) == (404, "not_found")


def test_a_file_in_a_column_that_is_not_granted_is_not_there(phone):
    assert problem(get(phone, "Airport", "salary")) == (404, "not_found")
    assert problem(get(phone, "Airport", "name")) == (404, "not_found")


def test_the_model_tells_of_files_and_how_large_they_may_be(phone):
    model = phone.client.get(f"{PATH}/model").json()

    (account,) = [table for table in model["tables"] if table["name"] == "account"]
    assert account["files"][0] == {"name": "contract", "kind": "file"}
    assert model["limits"]["file_bytes"] == LARGEST_FILE
