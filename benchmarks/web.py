"""A web process and its devices: real HTTP, real tokens, nothing cached for us."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import zstandard

from benchmarks.source import ROOT
from benchmarks.world import World
from project.stack import AUDIENCE, local_session

PORT = 8600
PERSON = "barbara@contoso.example"
# An empty poll is answered from the clock as it was so long ago.
HEAD_AGE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    body: bytes
    checkpoint: str | None


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """Run one granian worker process; the process id of its family."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi"),
            *("--host", "127.0.0.1", "--port", str(PORT), "--workers", "1"),
            *("--blocking-threads", "8", "--no-ws", "project.wsgi:application"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_ready(process)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _await_ready(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.client.OK:
                return
        time.sleep(0.1)
    raise RuntimeError("The web process did not start.")


class Phone:
    """One device with a connection that it keeps."""

    def __init__(self, organization: str, token: str, *, coding: str = "identity"):
        self.path = f"/sync/v1/orgs/{organization}"
        self.device = uuid4()
        self.model = ""
        self._coding = coding
        self._headers = {"Authorization": f"Bearer {token}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=600)

    def register(self) -> None:
        body = json.dumps({"name": "x", "platform": "bench", "app_version": "1"})
        self._call("PUT", f"{self.path}/devices/{self.device}", body)
        self.model = json.loads(self._call("GET", f"{self.path}/model").body)["version"]

    def changes(self, checkpoint: str | None = None) -> Answered:
        query = f"device={self.device}&model={self.model}"
        if checkpoint:
            query += f"&checkpoint={checkpoint}"
        return self._call("GET", f"{self.path}/changes?{query}", coding=self._coding)

    def upload(self, body: str) -> Answered:
        return self._call("POST", f"{self.path}/mutations", body)

    def download(self) -> tuple[int, str]:
        """Rows and last checkpoint of everything, over as many answers as it takes."""
        checkpoint: str | None = None
        while True:
            line = last_line(self.decoded(self.changes(checkpoint)))
            checkpoint = str(line["checkpoint"])
            if line["complete"]:
                return int(line["rows"]), checkpoint

    def decoded(self, answer: Answered) -> bytes:
        if self._coding == "gzip":
            return gzip.decompress(answer.body)
        if self._coding == "zstd":
            reader = zstandard.ZstdDecompressor().stream_reader(
                answer.body, read_across_frames=True
            )
            content: bytes = reader.read()
            return content
        return answer.body

    def _call(
        self, method: str, path: str, body: str | None = None, coding: str = "identity"
    ) -> Answered:
        headers = self._headers | {"Accept-Encoding": coding}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{path}: {answer.status} {content[:300]!r}")
        return Answered(
            answer.status, content, answer.headers.get("Waystation-Checkpoint")
        )


def last_line(body: bytes) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(body.rstrip(b"\n").rpartition(b"\n")[2])
    return line


def upserts(body: bytes) -> int:
    """How many rows an answer hands out."""
    lines = [json.loads(line) for line in body.splitlines()]
    return sum(len(line["upserts"]) for line in lines if line["type"] == "rows")


def outdated_heads() -> None:
    """Wait until no process believes an older clock: that is how long it may."""
    time.sleep(HEAD_AGE_SECONDS)


def token(world: World, *, person: str = PERSON) -> str:
    """An access token; unless another is named, of one who may see everything."""
    with local_session(ca=world.ca) as session:
        answer = session.post(
            f"{world.sandbox_url}/contoso/oauth2/v2.0/token",
            data={
                "grant_type": "password",
                "client_id": "bench",
                "username": person,
                "password": "sandbox",
                "scope": f"{AUDIENCE}/.default",
            },
            timeout=30,
        )
    return str(answer.json()["access_token"])


def trust(world: World, *organizations: UUID) -> None:
    """Let the devices of organizations sign in with the sandbox's tokens."""
    from provisioning.models import Organization

    with local_session(ca=world.ca) as session:
        issuer = session.get(
            f"{world.sandbox_url}/contoso/v2.0/.well-known/openid-configuration",
            timeout=30,
        ).json()["issuer"]
    Organization.objects.filter(pk__in=organizations).update(
        identity={
            "authority": issuer,
            "issuers": [issuer],
            "audience": AUDIENCE,
            "tenant_id": issuer.split("/")[-2],
        }
    )


def repeated(
    phones: list[Phone], checkpoints: list[str], *, times: int
) -> list[Answered]:
    """Every phone asks so many times, each from a thread; the last answers."""
    answers: list[Answered | None] = [None] * len(phones)

    def ask(number: int) -> None:
        for _ in range(times):
            answers[number] = phones[number].changes(checkpoints[number])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(phones))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for answer in answers if answer is not None]
