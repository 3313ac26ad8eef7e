"""Where a data folder's servers keep their files, and who may use the folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from project.errors import MisconfiguredError

NAME = "waystation"
LEFTOVER_LIMIT = 60.0
POLL_INTERVAL = 0.05


class EmbeddedServerError(MisconfiguredError):
    code = "embedded_server"


@dataclass(frozen=True, slots=True)
class Place:
    data: Path

    @property
    def postgres(self) -> Path:
        return self.data / "postgres"

    @property
    def redis(self) -> Path:
        return self.data / "redis"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def password_file(self) -> Path:
        return self.data / "secrets" / "postgres-password"

    @property
    def sockets(self) -> Path:
        # A socket's path has room for 107 bytes, so it cannot lie in the data folder.
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path("/tmp") / f"{NAME}-{digest}"  # noqa: S108 - refused unless ours alone

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis.sock"


@contextlib.contextmanager
def exclusive_use(place: Place) -> Iterator[None]:
    """Hold the data folder against other stacks, and outwait an earlier one's end.

    :raises EmbeddedServerError: another stack uses it.
    """
    place.data.mkdir(parents=True, exist_ok=True)
    with (place.data / "embedded.lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise EmbeddedServerError(
                f"The data folder {place.data} is already in use by process {holder}."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _await_end_of_leftovers(place)
        yield


def _await_end_of_leftovers(place: Place) -> None:
    """Wait for servers whose parent was killed, then forget their lock file.

    PostgreSQL would take any living process with the number in its lock file for
    itself, and numbers are used again, above all after a container's restart.
    """
    deadline = time.monotonic() + LEFTOVER_LIMIT
    while left := _processes_in({place.postgres, place.redis}):
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"Processes {left} of an earlier run still use {place.data}."
            )
        time.sleep(POLL_INTERVAL)
    (place.postgres / "postmaster.pid").unlink(missing_ok=True)


def _processes_in(folders: set[Path]) -> list[int]:
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        # Processes of other users, and those that just ended, show nothing.
        with contextlib.suppress(OSError):
            if link.readlink() in folders:
                found.append(int(link.parent.name))
    return found
