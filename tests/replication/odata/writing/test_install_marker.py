"""`manage.py install_marker`: what an operator types, and what it says."""

from __future__ import annotations

from io import StringIO

import msgspec
import pytest
from django.core.management import CommandError, call_command

from provisioning.secrets import seal
from tests.provisioning import factories

pytestmark = pytest.mark.django_db


def register(contoso) -> None:
    token = contoso.headers["Authorization"].removeprefix("Bearer ")
    organization = factories.organization(unique_name="contoso")
    organization.endpoint = f"{contoso.running.url}/api/data/v9.2"
    organization.ca_certificate = contoso.running.ca_file.read_text()
    organization.credential_type = "bearer"
    organization.credential_sealed = seal(
        msgspec.json.encode({"type": "bearer", "token": token}),
        identity=organization.credential_identity,
    )
    organization.save()


def test_it_says_what_it_made_and_may_be_repeated(contoso, settings) -> None:
    settings.SOURCE_ALLOW_LOOPBACK = True
    register(contoso)
    said = StringIO()

    call_command("install_marker", "contoso", stdout=said)
    call_command("install_marker", "contoso", stdout=said)

    assert said.getvalue().endswith("The marker table was there.\n")


def test_an_organization_that_is_none_is_named() -> None:
    with pytest.raises(CommandError, match="no organization"):
        call_command("install_marker", "nosuch", stdout=StringIO())
