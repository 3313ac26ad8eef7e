"""Outcomes reach their device with the rows that belong to them, until it has them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from replication.domain.profiles import ProfileItem
from replication.services import heads, upload_verbs
from replication.staging import mutations
from replication.visibility import outcomes
from tests.replication.worlds import profile
from tests.staged import guid
from tests.syncapi.uploads.deciding import decide
from tests.syncapi.uploads.phone import update, void

AIRPORT, HARBOUR = guid("Airport"), guid("Harbour")


@pytest.fixture
def synced(phone):
    """Ada's device, which has all her rows."""
    assert phone.changes().status == 200
    return phone


def delivered(world):
    return world.values(
        "SELECT delivered_at IS NOT NULL FROM sync.mutation ORDER BY sequence"
    )


def forget_heads(world):
    heads.drop_head(world.id)


def test_an_outcome_comes_with_the_next_answer(world, synced):
    synced.accepted(void(1), void(2))
    decide(world, synced.device, 1, version="8")

    answer = synced.changes()

    assert answer.kinds == ["begin", "outcomes", "checkpoint"]
    assert answer.outcomes == [
        {"id": void(1)["id"], "sequence": 1, "status": "applied", "version": "8"}
    ]
    assert answer.through == 1


def test_an_outcome_is_told_once(world, synced):
    synced.accepted(void(1))
    decide(world, synced.device, 1)

    assert synced.changes().outcomes
    assert synced.changes().status == 204


def test_what_is_tried_again_says_nothing_of_those_behind_it(world, synced):
    synced.accepted(update(1, key=AIRPORT), void(2))
    decide(world, synced.device, 1, "rejected", reason="other")
    decide(world, synced.device, 2)
    synced.changes()
    synced.changes()

    upload_verbs.retry(world.id, UUID(update(1, key=AIRPORT)["id"]), operator="olga")
    synced.accepted(void(3))
    decide(world, synced.device, 3)
    waits = synced.changes()
    decide(world, synced.device, 1, version="8")
    done = synced.changes()

    assert waits.through == 3
    assert [one["sequence"] for one in waits.outcomes] == [3]
    assert [one["sequence"] for one in done.outcomes] == [1]
    assert done.through == 3


def test_what_is_tried_again_before_its_device_heard_of_it_waits(world, synced):
    synced.accepted(update(1, key=AIRPORT), void(2))
    decide(world, synced.device, 1, "rejected", reason="other")
    decide(world, synced.device, 2)

    upload_verbs.retry(world.id, UUID(update(1, key=AIRPORT)["id"]), operator="olga")

    assert synced.changes().through == 0


def test_an_answer_that_was_lost_is_told_again(world, synced):
    synced.accepted(void(1))
    decide(world, synced.device, 1)

    lost = synced.changes(stores=False)

    assert synced.changes().outcomes == lost.outcomes
    assert synced.changes().status == 204


def test_that_a_device_has_an_outcome_is_noted_when_it_comes_back(world, synced):
    synced.accepted(void(1))
    decide(world, synced.device, 1)
    synced.changes()
    assert delivered(world) == [False]
    forget_heads(world)

    assert synced.changes().status == 204

    assert delivered(world) == [True]


def test_it_is_noted_as_well_when_there_is_more_news(world, synced):
    synced.accepted(void(1))
    decide(world, synced.device, 1)
    synced.changes()
    world.put_in_effect(
        profile(ProfileItem(table="account"), ProfileItem(table="task"))
    )
    forget_heads(world)

    assert synced.changes().status == 200

    assert delivered(world) == [True]


def test_through_mutation_stops_before_the_first_that_waits(world, synced):
    synced.accepted(void(1), void(2), void(3))
    decide(world, synced.device, 1)
    assert synced.changes().through == 1

    decide(world, synced.device, 3, "parked", blocked_by=void(2)["id"])
    assert synced.changes().through == 1

    decide(world, synced.device, 2)
    assert synced.changes().through == 3


def test_a_first_download_says_how_far_mutations_have_come(world, phone):
    phone.accepted(void(1), void(2))
    decide(world, phone.device, 1)

    answer = phone.changes()

    assert answer.through == 1
    assert [one["sequence"] for one in answer.outcomes] == [1]


def test_after_a_new_start_only_unconfirmed_outcomes_come_again(world, synced):
    synced.accepted(void(1), void(2))
    decide(world, synced.device, 1)
    synced.changes()
    forget_heads(world)
    synced.changes()
    decide(world, synced.device, 2)
    synced.changes()

    synced.checkpoint = None
    answer = synced.changes()

    assert [one["sequence"] for one in answer.outcomes] == [2]
    assert answer.through == 2


def test_an_older_checkpoint_is_told_what_came_since(world, synced):
    older = synced.checkpoint
    synced.accepted(void(1))
    decide(world, synced.device, 1)
    synced.changes()
    forget_heads(world)
    synced.changes()
    assert delivered(world) == [True]

    synced.checkpoint = older

    assert synced.changes().outcomes


def test_outcomes_of_others_are_not_told(world, synced, phone_of):
    grace = phone_of("Grace")
    grace.accepted(void(1))
    decide(world, grace.device, 1)

    assert synced.changes().status == 204


@pytest.mark.parametrize("status", ["conflict", "rejected"])
def test_the_servers_row_comes_again_with_a_failure(world, synced, status):
    synced.accepted(update(1, key=AIRPORT))
    decide(world, synced.device, 1, status)

    answer = synced.changes()

    (rows,) = answer.rows
    assert (rows["table"], rows["deletes"]) == ("account", [])
    (row,) = rows["upserts"]
    columns = answer.lines[0]["columns"]["account"]
    assert dict(zip(columns, row, strict=True))["name"] == "Airport"
    assert answer.kinds == ["begin", "rows", "outcomes", "checkpoint"]


def test_an_applied_one_sends_no_row_by_itself(world, synced):
    synced.accepted(update(1, key=AIRPORT))
    decide(world, synced.device, 1)

    assert not synced.changes().rows


@pytest.mark.parametrize("key", [HARBOUR, guid("never there"), "no guid"])
def test_a_row_that_the_user_may_not_see_is_deleted_again(world, synced, key):
    synced.accepted(update(1, key=key))
    decide(world, synced.device, 1, "conflict")

    answer = synced.changes()

    (rows,) = answer.rows
    assert (rows["deletes"], rows["upserts"]) == ([str(key)], [])
    assert answer.outcomes[0]["row"] is None


def test_of_a_table_that_the_user_does_not_have_no_row_comes(world, synced):
    synced.accepted(update(1, key=AIRPORT, table="systemuser"))
    decide(world, synced.device, 1, "conflict")

    answer = synced.changes()

    assert not answer.rows
    assert answer.outcomes[0]["row"] is None


def test_a_conflict_carries_the_row_as_the_user_may_see_it(world, synced):
    synced.accepted(update(1, key=AIRPORT))
    decide(world, synced.device, 1, "conflict", lost=["name"])

    answer = synced.changes()

    (conflict,) = answer.outcomes
    columns = answer.lines[0]["columns"]["account"]
    assert conflict["lost"] == ["name"]
    assert conflict["row"] == dict(
        zip(columns, answer.rows[0]["upserts"][0], strict=True)
    )
    assert "_version" in conflict["row"]
    assert synced.outcomes() == [conflict]
    assert synced.accepted(update(1, key=AIRPORT)) == [conflict]


def test_a_row_that_changes_later_is_told_as_it_is_then(world, synced):
    synced.accepted(update(1, key=AIRPORT))
    decide(world, synced.device, 1, "conflict")
    assert synced.outcomes()[0]["row"]["name"] == "Airport"

    world.source.put("account", AIRPORT, name="Airfield")
    world.pull("account")

    assert synced.outcomes()[0]["row"]["name"] == "Airfield"


def test_outcomes_say_no_row_to_who_may_not_go_offline(world, synced):
    synced.accepted(update(1, key=AIRPORT))
    decide(world, synced.device, 1, "conflict")
    world.put_in_effect()

    assert synced.outcomes()[0]["row"] is None


def test_an_outcome_that_changes_is_told_again(world, synced):
    synced.accepted(void(1))
    decide(world, synced.device, 1, "parked")
    assert synced.changes().outcomes[0]["status"] == "parked"

    world.execute("UPDATE sync.mutation SET status = 'accepted', delivered_at = NULL")
    assert synced.changes().status == 204
    decide(world, synced.device, 1)

    assert synced.changes().outcomes[0]["status"] == "applied"


@pytest.mark.parametrize("status", ["applied", "rejected"])
def test_many_outcomes_come_with_checkpoints_in_between(world, synced, status):
    number = 2 * outcomes.AT_ONCE + 5
    synced.accepted(*(update(n, key=AIRPORT) for n in range(1, number + 1)))
    world.execute("UPDATE sync.clock SET rev = rev + 1")
    world.execute(
        "UPDATE sync.mutation SET status = %s, outcome = '{}',"
        " outcome_rev = (SELECT rev FROM sync.clock)",
        status,
    )
    forget_heads(world)

    answer = synced.changes()

    told = [one["sequence"] for one in answer.outcomes]
    assert sorted(told) == list(range(1, number + 1))
    assert answer.through == number
    assert synced.changes().status == 204


def test_large_rows_come_in_parts_that_the_device_can_store(world, synced):
    keys = [
        world.add_account(f"{n}{'x' * 10**6}", owner="Ada", unit="North")
        for n in range(6)
    ]
    world.pull("account")
    synced.changes()
    synced.accepted(*(update(n, key=key) for n, key in enumerate(keys, start=1)))
    for n in range(1, len(keys) + 1):
        decide(world, synced.device, n, "rejected")

    answer = synced.changes()

    assert answer.kinds.count("checkpoint") > 1
    assert [one["sequence"] for one in answer.outcomes] == [1, 2, 3, 4, 5, 6]
    assert [len(rows["upserts"]) for rows in answer.rows] == [1] * 6


def test_outcomes_are_kept_so_long_after_delivery(world, synced):
    synced.accepted(void(1), void(2), void(3))
    decide(world, synced.device, 1)
    decide(world, synced.device, 2)
    world.execute(
        "UPDATE sync.mutation SET delivered_at = now() - interval '59 days'"
        " WHERE sequence = 1"
    )
    world.execute(
        "UPDATE sync.mutation SET delivered_at = now() - interval '61 days'"
        " WHERE sequence = 2"
    )

    with world.staging() as conn:
        assert mutations.purge(conn, retention=timedelta(days=60)) == 1

    assert [one["sequence"] for one in synced.outcomes()] == [1, 3]
    # What was forgotten does not come again as if it were new.
    assert synced.upload(void(2)).status_code == 400


def test_a_failure_is_kept_while_others_wait_behind_it(world, synced):
    synced.accepted(void(1), void(2))
    decide(world, synced.device, 1, "rejected")
    decide(world, synced.device, 2, "parked")
    world.execute("UPDATE sync.mutation SET delivered_at = now() - interval '1 year'")

    with world.staging() as conn:
        assert mutations.purge(conn, retention=timedelta(days=60)) == 0
