"""Sources stay open between pulls, until something about them changes."""

from __future__ import annotations

import pytest

from provisioning.secrets import seal
from replication.odata.errors import UnsafeEndpointError
from replication.services.sources import source_of
from tests.provisioning import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def fabrikam():
    return factories.organization(unique_name="fabrikam")


def test_a_source_is_opened_once(fabrikam):
    assert source_of(fabrikam) is source_of(fabrikam)


def change_secret(organization):
    organization.credential_type = "bearer"
    organization.credential_sealed = seal(
        b'{"type": "bearer", "token": "sesame"}',
        identity=organization.credential_identity,
    )


def change_endpoint(organization):
    organization.endpoint = "https://elsewhere.example/api/data/v9.2"


@pytest.mark.parametrize("change", [change_secret, change_endpoint])
def test_a_source_that_changed_is_opened_anew(fabrikam, change):
    before = source_of(fabrikam)

    change(fabrikam)

    assert source_of(fabrikam) is not before


def test_organizations_never_share_a_source(fabrikam):
    assert source_of(fabrikam) is not source_of(factories.organization())


def test_an_endpoint_that_cannot_be_used_is_refused_each_time(fabrikam):
    fabrikam.endpoint = "ftp://fabrikam.example"

    for _ in range(2):
        with pytest.raises(UnsafeEndpointError):
            source_of(fabrikam)
