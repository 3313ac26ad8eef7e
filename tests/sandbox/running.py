"""A sandbox to test against: started on a free port, asked as somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from sandbox.server import Running, serve

TRACKING = {"Prefer": "odata.track-changes"}
CONTROL = {"Authorization": "Bearer sandbox"}


def start(folder: Path, *, scale: int = 200, port: int = 0) -> Running:
    """Return a sandbox in this process; the caller stops it."""
    return serve(folder, port=port, scale=scale)


@dataclass
class Client:
    """Asks a sandbox, with a token if it has one."""

    running: Running
    headers: dict[str, str] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        # The sandbox's own CA, whatever the environment trusts.
        self.session.trust_env = False
        self.session.verify = str(self.running.ca_file)

    def __del__(self) -> None:
        self.session.close()

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] = {}, **more: Any
    ) -> requests.Response:
        url = path if path.startswith("https:") else f"{self.running.url}{path}"
        return self.session.request(
            method, url, headers={**self.headers, **headers}, timeout=20, **more
        )

    def get(self, path: str, **headers: str) -> requests.Response:
        """GET below the Web API; words of header names are joined by `_`."""
        return self.api("GET", path, **headers)

    def api(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        full = path if path.startswith("https:") else f"/api/data/v9.2/{path}"
        return self.request(method, full, headers=named, json=body)

    def rows(self, path: str, **headers: str) -> list[dict[str, Any]]:
        answer = self.get(path, **headers)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["value"]
        return found

    def pages(self, path: str, **headers: str) -> list[dict[str, Any]]:
        """Return the bodies of all pages."""
        found, link = [], path
        while link:
            answer = self.get(link, **headers)
            assert answer.status_code == 200, answer.text
            found.append(answer.json())
            link = found[-1].get("@odata.nextLink", "")
        return found

    def created(self, entity_set: str, **values: object) -> dict[str, Any]:
        answer = self.api("POST", entity_set, values, Prefer="return=representation")
        assert answer.status_code == 201, answer.text
        row: dict[str, Any] = answer.json()
        return row

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        return self.request(method, f"/_sandbox/{path}", headers=CONTROL, json=body)


def token(running: Running, **form: str) -> requests.Response:
    return Client(running).request("POST", "/contoso/oauth2/v2.0/token", data=form)


def as_application(running: Running) -> Client:
    answer = token(
        running,
        grant_type="client_credentials",
        client_id="waystation",
        client_secret="sandbox",
        scope=f"{running.url}/.default",
    )
    return _bearer(running, answer)


def as_person(running: Running, name: str) -> Client:
    answer = token(
        running,
        grant_type="password",
        client_id="tests",
        username=f"{name}@contoso.example",
        password="sandbox",
        scope=f"{running.url}/user_impersonation",
    )
    return _bearer(running, answer)


def _bearer(running: Running, answer: requests.Response) -> Client:
    return Client(running, {"Authorization": f"Bearer {answer.json()['access_token']}"})


def where(text: str) -> str:
    return f"$filter={quote(text)}"
