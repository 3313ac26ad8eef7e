"""`take_along` says what is wrong instead of failing."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command


@pytest.mark.django_db
def test_an_organization_that_nobody_knows_is_refused():
    with pytest.raises(CommandError, match="no organization of this name"):
        call_command("take_along", "fabrikam")


def test_an_organization_without_people_is_refused(accounts):
    with pytest.raises(CommandError, match="people are not loaded"):
        call_command("take_along", accounts.organization.unique_name)
