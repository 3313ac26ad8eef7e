"""Metadata becomes staging tables and work items, as often as one likes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.models import Organization, WorkItem
from replication.domain.tables import SECURITY_TABLES
from replication.odata.client import ODataSource
from replication.services.load_metadata import UnknownTablesError, load_metadata
from tests.fake_dataverse import (
    ACCOUNT,
    CONTACT,
    ENDPOINT,
    SECURITY,
    FakeDataverse,
    plain,
)


class Metadata(ODataSource):
    """A source that knows these tables, and would answer nothing else."""

    def __init__(self, *tables):
        super().__init__(FakeDataverse(tables), endpoint=ENDPOINT, kind="dataverse")
        self._tables = tables
        self.asked: list[tuple[str, ...]] = []

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

    assert source.asked == [(*SECURITY_TABLES, "account")]


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


def test_the_definition_that_staging_was_made_from_stays(contoso):
    load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT, CONTACT))
    wider = replace(ACCOUNT, columns=(*ACCOUNT.columns, plain("phone")))

    load_metadata(contoso.organization, Metadata(*SECURITY, wider, CONTACT))

    known = contoso.values(
        "SELECT count(*) FROM information_schema.columns"
        " WHERE table_schema = 'data' AND table_name = 'account'"
    )
    assert known == [len(ACCOUNT.columns) + 1]


def test_the_organization_goes_on_to_its_mandatory_tables(contoso):
    load_metadata(contoso.organization, Metadata(*SECURITY, ACCOUNT, CONTACT))

    assert Organization.objects.get(pk=contoso.id).state == "loading_mandatory"
