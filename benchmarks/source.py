"""The sandbox as the source: served at some scale, and edited."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from project.stack import local_session

ROOT = Path(__file__).resolve().parent.parent
_AT_ONCE = 1_000


@contextlib.contextmanager
def served(folder: Path, *, port: int, scale: int) -> Iterator[Path]:
    """Serve Contoso with so many accounts from a process of its own.

    Yields the certificate to trust. What was made in the folder before is used
    again, with the edits that it has seen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sandbox", "--port", str(port)),
            *("--data", str(folder), "--scale", str(scale)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    ca = folder / "sandbox-ca.pem"
    try:
        _await_answer(process, f"https://127.0.0.1:{port}/healthz", ca=ca)
        yield ca
    finally:
        process.terminate()
        process.wait()


def _await_answer(process: subprocess.Popen[bytes], url: str, *, ca: Path) -> None:
    while process.poll() is None:
        with (
            contextlib.suppress(requests.RequestException, OSError),
            local_session(ca=ca) as session,
        ):
            if session.get(url, timeout=5).ok:
                return
        time.sleep(0.2)
    raise RuntimeError("The sandbox did not start.")


@dataclass(frozen=True, slots=True)
class Editor:
    """Changes accounts at the source, a thousand a request."""

    url: str
    ca: Path

    def edit_first(self, count: int) -> None:
        """Change the accounts that the source lists first."""
        with self._session() as session:
            url, left = f"{self._accounts}?$select=accountid", count
            while left > 0:
                page = _json(session.get(url, timeout=60))
                ids = [row["accountid"] for row in page["value"][:left]]
                self._update(session, ids)
                left -= len(ids)
                url = page.get("@odata.nextLink", "")

    def edit(self, ids: Sequence[str]) -> None:
        with self._session() as session:
            for begin in range(0, len(ids), _AT_ONCE):
                self._update(session, ids[begin : begin + _AT_ONCE])

    def patch(self, row: str, values: Mapping[str, object]) -> None:
        """Change one row; `row` is its address below the endpoint."""
        with self._session() as session:
            answer = session.patch(
                f"{self.url}/api/data/v9.2/{row}", json=dict(values), timeout=600
            )
            answer.raise_for_status()

    @contextlib.contextmanager
    def slowed(self, seconds: float) -> Iterator[None]:
        """Let every answer below the endpoint wait so long, until the block ends."""
        fault = {"path": "/api/data/", "times": 1_000_000, "delay_seconds": seconds}
        with local_session(ca=self.ca) as session:
            session.headers["Authorization"] = "Bearer sandbox"
            faults = f"{self.url}/_sandbox/faults"
            session.post(faults, json=fault, timeout=10).raise_for_status()
            try:
                yield
            finally:
                session.delete(faults, timeout=10).raise_for_status()

    @property
    def _accounts(self) -> str:
        return f"{self.url}/api/data/v9.2/accounts"

    def _update(self, session: requests.Session, ids: Sequence[str]) -> None:
        targets = [
            {
                "@odata.type": "Microsoft.Dynamics.CRM.account",
                "accountid": account,
                "description": f"Seen {time.time_ns()}",
            }
            for account in ids
        ]
        answer = session.post(
            f"{self._accounts}/Microsoft.Dynamics.CRM.UpdateMultiple",
            json={"Targets": targets},
            timeout=600,
        )
        answer.raise_for_status()

    @contextlib.contextmanager
    def _session(self) -> Iterator[requests.Session]:
        with local_session(ca=self.ca) as session:
            credential = {
                "grant_type": "client_credentials",
                "client_id": "waystation",
                "client_secret": "sandbox",
                "scope": f"{self.url}/.default",
            }
            answer = session.post(
                f"{self.url}/contoso/oauth2/v2.0/token", data=credential, timeout=30
            )
            token = _json(answer)["access_token"]
            session.headers["Authorization"] = f"Bearer {token}"
            session.headers["Prefer"] = f"odata.maxpagesize={_AT_ONCE}"
            yield session


def _json(answer: requests.Response) -> dict[str, Any]:
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document
