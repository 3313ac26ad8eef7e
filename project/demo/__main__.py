"""Show the whole of Waystation on one machine, as `make demo` does.

Then everything stays up until Ctrl-C; with `ONCE=1`, or without a terminal, it ends
at once, and the exit code says whether the device held what it should.
"""

from __future__ import annotations

import os
import sys
import time

import requests
from django.core.exceptions import ImproperlyConfigured
from rich.console import Console

from project import stack
from project.demo.story import COLLEAGUE, PASSWORD, SALESPERSON, Story
from project.errors import SyncError
from project.operator_account import USERNAME
from project.stack import Stack
from sandbox.device.errors import DeviceError

FAILURES = (
    SyncError,
    ImproperlyConfigured,
    DeviceError,
    requests.RequestException,
    OSError,
)


def main() -> int:
    console = Console(soft_wrap=not sys.stdout.isatty())
    stack.end_on_signals()
    try:
        with stack.running(stack.plan_from_environment(), say=console.print) as running:
            Story(running, console=console).tell()
            if not _ends_at_once():
                _stay_up(running, console)
    except KeyboardInterrupt:
        console.print("Ended.")
    except FAILURES as error:
        console.print(f"The demo stopped: {error}", style="bold red", markup=False)
        return 1
    return 0


def _ends_at_once() -> bool:
    return os.environ.get("ONCE", "") not in {"", "0"} or not sys.stdout.isatty()


def _stay_up(running: Stack, console: Console) -> None:
    plan = running.plan
    console.print("\nEverything stays up until Ctrl-C", style="bold cyan")
    console.print(
        f"Admin      {plan.web_url}/admin/   {USERNAME} / {running.admin_password}\n"
        f"Sync API   {plan.web_url}/sync/v1/orgs/contoso/\n"
        f"Sandbox    {plan.sandbox_url}/api/data/v9.2/   "
        f"{SALESPERSON}, {COLLEAGUE}, … / {PASSWORD}\n"
        f"Its CA     {plan.sandbox_ca}",
        markup=False,
    )
    while True:
        running.check()
        time.sleep(stack.POLL_INTERVAL)


if __name__ == "__main__":
    sys.exit(main())
