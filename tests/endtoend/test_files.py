"""The whole service: files of rows and notes go to the source and come back."""

from __future__ import annotations

import hashlib
import io
import socket
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from project import stack
from sandbox.device.editor import Editor
from sandbox.device.errors import OfflineNotAllowedError, RefusedError
from tests.endtoend.conftest import ORGANIZATION
from tests.project.processes import eventually

pytestmark = [pytest.mark.serial, pytest.mark.xdist_group("stack")]

WRITABLE = {
    "items": [
        {"table": table, "records": "all", "writable": True}
        for table in ("account", "annotation")
    ],
    "assignments": {"everyone": True},
}
# More than two of Dataverse's blocks.
SCAN = b"".join(hashlib.sha256(bytes([n % 251])).digest() for n in range(300_000))
COLUMNS = [("account", "contract"), ("account", "entityimage"),
           ("annotation", "documentbody")]  # fmt: skip


@pytest.fixture(scope="module")
def contoso(service):
    event = service.contoso.provision_event(
        event_id=str(uuid4()), occurred_at=datetime.now(UTC).isoformat()
    )
    tables = ["account", "annotation"]
    service.administration.report_event({**event, "tables": tables})
    eventually(lambda: service.state() == "active")
    service.administration.save_profile(ORGANIZATION, name="Field", document=WRITABLE)
    service.administration.publish_profiles(ORGANIZATION)
    return service


@pytest.fixture
def device(contoso, tmp_path):
    with contoso.device("ada", tmp_path) as made:
        eventually(lambda: has_rows(made))
        yield made


@pytest.fixture
def other(contoso, tmp_path):
    """Ada's other device."""
    folder = tmp_path / "other"
    folder.mkdir()
    with contoso.device("ada", folder) as made:
        yield made


def has_rows(device) -> bool:
    """Sync; False while the rules that the profile needs are built."""
    try:
        device.sync()
    except OfflineNotAllowedError:
        return False
    return bool(device.store.rows("account"))


def is_settled(device) -> bool:
    device.sync()
    return not Editor(device.store).edits()


def made_row(editor, table):
    name = {"account": "name", "annotation": "subject"}[table]
    return str(editor.create(table, {name: "With a file"}).key)


def kept(contoso, device):
    """What waits of this device."""
    return list((contoso.plan.data / "files").glob(f"*/{device.device_id}/*"))


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_file_that_was_attached_offline_is_there_for_the_other_device(
    contoso, device, other, tmp_path, table, column
):
    editor = Editor(device.store)
    key = made_row(editor, table)
    editor.attach(table, key, column, io.BytesIO(SCAN), name="contract é.pdf")
    editor.update(table, key, {"name" if table == "account" else "subject": "B"})

    eventually(lambda: is_settled(device))
    other.fetch_file(table, key, column, target=tmp_path / "scan")

    assert (tmp_path / "scan").read_bytes() == SCAN
    assert kept(contoso, device) == []
    assert column not in device.store.rows(table)[key]


def test_a_file_is_replaced_only_where_it_is_the_one_that_the_user_saw(
    contoso, device, other, tmp_path
):
    editor = Editor(device.store)
    key = made_row(editor, "account")
    editor.attach("account", key, "contract", io.BytesIO(b"one"))
    eventually(lambda: is_settled(device))
    for one in (device, other):
        one.sync()
        one.fetch_file("account", key, "contract", target=tmp_path / "seen")
    Editor(other.store).attach("account", key, "contract", io.BytesIO(b"two"))
    eventually(lambda: is_settled(other))

    editor.attach("account", key, "contract", io.BytesIO(b"three"))
    eventually(lambda: device.sync() and editor.pending().failed == 1)

    (dispute,) = editor.disputes()
    assert dispute.edit.status == "conflict"
    editor.undo(dispute.edit.number)
    device.fetch_file("account", key, "contract", target=tmp_path / "now")
    assert (tmp_path / "now").read_bytes() == b"two"


def test_a_file_whose_arrival_nobody_heard_of_is_sent_once(contoso, device):
    editor = Editor(device.store)
    key = made_row(editor, "account")
    eventually(lambda: is_settled(device))
    version = contoso.sandbox("")["version"]
    fault = {"path": "contract$", "method": "PATCH", "hang_up": True, "applied": True}
    contoso.sandbox("faults", body=fault)
    editor.attach("account", key, "contract", io.BytesIO(b"once"))

    eventually(lambda: is_settled(device))

    writes = contoso.sandbox(f"journal?after={version}")["writes"]
    assert [(w["table"], w["columns"]) for w in writes] == [("account", ["contract"])]
    assert writes[0]["on_behalf"] is not None
    assert asked(device, key).content == b"once"


def test_a_request_that_was_cut_keeps_what_came(contoso, device):
    key = list(device.store.rows("account"))[-1]
    head = {
        "Waystation-Mutation": str(uuid4()),
        "Waystation-Sequence": "1",
        "Content-Length": str(len(SCAN)),
        "Content-Type": "application/octet-stream",
    }

    cut_after(device, f"account/{key}/contract", head, SCAN[:3_000_000])

    def held():
        ask = {**head, "Content-Range": f"bytes */{len(SCAN)}", "Content-Length": "0"}
        return sent(device, f"account/{key}/contract", ask, b"").headers.get("Range")

    eventually(lambda: held() is not None)
    first = int(str(held()).rpartition("-")[2]) + 1
    rest = SCAN[first:]
    place = f"bytes {first}-{len(SCAN) - 1}/{len(SCAN)}"
    more = {**head, "Content-Range": place, "Content-Length": str(len(rest))}
    assert sent(device, f"account/{key}/contract", more, rest).status_code == 202
    eventually(lambda: asked(device, key).content == SCAN)


def cut_after(device, place, headers, content):
    """Send the beginning of a request, and end the connection."""
    url = urlsplit(device.endpoint.base_url)
    path = f"/sync/v1/orgs/{ORGANIZATION}/files/{place}?device={device.device_id}"
    lines = {
        "Host": url.netloc,
        "Authorization": f"Bearer {device.endpoint._token()}",
        **headers,
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall(f"PUT {path} HTTP/1.1\r\n{text}\r\n".encode() + content)


def sent(device, place, headers, content):
    path = f"/sync/v1/orgs/{ORGANIZATION}/files/{place}"
    with stack.local_session(ca=None) as session:
        return session.put(
            f"{device.endpoint.base_url}{path}",
            content,
            params={"device": device.device_id},
            headers={"Authorization": f"Bearer {device.endpoint._token()}", **headers},
            timeout=30,
        )


def test_a_part_of_a_file_is_fetched_alone(contoso, device):
    editor = Editor(device.store)
    key = made_row(editor, "account")
    editor.attach("account", key, "contract", io.BytesIO(SCAN))
    eventually(lambda: is_settled(device))

    part = asked(device, key, Range="bytes=5000000-5000009")
    tail = asked(device, key, Range="bytes=-5")
    beyond = asked(device, key, Range=f"bytes={len(SCAN)}-")
    same = asked(device, key, **{"If-None-Match": part.headers["ETag"]})
    another = asked(device, key, **{"If-Match": '"another"'})
    whole = asked(device, key, Range="bytes=1-2", **{"If-Range": '"another"'})

    assert (part.status_code, part.content) == (206, SCAN[5_000_000:5_000_010])
    assert part.headers["Content-Range"] == f"bytes 5000000-5000009/{len(SCAN)}"
    assert part.headers["Content-Disposition"] == "attachment"
    assert part.headers["Content-Type"] == "application/octet-stream"
    assert part.headers["X-Content-Type-Options"] == "nosniff"
    assert tail.content == SCAN[-5:]
    assert (beyond.status_code, same.status_code) == (416, 304)
    assert another.status_code == 412
    assert (whole.status_code, whole.content) == (200, SCAN)


def asked(device, key, **headers):
    path = f"/sync/v1/orgs/{ORGANIZATION}/files/account/{key}/contract"
    with stack.local_session(ca=None) as session:
        return session.get(
            f"{device.endpoint.base_url}{path}",
            params={"device": device.device_id},
            headers={"Authorization": f"Bearer {device.endpoint._token()}", **headers},
            timeout=30,
        )


@pytest.mark.parametrize(
    ("key", "column"),
    [
        pytest.param(None, "contract", id="no file yet"),
        pytest.param(None, "name", id="a column that is no file"),
        pytest.param("00000000-0000-0000-0000-000000000001", "contract", id="no row"),
    ],
)
def test_what_is_not_there_is_not_found(contoso, device, tmp_path, key, column):
    row = key or next(iter(device.store.rows("account")))

    with pytest.raises(RefusedError) as caught:
        device.fetch_file("account", row, column, target=tmp_path / "none")

    assert "404" in str(caught.value)
