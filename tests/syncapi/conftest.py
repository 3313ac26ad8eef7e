"""An authority, an engine and a person with a device."""

from __future__ import annotations

import time
from uuid import UUID

import pytest
from django.test import Client

from replication.services.serving import SyncUser
from syncapi import identity
from syncapi.checkpoints import CheckpointSigner, Holder
from syncapi.services import devices, directory
from tests.syncapi import factories, urls
from tests.syncapi.authority import ADA, GRACE, Server
from tests.syncapi.engines import DEVICE, checkpoint

ADAS_USER = UUID(int=2)


@pytest.fixture(scope="session")
def authorities():
    with Server().running() as server:
        yield server


@pytest.fixture
def authority(authorities):
    return authorities.authority()


@pytest.fixture(autouse=True)
def nothing_remembered(settings):
    """What one test's process knows, the next one's does not."""
    settings.SOURCE_ALLOW_LOOPBACK = True
    directory.forget()
    devices.forget()
    identity.verifier.forget()


@pytest.fixture
def engine(settings):
    settings.ROOT_URLCONF = "tests.syncapi.urls"
    urls.engine.reset()
    urls.engine.users = {
        ADA: SyncUser(UUID(int=2), "Ada"),
        GRACE: SyncUser(UUID(int=4), "Grace"),
    }
    return urls.engine


@pytest.fixture
def contoso(db, authority):
    return factories.organization(authority)


@pytest.fixture
def ada(authority):
    """Ada's client, with her token."""
    return bearer(authority.token())


@pytest.fixture
def grace(authority):
    return bearer(authority.token(oid=str(GRACE)))


@pytest.fixture
def operator(db, django_user_model):
    """The client of a member of the staff, logged in."""
    olga = django_user_model(username="olga", is_staff=True, is_superuser=True)
    # Hashing a password takes longer than most tests.
    olga.set_unusable_password()
    olga.save()
    client = Client()
    client.force_login(olga)
    return client


@pytest.fixture
def device(contoso, engine):
    return factories.device(contoso)


@pytest.fixture
def signed(settings):
    """Sign a checkpoint as the service would, except for what is said to differ."""

    def sign(*, organization, user_id=ADAS_USER, device_id=DEVICE, age=0, key=None):
        signer = CheckpointSigner(
            key=key or settings.CHECKPOINT_KEY, validity=settings.CHECKPOINT_VALIDITY
        )
        holder = Holder(
            organization_id=organization.id, user_id=user_id, device_id=device_id
        )
        return signer.sign(checkpoint(), holder=holder, now=time.time() - age)

    return sign


def bearer(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})
