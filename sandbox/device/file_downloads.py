"""Fetch a file into the file system, and go on where a cut left off (PROTOCOL §8).

What came lies beside the target until it is whole, with the version that it is of.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests

from sandbox.device.endpoint import Call, Endpoint
from sandbox.device.errors import ProtocolError, UnavailableError
from sandbox.device.refusals import translated

PIECE_BYTES = 64 * 2**10
PARTIAL_CONTENT = 206
_PLACE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Which file: that of a column of a row."""

    table: str
    key: str
    column: str

    @property
    def path(self) -> str:
        """Where it is, below the organization."""
        parts = (self.table, self.key, self.column)
        return "files/" + "/".join(quote(part, safe="") for part in parts)


class FileDownload:
    def __init__(
        self, endpoint: Endpoint, url: str, target: Path, *, device_id: str
    ) -> None:
        self._endpoint = endpoint
        self._params = {"device": device_id}
        self._url = url
        self._target = target
        self._part = target.with_name(f"{target.name}.part")
        self._version = target.with_name(f"{target.name}.etag")

    def run(self) -> str:
        """Fetch what is missing; return the file's ETag, empty if it has none.

        :raises UnavailableError: the retries are used up; what came is kept.
        """
        patience = self._endpoint.patience()
        while True:
            before = self._held()
            try:
                self._fetch()
            except UnavailableError as error:
                if self._held() > before:
                    patience.renew()
                patience.wait_after(error)
            else:
                return self._finish()

    def _fetch(self) -> None:
        held, etag = self._held(), self._etag()
        headers = {"Accept-Encoding": "identity"}
        if held and etag:
            # One byte more than needed: to ask for nothing would be refused.
            headers |= {"Range": f"bytes={held - 1}-", "If-Range": etag}
        call = Call(method="GET", path=self._url, params=self._params, headers=headers)
        with self._endpoint.open(call) as response:
            start = self._start(response, asked=held - 1)
            with self._part.open("r+b" if start else "wb") as file:
                file.seek(start)
                with translated(self._endpoint.base_url):
                    for piece in response.iter_content(PIECE_BYTES):
                        file.write(piece)
                file.flush()
                os.fsync(file.fileno())

    def _start(self, response: requests.Response, *, asked: int) -> int:
        """Return from where the bytes are that come; note of which version."""
        if response.status_code == PARTIAL_CONTENT:
            place = _PLACE.fullmatch(response.headers.get("Content-Range", ""))
            if place is None or int(place.group(1)) != asked:
                raise ProtocolError("A part of a file came that was not asked for.")
            return asked
        self._part.unlink(missing_ok=True)
        self._version.write_text(response.headers.get("ETag", ""))
        return 0

    def _finish(self) -> str:
        etag = self._etag()
        self._part.replace(self._target)
        self._version.unlink(missing_ok=True)
        return etag

    def _held(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _etag(self) -> str:
        etag = self._version.read_text() if self._version.is_file() else ""
        # A weak one does not promise equal bytes, so that it cannot be gone on with.
        return "" if etag.startswith("W/") else etag
