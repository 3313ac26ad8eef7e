"""Waystation's admin API, as a service with a token uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import requests

from project.errors import MisconfiguredError
from project.stack import local_session

TIMEOUT = 30.0


# No profile, or one that takes effect once its rules are built.
_NONE_YET = {requests.codes.forbidden, requests.codes.service_unavailable}


class AdministrationError(MisconfiguredError):
    code = "demo_administration"


class Administration:
    def __init__(self, url: str, *, token: Callable[[], str]) -> None:
        self._url = f"{url}/admin-api/v1"
        self._token = token
        self._session = local_session(ca=None)

    def close(self) -> None:
        self._session.close()

    def report_event(self, event: Mapping[str, object]) -> None:
        self._call("POST", "/events", body=event)

    def organization(self, name: str) -> dict[str, Any] | None:
        """Return its state and progress; None when it is unknown."""
        answer = self._ask("GET", f"/organizations/{name}", body=None)
        if answer.status_code == requests.codes.not_found:
            return None
        found: dict[str, Any] = _checked(answer).json()
        return found

    def save_profile(
        self, organization: str, *, name: str, document: Mapping[str, object]
    ) -> None:
        self._call(
            "PUT", f"/organizations/{organization}/profiles/{name}", body=document
        )

    def publish_profiles(self, organization: str) -> None:
        self._call("POST", f"/organizations/{organization}/profiles/publish", body={})

    def tables_offered(self, organization: str, *, user_id: str) -> set[str]:
        """Return the tables that a user's devices may take along by now."""
        path = f"/organizations/{organization}/client-model?user={user_id}"
        answer = self._ask("GET", path, body=None)
        if answer.status_code in _NONE_YET:
            return set()
        return {table["name"] for table in _checked(answer).json()["tables"]}

    def _call(self, method: str, path: str, *, body: Mapping[str, object]) -> None:
        _checked(self._ask(method, path, body=body))

    def _ask(
        self, method: str, path: str, *, body: Mapping[str, object] | None
    ) -> requests.Response:
        return self._session.request(
            method,
            self._url + path,
            json=body,
            headers={"Authorization": f"Bearer {self._token()}"},
            timeout=TIMEOUT,
        )


def _checked(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        raise AdministrationError(
            f"{answer.url} answered {answer.status_code}: {answer.text[:300]}"
        )
    return answer
