"""Contoso in a staging database, served over HTTP, and people with devices."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from provisioning.models import Organization
from replication.services import heads
from tests.replication.conftest import all_of_contoso as all_of_contoso
from tests.replication.conftest import in_background as in_background
from tests.replication.worlds import SavedWorld, World
from tests.staged import guid
from tests.syncapi.authority import Authority
from tests.syncapi.conftest import bearer
from tests.syncapi.uploads.phone import Phone


@pytest.fixture
def world(db: None, all_of_contoso: SavedWorld, authority: Authority) -> World:
    """Contoso with two accounts: Airport of Ada's, Harbour of Grace's."""
    made = all_of_contoso.world()
    heads.drop_head(made.id)
    made.add_account("Airport", owner="Ada", unit="North")
    made.add_account("Harbour", owner="Grace", unit="South")
    made.pull("account")
    made.reconcile()
    Organization.objects.filter(pk=made.id).update(identity=authority.identity())
    return made


@pytest.fixture
def phone_of(world: World, authority: Authority) -> Callable[..., Phone]:
    """A registered device of somebody in Contoso."""

    def make(
        person: str, *, device: UUID | None = None, registered: bool = True
    ) -> Phone:
        token = authority.token(oid=str(guid(f"{person}@entra")), uti=f"{person}'s")
        phone = Phone(bearer(token), device=device)
        if registered:
            assert phone.register().status_code == 201
        return phone

    return make


@pytest.fixture
def phone(phone_of: Callable[..., Phone]) -> Phone:
    """Ada's."""
    return phone_of("Ada")
