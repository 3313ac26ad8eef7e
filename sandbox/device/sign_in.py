"""Sign a user in with name and password at an Entra-like issuer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import requests

from sandbox.device.bodies import Body
from sandbox.device.errors import ProtocolError, SignInError, UnavailableError
from sandbox.device.refusals import translated

CLIENT_ID = "waystation-device"
TIMEOUTS = (10, 30)
# A token this close to its end might be refused on arrival.
MARGIN_SECONDS = 60


class PasswordSignIn:
    """Returns a token when called, the same one while it is good."""

    def __init__(
        self,
        *,
        authority: str,
        username: str,
        password: str,
        scope: str,
        client_id: str = CLIENT_ID,
        ca: str | None = None,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`authority` names the tenant, with or without `/v2.0`."""
        self._url = f"{authority.rstrip('/').removesuffix('/v2.0')}/oauth2/v2.0/token"
        self._form = {
            "grant_type": "password",
            "client_id": client_id,
            "username": username,
            "password": password,
            "scope": scope,
        }
        self._ca = ca
        self._session = session or requests.Session()
        self._clock = clock
        self._token = ""
        self._good_until = 0.0

    def __call__(self) -> str:
        """:raises SignInError: name, password or scope were refused."""
        if not self._token or self._clock() >= self._good_until:
            self._renew()
        return self._token

    def forget(self) -> None:
        """Sign in again next time: the token was refused."""
        self._token = ""

    def close(self) -> None:
        self._session.close()

    def _renew(self) -> None:
        answer = self._ask()
        token, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(seconds, int | str):
            raise ProtocolError(f"{self._url} answered without a token.")
        self._token = token
        self._good_until = self._clock() + max(int(seconds) - MARGIN_SECONDS, 0)

    def _ask(self) -> Mapping[str, object]:
        with (
            translated(self._url),
            self._session.post(
                self._url,
                data=self._form,
                headers={"Accept-Encoding": "gzip"},
                timeout=TIMEOUTS,
                allow_redirects=False,
                stream=True,
                verify=self._ca or True,
            ) as response,
        ):
            answer = Body(response).json_object()
        if response.status_code == 429 or response.status_code >= 500:
            raise UnavailableError(f"{self._url} answered {response.status_code}.")
        if response.status_code != 200:
            said = str(answer.get("error_description") or answer.get("error") or "")
            first_line = said.partition("\n")[0].strip() or response.status_code
            raise SignInError(f"Sign-in was refused: {first_line}")
        return answer
