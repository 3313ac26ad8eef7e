"""Random lives of an organization: devices equal the naive oracle whenever quiet."""

from __future__ import annotations

import os
import time

# Lives in a run of the suite. `ORACLE_EXAMPLES` asks for so many, and for new ones.
RUNS = 40
# Many times what the machine takes, so that one that hangs ends.
SECONDS_PER_RUN = 10


def test_devices_hold_what_the_oracle_says_after_any_history(live):
    asked = os.environ.get("ORACLE_EXAMPLES")
    runs, seed = (int(asked), int(time.time())) if asked else (RUNS, 0)

    ended, said = live(
        *("--runs", str(runs), "--seed", str(seed), "--faults", "--shrink"),
        seconds=SECONDS_PER_RUN * runs,
    )

    assert ended == 0, said
