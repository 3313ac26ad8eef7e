"""Send a file in pieces from disk, and go on where a cut left off (PROTOCOL §8).

Each piece names its place in the file by `Content-Range`. The service answers 202 once
the whole is durable, else 200 or 204 with the `Range` that it holds; a `Content-Range`
without a first byte only asks for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

import requests

from sandbox.device import file_store
from sandbox.device.edits import Edit, Outcome, Status
from sandbox.device.endpoint import Call, Endpoint
from sandbox.device.errors import UnavailableError
from sandbox.device.file_downloads import FilePlace
from sandbox.device.store import Store

WHOLE_IS_DURABLE = 202
_HELD = re.compile(r"bytes=0-([0-9]{1,18})")


class FileUpload:
    def __init__(
        self, store: Store, endpoint: Endpoint, path: str, *, device_id: str
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._path = path
        self._params = {"device": device_id}

    def send(self, edit: Edit, *, progress: Callable[[], None]) -> Outcome:
        """Send what the service does not hold yet; return that it accepted the file.

        `progress` is called whenever it holds more than before.

        :raises UnavailableError: it was cut; what the service holds, it keeps.
        """
        size = file_store.size(self._store.connection, edit)
        held = self._put(edit, size=size, at=None) if edit.was_sent else 0
        while held is not None:
            got = self._put(edit, size=size, at=held)
            if got is not None and got <= held:
                raise UnavailableError("The service took nothing of a file.")
            progress()
            held = got
        document = {"id": edit.id, "sequence": edit.sequence, "status": "accepted"}
        return Outcome(edit.id, Status.ACCEPTED, document)

    def _put(self, edit: Edit, *, size: int, at: int | None) -> int | None:
        """Send the bytes from there on; return how many the service holds, None: all.

        Without a place, only ask.
        """
        content = b""
        if at is not None:
            content = file_store.content_from(self._store.connection, edit, at)
        call = Call(
            method="PUT",
            path=f"{self._path}/{_place(edit)}",
            params=self._params,
            content=content,
            headers={**_headers(edit), **_range(at, len(content), size)},
        )
        with self._endpoint.open(call) as response:
            return None if response.status_code == WHOLE_IS_DURABLE else _held(response)


def _place(edit: Edit) -> str:
    column = str(edit.body["column"])
    return FilePlace(edit.table or "", edit.key or "", column).path


def _headers(edit: Edit) -> Mapping[str, str]:
    name, etag = edit.body.get("name"), edit.body.get("etag")
    headers = {
        "Content-Type": "application/octet-stream",
        "Waystation-Mutation": edit.id,
        "Waystation-Sequence": str(edit.sequence),
    }
    if isinstance(name, str) and name:
        encoded = quote(name, safe="")
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{encoded}"
    if isinstance(etag, str):
        headers["If-Match"] = etag
    return headers


def _range(at: int | None, length: int, size: int) -> Mapping[str, str]:
    if at is None:
        return {"Content-Range": f"bytes */{size}"}
    if length == size:
        # It goes in one piece; also the only way to send a file of no bytes.
        return {}
    return {"Content-Range": f"bytes {at}-{at + length - 1}/{size}"}


def _held(response: requests.Response) -> int:
    found = _HELD.fullmatch(response.headers.get("Range", "").replace(" ", ""))
    return int(found.group(1)) + 1 if found else 0
