"""An operator, signed in, and the fleet that they look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from provisioning.models import Organization
from tests.admin import world


@pytest.fixture
def olga(db: None) -> Client:
    """The client of an operator who may do everything."""
    operator = User(username="olga", is_staff=True, is_superuser=True)
    # Hashing a password takes longer than most tests.
    operator.set_unusable_password()
    operator.save()
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def contoso(transactional_db: None) -> Iterator[Organization]:
    """Contoso with a staging database, among six others."""
    try:
        yield world.fleet()
    finally:
        world.drop_staging()
