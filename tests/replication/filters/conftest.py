"""A connection of its own for filters; they need no organization."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings


@pytest.fixture(scope="module")
def conn() -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        settings.STAGING_SERVER_URL, autocommit=True, options="-c timezone=UTC"
    ) as connection:
        yield connection
