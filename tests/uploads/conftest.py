"""An organization whose staging database the machine may do with as it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection

from provisioning.models import DatabaseServer
from provisioning.services import staging_databases
from tests.project.processes import python
from tests.staged import organization

Lives = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def laboratory(
    django_db_setup: None, django_db_blocker: Any
) -> Iterator[dict[str, str]]:
    """Variables by which a process of its own finds the organization.

    It is committed, for that process has connections of its own, and taken away again
    at the end.
    """
    with django_db_blocker.unblock():
        had_server = DatabaseServer.objects.exists()
        owner = organization("uploads")
    catalog = urlsplit(settings.DATABASE_URL)
    name = f"/{connection.settings_dict['NAME']}"
    yield {
        "DATABASE_URL": urlunsplit(catalog._replace(path=name)),
        "UPLOADS_ORGANIZATION": str(owner.id),
    }
    with django_db_blocker.unblock():
        staging_databases.drop(owner)
        owner.refresh_from_db()
        server, budget = owner.server, owner.budget
        owner.work_items.all().delete()
        owner.delete()
        if budget is not None:
            budget.delete()
        if server is not None and not had_server:
            server.delete()


@pytest.fixture
def live(db: None, laboratory: dict[str, str]) -> Lives:
    """Let the machine run in a process of its own; return how it ended and said.

    A service with a bug in it must not be the one that this process has imported.
    """

    def run(*options: str, seconds: float, **variables: str) -> tuple[int, str]:
        command = ("-m", "tests.uploads.run", *options)
        with python(*command, **laboratory, **variables) as process:
            try:
                said, _ = process.communicate(timeout=seconds)
            except BaseException:
                process.kill()
                raise
        return process.returncode, said

    return run
