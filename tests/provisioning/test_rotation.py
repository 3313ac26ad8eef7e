"""Resealing every secret, so that an old key can be thrown away."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from provisioning.models import DatabaseServer, Organization, ProvisioningEvent
from provisioning.queries import credential_of
from provisioning.secrets import key_id_of, seal
from provisioning.services import rotation
from provisioning.services.events import receive
from tests.provisioning import factories
from tests.provisioning.factories import SECRET

pytestmark = pytest.mark.django_db

SPRING, AUTUMN = b"s" * 32, b"a" * 32


@pytest.fixture(autouse=True)
def keys(settings):
    settings.ENCRYPTION_KEYS = {"spring": SPRING}
    settings.ENCRYPTION_KEY_ID = "spring"


@pytest.fixture
def autumn(settings):
    def come(*, keeps_spring=True):
        kept = {"spring": SPRING} if keeps_spring else {}
        settings.ENCRYPTION_KEYS = {"autumn": AUTUMN} | kept
        settings.ENCRYPTION_KEY_ID = "autumn"

    return come


@pytest.fixture
def contoso():
    made = factories.organization()
    made.credential_sealed = seal(
        b'{"type": "basic", "username": "ada", "password": "sesame"}',
        identity=made.credential_identity,
    )
    made.role_password_sealed = seal(b"pw", identity=made.role_password_identity)
    made.save()
    return made


def rotated():
    out = io.StringIO()
    call_command("rotate_secrets", stdout=out)
    return out.getvalue()


def test_every_secret_opens_with_the_new_key_alone(contoso, autumn):
    receive(factories.provision())
    server = DatabaseServer(name="second")
    server.admin_url_sealed = seal(b"url", identity=server.admin_url_identity)
    server.save()
    autumn()

    assert rotated().startswith("4 resealed, 0 were under")

    autumn(keeps_spring=False)
    contoso = Organization.objects.get(pk=contoso.pk)
    assert credential_of(contoso)["password"] == "sesame"
    event = ProvisioningEvent.objects.get()
    sealed = bytes(event.credential_sealed)
    assert key_id_of(sealed, identity=event.credential_identity) == "autumn"


def test_it_may_be_repeated(contoso, autumn):
    autumn()
    rotated()

    assert rotated().startswith("0 resealed, 2 were under")


def test_it_goes_on_after_an_interruption(contoso, autumn):
    contoso.role_password_sealed = b""
    contoso.save()
    autumn()
    rotation.rotate()
    other = factories.organization(unique_name="other")
    other.credential_sealed = seal(b"{}", identity=other.credential_identity)
    other.save()

    done = rotation.rotate()

    assert (done.resealed, done.current, done.broken) == (0, 2, 0)


def test_a_secret_that_no_key_opens_is_reported_and_left_alone(contoso, autumn, caplog):
    autumn(keeps_spring=False)

    with pytest.raises(CommandError):
        rotated()

    assert rotation.rotate().broken == 2
    assert bytes(Organization.objects.get().credential_sealed)
    assert "sesame" not in caplog.text
    assert SECRET not in caplog.text
