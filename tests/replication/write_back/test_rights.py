"""What a user may not write is an outcome, judged when the edit is carried out."""

from __future__ import annotations

from uuid import uuid4

import pytest

from replication.domain.profiles import ProfileItem
from tests.replication.worlds import profile
from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)


def reason(world, device):
    status, outcome = world.outcomes(device)[-1]
    assert status == "rejected"
    assert world.written == []
    return outcome["reason"]


def test_a_row_that_the_user_does_not_have_is_not_found(world, device):
    world.add_account("Secret", owner="Grace", unit="South")
    world.pull("account")
    world.edit("Secret", device=device, revenue=2)

    world.carry()

    assert reason(world, device) == "not_found"


def test_a_row_that_the_user_does_not_have_is_not_deleted(world, device):
    world.add_account("Secret", owner="Grace", unit="South")
    world.pull("account")
    world.accept(
        "delete", guid("Secret"), device=device, base_version=world.version("Secret")
    )

    world.carry()

    assert reason(world, device) == "not_found"


def test_a_table_that_is_only_read_is_not_written(world, device):
    world.put_in_effect(profile(ProfileItem(table="account")))
    world.edit("Airport", device=device, revenue=2)

    world.carry()

    assert reason(world, device) == "not_writable"


def test_a_table_outside_the_model_is_not_permitted(world, device):
    world.accept(
        "create", uuid4(), device=device, table="contact", values={"fullname": "Jo"}
    )

    world.carry()

    assert reason(world, device) == "not_permitted"


def test_a_column_outside_the_model_is_named(world, device):
    item = ProfileItem(table="account", writable=True, columns=("name",))
    world.put_in_effect(profile(item))
    world.edit("Airport", device=device, revenue=2)

    world.carry()

    assert reason(world, device) == "not_writable"
    assert "revenue" in world.outcomes(device)[0][1]["message"]


@pytest.mark.parametrize("column", ["versionnumber", "accountid", "nonsense"])
def test_columns_that_nobody_writes_are_refused(world, device, column):
    world.edit("Airport", device=device, **{column: "7"})

    world.carry()

    assert reason(world, device) == "not_writable"


@pytest.mark.parametrize("key", ["no guid", "'; DROP TABLE data.account"])
def test_a_key_of_another_form_is_invalid(world, device, key):
    world.accept("update", key, device=device, values={"revenue": 2})

    world.carry()

    assert reason(world, device) == "invalid"


def test_a_user_who_may_take_nothing_along_may_write_nothing(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.revoke("Ada", "Salesperson")
    world.pull("systemuserroles")

    world.carry()

    assert reason(world, device) == "not_permitted"


def test_rights_of_the_moment_count_and_not_those_of_acceptance(world, device):
    world.put_in_effect(profile(ProfileItem(table="account")))
    world.edit("Airport", device=device, revenue=2)
    world.put_in_effect(profile(ProfileItem(table="account", writable=True)))

    world.carry()

    assert world.statuses(device) == ["applied"]


def test_a_row_that_left_with_the_devices_own_edit_may_be_edited_on(world, device):
    world.edit("Airport", device=device, ownerid=str(guid("Grace")))
    world.edit("Airport", device=device, revenue=2)

    world.carry()

    assert world.statuses(device) == ["applied", "applied"]


def test_a_row_that_left_and_was_changed_by_others_may_not(world, device):
    world.edit("Airport", device=device, ownerid=str(guid("Grace")))
    world.carry()
    world.source.put("account", guid("Airport"), name="Hers")
    world.pull("account")
    world.edit("Airport", device=device, revenue=2)

    world.carry()

    assert world.outcomes(device)[1][1]["reason"] == "not_found"


def test_what_was_not_done_is_left_at_the_source_without_its_values(world, device):
    world.put_in_effect(profile(ProfileItem(table="account")))
    world.edit("Airport", device=device, revenue=987_654)

    world.carry()

    (left,) = world.sink.sync_errors
    assert (left["name"], left["action"], left["errortype"]) == ("account", "update", 3)
    assert "987654" not in str(left)
