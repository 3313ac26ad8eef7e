"""A WSGI application for granian whose engine waits until the test lets it go on.

The test and the application speak through files in the folder that `PACED_BY` names.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.wsgi import get_wsgi_application

GATE, CLOSED = "gate", "closed"
PATIENCE_SECONDS = 10.0


def paced_messages(folder: Path) -> Iterator[Any]:
    """A first piece; the rest, without end, once the gate is open."""
    from tests.syncapi.engines import begin, point, rows  # noqa: PLC0415  # needs apps

    try:
        yield begin()
        yield rows("Fabrikam")
        yield point(complete=False)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not (folder / GATE).exists() and time.monotonic() < give_up_at:
            time.sleep(0.01)
        while time.monotonic() < give_up_at:
            yield rows(*["Fabrikam"] * 1_000)
            yield point(complete=False)
    finally:
        (folder / CLOSED).touch()


def paced_application():
    settings.ROOT_URLCONF = "tests.syncapi.urls"
    application = get_wsgi_application()
    from replication.services.serving import SyncUser  # noqa: PLC0415  # needs apps
    from tests.syncapi import urls  # noqa: PLC0415  # needs apps

    folder = Path(os.environ["PACED_BY"])
    urls.engine.users = {UUID(os.environ["PACED_USER"]): SyncUser(UUID(int=2), "Ada")}
    urls.engine.script = lambda _: paced_messages(folder)
    return application


# Only granian, which sets the folder, wants the application.
application = paced_application() if "PACED_BY" in os.environ else None
