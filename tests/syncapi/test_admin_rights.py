"""Operators act over the admin API with the rights that they have in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User

from provisioning.models import Organization
from tests.provisioning import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization():
    return factories.organization()


def operator(client, *rights):
    user = User.objects.create_user("Lena", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)
    return client


def suspend(client, organization):
    path = f"/admin-api/v1/organizations/{organization.unique_name}/suspend"
    return client.post(path, content_type="application/json").status_code


def test_staff_without_rights_sees_nothing(client, organization):
    answer = operator(client).get("/admin-api/v1/organizations")

    assert answer.status_code == 403


def test_who_may_only_look_cannot_act(client, organization):
    status = suspend(operator(client, "view_organization"), organization)

    organization.refresh_from_db()
    assert status == 403
    assert organization.state != Organization.State.SUSPENDED


def test_who_may_change_organizations_can_suspend_one(client, organization):
    rights = ("view_organization", "change_organization")

    status = suspend(operator(client, *rights), organization)

    organization.refresh_from_db()
    assert status == 204
    assert organization.state == Organization.State.SUSPENDED
