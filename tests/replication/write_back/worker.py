"""The process of `dying.WorkerProcess`."""

from __future__ import annotations

import django

if __name__ == "__main__":
    django.setup()

    from tests.replication.write_back.dying import serve

    serve()
