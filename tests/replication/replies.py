"""Answers of a source, written by hand for `FakeDataverse.scripted`."""

from __future__ import annotations

import json
from typing import Any

from replication.odata.answers import Reply
from tests.fake_dataverse import ENDPOINT
from tests.staged import guid

JSON = "application/json; odata.metadata=minimal"
ACCOUNTS = f"{ENDPOINT}/accounts"


def account(name: str, *, version: int, key: object = None, **members: Any) -> Any:
    """An account on the wire."""
    return {
        "@odata.etag": f'W/"{version}"',
        "accountid": str(key or guid(name)),
        "name": name,
        "versionnumber": version,
    } | members


def removed(name: str) -> Any:
    context = f"{ENDPOINT}/$metadata#accounts/$deletedEntity"
    return {"@odata.context": context, "id": str(guid(name)), "reason": "deleted"}


def page(*items: Any, next_to: str | None = None, delta: str | None = None) -> Reply:
    """A page that leads to the link of this name, or ends with this delta token."""
    links = {
        "@odata.nextLink": next_to and f"{ACCOUNTS}?$skiptoken={next_to}",
        "@odata.deltaLink": delta and f"{ACCOUNTS}?$deltatoken={delta}",
    }
    named = {name: link for name, link in links.items() if link is not None}
    return reply(json.dumps({"value": list(items)} | named).encode())


def reply(
    body: bytes = b"", *, status: int = 200, kind: str = JSON, **headers: str
) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers={"Content-Type": kind} | named, body=body)


def expired() -> Reply:
    message = "Version stamp associated with the client has expired."
    body = {"error": {"code": "0x80044352", "message": message}}
    return reply(json.dumps(body).encode(), status=400)
