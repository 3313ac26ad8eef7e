"""The process of `killed.KilledWorkers`."""

from __future__ import annotations

import sys

import django

if __name__ == "__main__":
    django.setup()

    from tests.replication.pulling.killed import serve

    serve(sys.argv[1])
