"""The card of an organization's page about its source, and the verb that tries it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy

from provisioning.admin.reading import Verb
from provisioning.domain.states import LEAVING
from provisioning.models import Organization
from replication.services import trying
from syncapi.services import sources

TEST_CONNECTION = Verb(
    name="test_connection",
    label=gettext_lazy("Test connection"),
    act=lambda organization, operator: trying.try_connection(
        organization, operator=operator
    ),
    icon="cable",
    fits=lambda organization: organization.state not in LEAVING,
)


def card(organization: Organization) -> dict[str, Any]:
    """What `waystation/source.html` shows."""
    now = timezone.now()
    return {
        "budget": sources.budget_of(organization, now=now),
        "source_tables": sources.tables_of(organization, now=now),
    }
