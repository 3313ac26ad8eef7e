"""Lets the reference device talk to the service inside one process."""

from __future__ import annotations

import io
from collections.abc import Callable

import requests
from django.test import Client
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

URL = "http://service.example"


class Bridge(BaseAdapter):
    """Passes requests on to the views; `loses` says which answers never arrive."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self.loses: Callable[[str], bool] = lambda _path: False

    def send(
        self, request: requests.PreparedRequest, *_args: object, **_options: object
    ) -> requests.Response:
        body = request.body or b""
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in {"Authorization", "Content-Length", "Content-Type"}
        }
        answer = self._client.generic(
            str(request.method),
            request.path_url,
            body.encode() if isinstance(body, str) else body,
            content_type=request.headers.get("Content-Type", ""),
            headers=headers,
        )
        content = answer.getvalue()
        if self.loses(request.path_url):
            raise requests.ConnectionError("The answer was lost.")
        return _response(request, answer.status_code, dict(answer.headers), content)

    def close(self) -> None:
        """Nothing is open."""


def session(client: Client) -> tuple[requests.Session, Bridge]:
    """A session of that client's user."""
    made, bridge = requests.Session(), Bridge(client)
    made.mount(URL, bridge)
    return made, bridge


def _response(
    request: requests.PreparedRequest,
    status: int,
    headers: dict[str, str],
    content: bytes,
) -> requests.Response:
    response = requests.Response()
    response.request, response.url = request, str(request.url)
    response.status_code = status
    response.headers = CaseInsensitiveDict(headers)
    response.raw = HTTPResponse(
        io.BytesIO(content), headers=headers, status=status, preload_content=False
    )
    return response
