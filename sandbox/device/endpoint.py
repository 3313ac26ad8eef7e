"""The sync API of one organization over HTTP, wherever it is served today."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from sandbox.device.bodies import ACCEPT_ENCODING, Body
from sandbox.device.errors import ProtocolError, UnavailableError, UntrustedError
from sandbox.device.patience import RETRIES, Patience
from sandbox.device.refusals import problem_of, refusal_of, translated

TIMEOUTS = (10, 60)  # seconds: to connect, and between two pieces of an answer
MOST_MOVES = 3
GOOD = frozenset({200, 201, 202, 204, 206})
MOVED = frozenset({307, 308, 421})

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request; `content` is sent as it is, `body` as JSON."""

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: Mapping[str, object] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Endpoint:
    def __init__(
        self,
        base_url: str,
        *,
        token: Callable[[], str],
        session: requests.Session | None = None,
        ca: str | None = None,
        retries: int = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._session = session or requests.Session()
        self._ca = ca
        self._retries = retries
        self._sleep = sleep

    def close(self) -> None:
        """Close its connections, also those of a session that was given."""
        self._session.close()

    def patience(self) -> Patience:
        return Patience(sleep=self._sleep, retries=self._retries)

    def json_object(self, call: Call) -> Mapping[str, object]:
        """Return the answer's JSON object.

        :raises DeviceError: the service said no, or the retries are used up.
        """
        return self._patiently(call, lambda answer: Body(answer).json_object())

    def done(self, call: Call) -> None:
        """Send what needs no answer.

        :raises DeviceError: the service said no, or the retries are used up.
        """
        self._patiently(call, lambda _answer: None)

    def open(self, call: Call) -> requests.Response:
        """Send once; the body of the good answer is not read yet.

        :raises DeviceError: the service said no.
        """
        for _ in range(MOST_MOVES + 1):
            response = self._send_with_good_token(call)
            if response.status_code in GOOD:
                return response
            with response:
                problem = problem_of(response)
                if response.status_code not in MOVED:
                    raise refusal_of(response, problem)
                self.move_to(_new_base(response, problem, call))
        raise ProtocolError("The organization is sent from endpoint to endpoint.")

    def move_to(self, url: str) -> None:
        """Go on at another endpoint.

        :raises UntrustedError: the token would travel in plain text there.
        """
        if urlsplit(self.base_url).scheme == "https" != urlsplit(url).scheme:
            raise UntrustedError(f"{self.base_url} names the plain-text address {url}.")
        self.base_url = url.rstrip("/")

    def _patiently(self, call: Call, read: Callable[[requests.Response], T]) -> T:
        # Every call of the protocol may be repeated.
        patience = self.patience()
        while True:
            try:
                with self.open(call) as response:
                    return read(response)
            except UnavailableError as error:
                patience.wait_after(error)

    def _send_with_good_token(self, call: Call) -> requests.Response:
        response = self._send(call)
        if response.status_code != 401:
            return response
        response.close()
        forget = getattr(self._token, "forget", None)
        if callable(forget):
            forget()
        return self._send(call)

    def _send(self, call: Call) -> requests.Response:
        headers = {"Accept-Encoding": ACCEPT_ENCODING, **call.headers}
        if not call.path.startswith("/discovery/"):
            headers["Authorization"] = f"Bearer {self._token()}"
        with translated(self.base_url):
            return self._session.request(
                call.method,
                self.base_url + call.path,
                params=call.params,
                json=call.body,
                data=call.content,
                headers=headers,
                timeout=TIMEOUTS,
                allow_redirects=False,
                stream=True,
                # Named here because the environment would win over the session.
                verify=self._ca or True,
            )


def _new_base(
    response: requests.Response, problem: Mapping[str, object], call: Call
) -> str:
    if response.status_code == 421:
        endpoint = problem.get("endpoint")
        if isinstance(endpoint, str):
            return endpoint
        raise ProtocolError("The organization is elsewhere, but not said where.")
    target = urljoin(response.url, response.headers.get("Location", ""))
    base, found, rest = target.partition(call.path)
    if not found or rest[:1] not in {"", "?"}:
        raise ProtocolError(f"A redirect leads to something else: {target}.")
    return base
