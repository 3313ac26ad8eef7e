"""The service's failpoints as places where a worker dies, or meets somebody.

A worker that died says and does nothing more: each later failpoint, and each request
to the source, ends it again, so that whatever it held is lost as with a process.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from provisioning import failpoints

UPLOADS = (
    "upload.begun",
    "upload.sent",
    "upload.found_out",
    "upload.handed_over",
    "upload.read_back",
    "upload.tables_locked",
    "upload.merged",
    "upload.stored",
    "upload.recorded",
)
# Where nothing is locked that somebody else may need.
FREE = (
    "upload.begun",
    "upload.sent",
    "upload.handed_over",
    "upload.read_back",
    "upload.recorded",
)
ACCEPTS = ("accept.before_commit", "accept.after_commit")


class WorkerDied(BaseException):
    """The process is gone."""


class Worker:
    """One life of a worker, until it dies."""

    def __init__(self) -> None:
        self.is_dead = False

    def die(self) -> None:
        self.is_dead = True
        raise WorkerDied


class Places:
    """What happens at the n-th passage of each failpoint; replaces the service's own."""

    def __init__(self) -> None:
        self._planned: dict[tuple[str, int], Callable[[], object]] = {}
        self._passed: Counter[str] = Counter()
        self._workers: list[Worker] = []
        failpoints.reach = self._reach
        threading.excepthook = _silent_about_deaths

    def plan(self, name: str, nth: int, happens: Callable[[], object]) -> None:
        self._planned[name, nth] = happens

    def forget(self) -> None:
        self._planned.clear()
        self._passed.clear()

    def die(self) -> None:
        """Whoever is at work dies here."""
        if not self._workers:
            raise WorkerDied
        self._workers[-1].die()

    def begin(self) -> Worker:
        """The worker at work from now on; another one may be waiting for it."""
        self._workers.append(Worker())
        return self._workers[-1]

    def end(self) -> None:
        self._workers.pop()

    def _reach(self, name: str) -> None:
        worker = self._workers[-1] if self._workers else Worker()
        if worker.is_dead:
            raise WorkerDied
        self._passed[name] += 1
        happens = self._planned.pop((name, self._passed[name]), None)
        if happens is not None:
            happens()


def _silent_about_deaths(args: threading.ExceptHookArgs) -> None:
    with suppress(WorkerDied):
        if args.exc_value is not None and not isinstance(args.exc_value, WorkerDied):
            threading.__excepthook__(args)
