"""What the threads share that carry one organization's edits to its source."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from queue import SimpleQueue
from uuid import UUID

from replication.domain.writing_back import Settled
from replication.odata.writing import ReadRow
from replication.services.write_back_plan import Edit
from replication.staging.write_backs import Pages, Turn

# How often a thread that waits looks whether the run is over.
GLANCE_SECONDS = 0.2
# How long a thread waits for the next device: beginning another costs more.
LINGER_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A row as the source has it, and the pages that were committed before it was read."""

    row: ReadRow | None
    pages: Pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What became of a mutation, before it is recorded."""

    device_id: UUID
    edit: Edit
    settled: Settled
    blocked_by: UUID | None = None
    is_uncertain: bool = False
    # Something of it is in the source; the version that it left there, if that is known.
    was_sent: bool = False
    left_version: str | None = None
    # The row may look different now at the source.
    is_read_again: bool = False
    found: Found | None = None

    @property
    def has_failed(self) -> bool:
        return self.settled.status != "applied"


@dataclass(slots=True, kw_only=True)
class Batch:
    """Drafts that are recorded together; `done` says that they were."""

    drafts: tuple[Draft, ...]
    done: threading.Event = field(default_factory=threading.Event)


class RunOverError(Exception):
    """The run ends, or something concerns all its devices; nothing more is begun."""


class Run:
    """One leased run over the waiting edits of an organization."""

    def __init__(
        self,
        organization_id: UUID,
        *,
        epoch: int,
        time_slice: timedelta,
    ) -> None:
        self.organization_id = organization_id
        self.epoch = epoch
        self.batches: SimpleQueue[Batch] = SimpleQueue()
        self.error: BaseException | None = None
        self._ends_at = time.monotonic() + time_slice.total_seconds()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._lined_up = threading.Condition(self._lock)
        self._turns: deque[UUID] = deque()
        self._known: set[UUID] = set()
        self._active = 0
        # The shortest time that a device waits for its next attempt.
        self.next_in: timedelta | None = None
        self.has_more = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._stopped.is_set() or time.monotonic() >= self._ends_at

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self, error: BaseException | None = None) -> None:
        """End the run; the first error is what it ended with."""
        with self._lock:
            self.error = self.error or error
            self._stopped.set()
            self._lined_up.notify_all()

    def add(self, turns: Iterable[Turn]) -> None:
        """Line up devices; each is in the line, or in somebody's hands, once."""
        with self._lock:
            for turn in turns:
                if turn.waits is not None and turn.waits > timedelta():
                    self._note_wait(turn.waits)
                elif turn.device_id not in self._known:
                    self._known.add(turn.device_id)
                    self._turns.append(turn.device_id)
                    self._lined_up.notify()

    def take(self) -> UUID | None:
        """The device whose turn it is; None when there is none for a while."""
        with self._lock:
            if not self._turns and not self.is_over:
                self._lined_up.wait(LINGER_SECONDS)
            if not self._turns or self.is_over:
                return None
            self._active += 1
            return self._turns.popleft()

    def give_back(self, device_id: UUID, *, has_more: bool) -> None:
        """End a device's turn; if it has more to do, it lines up behind the others."""
        with self._lock:
            self._active -= 1
            if has_more:
                self._turns.append(device_id)
                self._lined_up.notify()
            else:
                self._known.discard(device_id)

    def note_wait(self, delay: timedelta) -> None:
        with self._lock:
            self._note_wait(delay)

    def _note_wait(self, delay: timedelta) -> None:
        if self.next_in is None or delay < self.next_in:
            self.next_in = delay

    @property
    def waiting(self) -> int:
        """How many devices are in the line."""
        return len(self._turns)

    @property
    def is_idle(self) -> bool:
        with self._lock:
            return not self._turns and not self._active

    def record(self, drafts: Iterable[Draft]) -> Batch:
        """Hand over what became of mutations."""
        batch = Batch(drafts=tuple(drafts))
        self.batches.put(batch)
        return batch

    def wait_for(self, batch: Batch) -> None:
        """Return once the batch was recorded.

        :raises RunOverError: it will not be, in this run.
        """
        while not batch.done.wait(GLANCE_SECONDS):
            if self.is_stopped:
                raise RunOverError
