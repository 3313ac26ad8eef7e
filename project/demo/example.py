"""Write the worked example of docs/visibility.md: `python -m project.demo.example docs`.

The whole stack runs for it, on servers and a folder of its own: Contoso is provisioned,
loaded and given the example's profiles, and `take_along` writes what it finds.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from project import stack
from project.demo.administration import Administration
from project.demo.example_profiles import PROFILES, SCALE, TABLES
from project.demo.source import Contoso
from project.errors import SyncError
from project.stack import AUDIENCE, SANDBOX_TENANT, Stack
from sandbox.contoso import data
from sandbox.contoso.people import PEOPLE_BY_KEY

LIMIT = 300.0


class ExampleError(SyncError):
    code = "example"


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("Say where to write to: the folder of visibility.md.\n")
        return 2
    for servers in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(servers, None)
    stack.end_on_signals()
    with tempfile.TemporaryDirectory(prefix="waystation-example-") as name:
        folder = Path(name)
        # PostgreSQL may run as another user than the one who owns the folder.
        folder.chmod(0o755)
        data.prepare(folder / "sandbox" / "contoso.db", scale=SCALE)
        plan = replace(stack.plan_from_environment(), data=folder)
        try:
            with stack.running(plan, say=stack.tell) as running:
                _write(running, into=Path(sys.argv[1]).resolve())
        except (SyncError, OSError) as error:
            sys.stderr.write(f"The example was not written: {error}\n")
            return 1
    return 0


def _write(running: Stack, *, into: Path) -> None:
    contoso = Contoso(running.plan)
    administration = Administration(
        running.plan.web_url,
        token=lambda: contoso.token(scope=f"{AUDIENCE}/.default"),
    )
    with closing(contoso), closing(administration):
        event = contoso.provision_event(
            event_id=str(uuid4()), occurred_at=datetime.now(UTC).isoformat()
        )
        administration.report_event({**event, "tables": list(TABLES)})
        _until(running, lambda: _is_active(administration), what="The first load")
        for name, document in PROFILES.items():
            administration.save_profile(SANDBOX_TENANT, name=name, document=document)
        administration.publish_profiles(SANDBOX_TENANT)
        _until(running, lambda: _is_in_effect(administration), what="The profiles")
    order = ("django", "take_along", SANDBOX_TENANT, "--write", str(into))
    running.complete(running.launch("take-along", *order))
    stack.tell(f"written                 {into}")


def _is_active(administration: Administration) -> bool:
    found = administration.organization(SANDBOX_TENANT) or {}
    return found.get("state") == "active"


def _is_in_effect(administration: Administration) -> bool:
    """All profiles take effect at once, so anybody's tables tell."""
    ada = PEOPLE_BY_KEY["ada"].id
    return "account" in administration.tables_offered(SANDBOX_TENANT, user_id=ada)


def _until(running: Stack, condition: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        running.check()
        if time.monotonic() > deadline:
            raise ExampleError(f"{what} did not come within {LIMIT:.0f} s.")
        time.sleep(stack.POLL_INTERVAL)


if __name__ == "__main__":
    sys.exit(main())
