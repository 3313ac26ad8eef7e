"""A hundred thousand edits through a source that misbehaves: `python -m tests.uploads.soak`.

Many devices upload in several requests, some of which get lost; workers die, write-back
meets faults at a share of its requests, and time is real. One edit in each tenth queue
can never succeed. At the end the faults stop, and everything has to come to rest.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.oracle.run import _servers
from tests.uploads.run import stage_of

if TYPE_CHECKING:
    from tests.uploads.devices import UploadingDevice
    from tests.uploads.stage import Stage

MOST_SECONDS_TO_QUIET = 60.0
# Devices between two looks at everything.
AT_ONCE = 40
PER_REQUEST = 25
_LOST = ("lost", "applied twice", "wedged queues")


def main() -> int:
    options = _options()
    with contextlib.ExitStack() as cleanup:
        if "UPLOADS_ORGANIZATION" not in os.environ:
            cleanup.enter_context(_servers())
        import django  # noqa: PLC0415  after the servers

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        django.setup()
        stage = stage_of(os.environ.get("UPLOADS_ORGANIZATION"))
        try:
            return _run(options, stage)
        finally:
            stage.close()


def _run(options: argparse.Namespace, stage: Stage) -> int:
    dice = random.Random(options.seed)  # noqa: S311  repeatable, hides nothing
    total: Counter[str] = Counter()
    longest, round_ = 0.0, 0
    while total["accepted"] < options.mutations:
        soak = _Soak(stage, dice, per_device=options.per_device)
        seconds = soak.live(has_markers=round_ % 4 != 3)
        total += soak.counts()
        longest, round_ = max(longest, seconds), round_ + 1
        _say(total, longest)
    is_bad = any(total[name] for name in _LOST)
    return 1 if is_bad or longest > MOST_SECONDS_TO_QUIET else 0


def _say(total: Counter[str], longest: float) -> None:
    names = ("accepted", "applied", "conflict", "rejected", "parked", "uncertain")
    said = [f"{name} {total[name]}" for name in (*names, *_LOST)]
    sys.stdout.write(f"{', '.join(said)}; quiet after {longest:.1f} s\n")
    sys.stdout.flush()


class _Soak:
    """One organization with devices of two people, from the first edit to rest."""

    def __init__(self, stage: Stage, dice: random.Random, *, per_device: int) -> None:
        self._stage = stage
        self._dice = dice
        self._per_device = per_device
        self._numbers = 0

    def live(self, *, has_markers: bool) -> float:
        """Return how long it took to come to rest once nothing went wrong any more."""
        people = tuple(("Ada", "Grace")[n % 2] for n in range(AT_ONCE))
        self._stage.begin(
            has_markers=has_markers, conflicts="client_wins", people=people
        )
        for number, device in enumerate(self._stage.devices):
            self._edit(device, number)
        while any(device.unsent for device in self._stage.devices):
            for device in self._stage.devices:
                self._upload(device)
            self._misbehave()
            self._stage.run(threads=4)
        self._stage.forget_plans()
        self._stage.let_requests_end()
        began = time.monotonic()
        while not self._is_over(time.monotonic() - began):
            self._stage.run(threads=4)
            # As long as a worker lets an item rest that has nothing to do yet.
            time.sleep(0.2)
        return time.monotonic() - began

    def _is_over(self, seconds: float) -> bool:
        is_late = seconds > 2 * MOST_SECONDS_TO_QUIET
        return is_late or self._waiting() == 0

    def _waiting(self) -> int:
        row = self._stage.conn.execute(
            "SELECT count(DISTINCT device_id) FROM sync.mutation"
            " WHERE status = 'accepted'"
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _edit(self, device: UploadingDevice, number: int) -> None:
        """Rows of its own, each made and edited; of ten queues, one has a bad edit."""
        from tests.staged import guid  # noqa: PLC0415
        from tests.uploads import world  # noqa: PLC0415

        bad = self._dice.randrange(self._per_device) if number % 10 == 0 else -1
        for at in range(self._per_device):
            key = str(guid(f"{device.id} row {at // 5}"))
            words = world.WORDS_REFUSED if at == bad else "ours"
            self._numbers += 1
            made = device.add(
                op="create" if at % 5 == 0 else "update",
                table="account",
                key=key,
                values={"name": f"{words} {self._numbers}"},
            )
            self._stage.ledger.enter(made)

    def _upload(self, device: UploadingDevice) -> None:
        from tests.uploads.devices import Loss  # noqa: PLC0415

        chance = self._dice.random()
        loss = Loss.NOTHING
        if chance < 0.1:
            loss = Loss.REQUEST if chance < 0.05 else Loss.ANSWER
        device.upload(loss=loss, most=PER_REQUEST, requests=1)

    def _misbehave(self) -> None:
        from tests.uploads.failpoints import UPLOADS  # noqa: PLC0415
        from tests.uploads.source import READ_FAULTS, WRITE_FAULTS  # noqa: PLC0415

        self._stage.forget_plans()
        plans = self._stage.source.plans
        for _ in range(3):
            request = self._dice.randrange(300)
            plans.faults["write"][request] = self._dice.choice(WRITE_FAULTS)
        plans.faults["read"][self._dice.randrange(100)] = self._dice.choice(READ_FAULTS)
        if self._dice.random() < 0.5:
            place = self._dice.choice(UPLOADS)
            nth = self._dice.randrange(1, 100)
            self._stage.places.plan(place, nth, self._stage.places.die)

    def counts(self) -> Counter[str]:
        """What became of the edits, held against the source's journal."""
        ledger = self._stage.ledger
        records = ledger.records(self._stage.conn)
        written = Counter(
            made.id
            for entry in self._stage.source.journal
            if (made := ledger.author(entry)) is not None
        )
        found: Counter[str] = Counter(accepted=len(records))
        for record in records.values():
            found[record.status] += record.status != "accepted"
            times = written[record.made.id]
            is_uncertain = bool(record.outcome.get("uncertain"))
            found["uncertain"] += is_uncertain
            found["applied twice"] += times > 1
            is_missing = record.status == "applied" and times == 0
            found["lost"] += is_missing and not is_uncertain
            found["lost"] += record.status in {"rejected", "conflict"} and times > 0
        found["lost"] += sum(
            made.id not in records for made in ledger.made.values() if made.is_accepted
        )
        found["wedged queues"] = self._waiting()
        return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--per-device", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
