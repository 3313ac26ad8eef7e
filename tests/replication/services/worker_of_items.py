"""A worker that runs due items until its standard input ends."""

from __future__ import annotations

import select
import sys
from datetime import timedelta

import django
from django.conf import settings

# A killed worker's item is free again after so long.
LEASE = timedelta(seconds=3)

if __name__ == "__main__":
    django.setup()

    from replication.services.run import run_due_item

    settings.LEASE = LEASE
    settings.TIME_SLICE = timedelta(seconds=2)
    while not select.select([sys.stdin], [], [], 0)[0]:
        if not run_due_item():
            select.select([sys.stdin], [], [], 0.1)
