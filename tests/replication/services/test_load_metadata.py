"""Metadata becomes staging tables and work items, as often as one likes."""

from __future__ import annotations

import pytest
from django.utils import timezone

from provisioning.models import Organization, WorkItem
from replication.domain.tables import MORE_SECURITY_TABLES, SECURITY_TABLES
from replication.models import Profile
from replication.odata.client import ODataSource
from replication.services.load_metadata import UnknownTablesError, load_metadata
from tests.fake_dataverse import (
    ACCOUNT,
    CONTACT,
    ENDPOINT,
    SECURITY,
    FakeDataverse,
    plain,
    table_def,
)


class Metadata(ODataSource):
    """A source that knows these tables, and would answer nothing else."""

    def __init__(self, *tables):
        super().__init__(FakeDataverse(tables), endpoint=ENDPOINT, kind="dataverse")
        self._tables = tables
        self.asked: list[tuple[str, ...]] = []
        # What tells of a change; by default nothing does.
        self.stamp: str | None = None

    def metadata_stamp(self, known=None):
        return self.stamp

    def load_tables(self, names):
        self.asked.append(names)
        return tuple(table for table in self._tables if table.name in names)


@pytest.fixture
def contoso(new_world):
    """Nothing is replicated yet; accounts and contacts are asked for."""
    made = new_world()
    made.organization.tables = ["account", "contact"]
    made.organization.state = Organization.State.LOADING_METADATA
    made.organization.save()
    return made


def items():
    return {item.table: item for item in WorkItem.objects.all()}


def staged(world):
    return world.values("SELECT name FROM sync.source ORDER BY name")


def test_every_table_gets_its_place_in_staging_and_a_work_item(contoso):
    load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT, CONTACT))

    wanted = sorted([*SECURITY_TABLES, "account", "contact"])
    assert staged(contoso) == sorted(items()) == wanted


def test_only_the_security_tables_are_mandatory(contoso):
    load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT, CONTACT))

    mandatory = {name for name, item in items().items() if item.mandatory}
    assert mandatory == set(SECURITY_TABLES)


def test_security_tables_are_asked_for_first_and_none_twice(contoso):
    contoso.organization.tables = ["account", "systemuser", "account"]
    source = Metadata(*SECURITY, ACCOUNT)

    load_metadata(contoso.organization, source)

    assert source.asked == [(*SECURITY_TABLES, "account", *MORE_SECURITY_TABLES)]


def test_more_security_tables_are_planned_where_the_source_has_them(contoso):
    shares = table_def("principalobjectaccess", ownership="none")

    load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT, CONTACT, shares))

    assert not items()["principalobjectaccess"].mandatory
    assert "fieldpermission" not in items()


@pytest.mark.parametrize("can_be_followed", [True, False])
def test_who_follows_what_is_planned_once_a_profile_asks(contoso, can_be_followed):
    follows = table_def("postfollow", plain("regardingobjectid"))
    Profile.objects.create(
        organization=contoso.organization,
        name="Field sales",
        document={
            "items": [{"table": "account", "can_be_followed": can_be_followed}],
        },
        changed_at=timezone.now(),
    )

    load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT, CONTACT, follows))

    assert ("postfollow" in items()) is can_be_followed


def test_other_services_have_no_security_tables(contoso):
    contoso.organization.kind = "odata"

    load_metadata(contoso.organization, Metadata(ACCOUNT, CONTACT))

    assert sorted(items()) == ["account", "contact"]
    assert not any(item.mandatory for item in items().values())


def test_unknown_tables_are_named_and_the_others_planned(contoso):
    contoso.organization.tables = ["account", "acount", "kontact"]

    with pytest.raises(UnknownTablesError, match="acount, kontact"):
        load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT))

    assert "account" in items()
    assert "account" in staged(contoso)


def test_loading_again_changes_nothing(contoso):
    source = Metadata(*SECURITY, ACCOUNT, CONTACT)
    load_metadata(contoso.organization, source)
    before = (contoso.content(), {name: item.pk for name, item in items().items()})

    load_metadata(contoso.organization, source)

    after = (contoso.content(), {name: item.pk for name, item in items().items()})
    assert after == before


def test_a_table_that_is_asked_for_later_is_added(contoso):
    source = Metadata(*SECURITY, ACCOUNT, CONTACT)
    contoso.organization.tables = ["account"]
    load_metadata(contoso.organization, source)

    contoso.organization.tables = ["account", "contact"]
    load_metadata(contoso.organization, source)

    assert "contact" in staged(contoso)
    assert "contact" in items()


def test_definitions_are_read_again_only_when_the_source_says_so(contoso):
    source = Metadata(*SECURITY, ACCOUNT, CONTACT)
    source.stamp = "7"
    load_metadata(contoso.organization, source)
    load_metadata(contoso.organization, source)
    source.stamp = "8"

    load_metadata(contoso.organization, source)

    assert len(source.asked) == 2


def test_what_is_asked_for_anew_is_read_though_the_source_is_as_it_was(contoso):
    source = Metadata(*SECURITY, ACCOUNT, CONTACT)
    source.stamp = "7"
    contoso.organization.tables = ["account"]
    load_metadata(contoso.organization, source)
    contoso.organization.tables = ["account", "contact"]

    load_metadata(contoso.organization, source)

    assert "contact" in items()


def test_a_table_is_missed_once_before_its_work_is_stopped(contoso):
    load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT, CONTACT))
    without = Metadata(*SECURITY, ACCOUNT)
    without.stamp = "8"
    load_metadata(contoso.organization, without)
    once = items()["contact"].state

    load_metadata(contoso.organization, without)

    stopped = items()["contact"]
    assert (once, stopped.state) == ("due", "halted")
    assert stopped.last_error_code == "table_removed"


def test_a_table_that_comes_back_is_worked_on_again(contoso):
    everything = Metadata(*SECURITY, ACCOUNT, CONTACT)
    load_metadata(contoso.organization, everything)
    for _ in range(2):
        load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT))

    load_metadata(contoso.organization, everything)

    assert items()["contact"].state == "due"


def test_the_organization_goes_on_to_its_mandatory_tables(contoso):
    load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT, CONTACT))

    assert Organization.objects.get(pk=contoso.id).state == "loading_mandatory"
