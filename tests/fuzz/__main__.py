"""Feed readers of what sources and devices send with damaged documents.

`python -m tests.fuzz --executions 1000000`: prints how many there were, and how much
memory the process took. Any error that is not one of ours ends it, and shows the
document. The same seed makes the same documents.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fuzz import seeds, targets

# The process itself takes 60 MB; documents have at most 100 kB.
_MOST_MEGABYTES = 300
_LARGEST = 100_000
_LONGEST_SECONDS = 5.0


@dataclass(frozen=True)
class Target:
    name: str
    read: Callable[[bytes], None]
    seeds: Sequence[bytes]
    # Its part of all executions.
    share: float


TARGETS = (
    Target("metadata", targets.read_metadata, seeds.DOCUMENTS, 0.2),
    Target("pages", targets.read_page, seeds.PAGES, 0.4),
    Target("links", targets.read_link, seeds.LINKS, 0.2),
    Target("uploads", targets.read_upload, seeds.UPLOADS, 0.2),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    done = 0
    for target in TARGETS:
        done += run(target, int(options.executions * target.share), seed=options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{done} executions, {peak} MB at most\n")
    return 0 if peak <= _MOST_MEGABYTES else 1


def run(target: Target, executions: int, *, seed: int) -> int:
    """Read so many damaged documents; return how many it were."""
    chance = random.Random(seed)  # noqa: S311  no secret
    for _ in range(executions):
        document = damaged(chance, target.seeds)
        began_at = time.process_time()
        try:
            target.read(document)
        except BaseException:
            sys.stderr.write(f"{target.name} failed on {document!r}\n")
            raise
        if time.process_time() - began_at > _LONGEST_SECONDS:
            raise TimeoutError(f"{target.name} takes too long for {document!r}")
    sys.stdout.write(f"{target.name}: {executions}\n")
    sys.stdout.flush()
    return executions


def damaged(chance: random.Random, good: Sequence[bytes]) -> bytes:
    document = bytearray(chance.choice(good))
    for _ in range(chance.randrange(1, 6)):
        begin = chance.randrange(len(document) + 1)
        end = min(len(document), begin + int(chance.expovariate(0.1)))
        match chance.randrange(6):
            case 0:
                del document[begin:end]
            case 1:
                document[begin:begin] = chance.choice(seeds.PIECES)
            case 2:
                document[begin:end] = chance.choice(seeds.PIECES)
            case 3:
                document[begin:begin] = document[begin:end] * chance.randrange(1, 4)
            case 4 if document:
                document[begin % len(document)] ^= 1 << chance.randrange(8)
            case _:
                other = chance.choice(good)
                start = chance.randrange(len(other))
                document[begin:end] = other[start : start + end - begin]
    return bytes(document[:_LARGEST])


if __name__ == "__main__":
    sys.exit(main())
