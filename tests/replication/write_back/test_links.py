"""Rows that are associated: of which table they are, and whose."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)


def associate(world, device, key, other, *, op="associate", table=None):
    return world.accept(
        op,
        key,
        device=device,
        table=table,
        relationship="account_account",
        other_key=str(other),
    )


@pytest.mark.parametrize("table", [None, "account"])
@pytest.mark.parametrize("op", ["associate", "disassociate"])
def test_the_table_follows_from_the_users_row(world, device, op, table):
    associate(world, device, guid("Airport"), guid("Depot"), op=op, table=table)

    world.carry()

    assert world.statuses(device) == ["applied"]
    assert world.written == [(op, str(guid("Airport")))]
    assert world.sink.journal[0].table == "account"


def test_rows_of_the_same_queue_are_associated(world, device):
    made, other = uuid4(), uuid4()
    for key in (made, other):
        world.accept("create", key, device=device, values={"name": "New"})
    associate(world, device, made, other)
    associate(world, device, other, guid("Airport"), op="associate")

    while "accepted" in world.statuses(device):
        world.carry()

    assert world.statuses(device) == ["applied"] * 4


def test_a_row_that_nobody_has_is_not_found(world, device):
    associate(world, device, uuid4(), guid("Depot"))

    world.carry()

    ((status, outcome),) = world.outcomes(device)
    assert (status, outcome["reason"]) == ("rejected", "not_found")


@pytest.mark.parametrize("secret_first", [True, False])
def test_a_row_that_the_user_does_not_have_is_not_associated(
    world, device, secret_first
):
    world.add_account("Secret", owner="Grace", unit="South")
    world.pull("account")
    pair = [guid("Secret"), guid("Depot")]
    associate(world, device, *(pair if secret_first else reversed(pair)))

    world.carry()

    ((status, outcome),) = world.outcomes(device)
    assert (status, outcome["reason"]) == ("rejected", "not_found")
    assert world.written == []


def test_what_names_a_row_that_was_not_created_waits_behind_it(world, device):
    made = world.accept("create", guid("Depot"), device=device, values={"name": "New"})
    associate(world, device, guid("Airport"), guid("Depot"))

    world.carry()

    (_, (status, outcome)) = world.outcomes(device)
    assert (status, outcome["blocked_by"]) == ("parked", str(made))
