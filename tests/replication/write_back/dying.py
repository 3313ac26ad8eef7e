"""Runs of write-back in processes that a failpoint kills, and a source that survives.

One process loads Python and Django, and forks itself for each order. The source keeps
everything in a file, which it replaces whole: what it has done, it has done.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection

from provisioning.models import Organization
from replication.services.write_back import WriteBackOrder, write_back
from tests.fake_dataverse import FakeDataverse
from tests.replication.write_back.played import PlayedSource, Uploading

ROOT = Path(__file__).resolve().parents[3]
# One process uses the file at a time, and one of its threads.
_lock = threading.RLock()


class KeptSource(PlayedSource):
    """A source whose rows, markers and journal stand in a file."""

    def __init__(self, path: Path, fake: FakeDataverse | None = None, **how: Any):
        super().__init__(fake or FakeDataverse(()), **how)
        self._path = path
        if fake is not None:
            self._save()

    def send(self, writes: Any, *, caller: UUID | None, marker: Any = None) -> Any:
        with _lock:
            self.load()
            try:
                return super().send(writes, caller=caller, marker=marker)
            finally:
                self._save()

    def fetch_rows(self, table: Any, keys: Any) -> Any:
        with _lock:
            self.load()
            return super().fetch_rows(table, keys)

    def read(self, table: Any, key: tuple[Any, ...]) -> Any:
        with _lock:
            self.load()
            return super().read(table, key)

    def has_marker(self, marker_id: UUID) -> bool:
        with _lock:
            self.load()
            return super().has_marker(marker_id)

    def load(self) -> None:
        kept = pickle.loads(self._path.read_bytes())  # noqa: S301  written below
        self.fake, self.journal, self.markers = kept
        self._reader = self.fake.source()

    def _save(self) -> None:
        fresh = self._path.with_suffix(".fresh")
        fresh.write_bytes(pickle.dumps((self.fake, self.journal, self.markers)))
        fresh.replace(self._path)


class WorkerProcess:
    """Carries edits in a fork of itself, and tells how that ended."""

    def __init__(self) -> None:
        catalog = connection.settings_dict["NAME"]
        parts = urlsplit(settings.DATABASE_URL)._replace(path=f"/{catalog}")
        environment = {
            **os.environ,
            "DATABASE_URL": urlunsplit(parts),
            "STAGING_SERVER_URL": settings.STAGING_SERVER_URL,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.replication.write_back.worker"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def carry(self, world: Uploading, path: Path, *, fail: str, **how: bool) -> int:
        """One run; return the exit status, negative for a signal."""
        order = {
            "organization": str(world.id),
            "path": str(path),
            "epoch": world.next_epoch(),
            "fail": fail,
            "how": how,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.communicate(timeout=10)


def serve() -> None:
    """Fork for each line of standard input, and write how the fork ended."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _obey(json.loads(line))
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _obey(order: dict[str, Any]) -> None:
    try:
        os.environ["WAYSTATION_FAIL"] = order["fail"]
        organization = Organization.objects.get(pk=order["organization"])
        source: Any = KeptSource(Path(order["path"]), **order["how"])
        write_back(
            organization,
            source,
            WriteBackOrder(
                work_item_id=uuid4(),
                epoch=order["epoch"],
                threads=2,
                time_slice=timedelta(seconds=20),
                renew=lambda: None,
            ),
        )
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
