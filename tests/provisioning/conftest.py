"""Staging databases that disappear with the test that made them."""

from __future__ import annotations

import pytest

from provisioning.models import Organization
from provisioning.services import staging_databases


@pytest.fixture
def staging(transactional_db, settings):
    """Let organizations get real databases, seeded by the tests' own seed."""
    settings.STAGING_SEED = "tests.provisioning.seeds.install"
    reachable = settings.STAGING_SERVER_URL
    yield
    settings.STAGING_SERVER_URL = reachable
    for organization in Organization.objects.exclude(server=None):
        staging_databases.drop(organization)
