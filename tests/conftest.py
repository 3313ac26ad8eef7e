"""What tests of every app share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection


@pytest.fixture
def in_other_connection():
    """Run a callable on a database connection of its own, as another worker would.

    It fails after two seconds rather than hang, so that a lock that should have
    been skipped shows up as a failure.
    """

    def run(function):
        def call():
            try:
                return function()
            finally:
                connection.close()

        return executor.submit(call).result(timeout=2)

    with ThreadPoolExecutor(max_workers=1) as executor:
        yield run
