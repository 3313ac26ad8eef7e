"""Mutations are durable before they are accepted, once, and in their order."""

from __future__ import annotations

import json
import threading
from uuid import UUID

import pytest
from django.db import connection

from provisioning.models import WorkItem
from replication.domain.profiles import Policy
from replication.staging import clock
from replication.visibility import policy
from syncapi.models import Device
from syncapi.services import devices
from tests.staged import guid
from tests.syncapi.uploads.phone import PATH, update, void

AIRPORT = guid("Airport")


def stored(world, *columns):
    return world.fetch(
        f"SELECT {', '.join(columns)} FROM sync.mutation ORDER BY device_id, sequence"
    )


def problem(answer):
    return answer.status_code, answer.json()["code"]


def test_accepted_means_stored_whole(world, phone):
    edit = update(1, key=AIRPORT, base_values={"name": "Airport"})

    assert phone.accepted(edit) == [
        {"id": edit["id"], "sequence": 1, "status": "accepted"}
    ]

    ((body, *rest),) = stored(
        world,
        "body",
        "device_id",
        "id",
        "user_id",
        "object_id",
        "user_name",
        "token_id",
        "op",
        '"table"',
        "key",
        "row_key",
        "base_version",
        "status",
        "epoch = (SELECT epoch FROM sync.clock)",
        "body_hash = sha256(body)",
    )
    del edit["id"], edit["sequence"]
    assert json.loads(body) == edit
    assert rest == [
        phone.device,
        UUID(int=1_000_001),
        guid("Ada"),
        guid("Ada@entra"),
        "Ada",
        "Ada's",
        "update",
        "account",
        [str(AIRPORT)],
        str(AIRPORT),
        "1",
        "accepted",
        True,
        True,
    ]


def test_a_new_device_begins_with_the_first_sequence(phone):
    answer = phone.upload(void(2))

    assert problem(answer) == (400, "malformed")
    assert answer.json()["errors"] == [
        {
            "member": "mutations[0].sequence",
            "message": "must be 1, the next of this device",
        }
    ]
    phone.accepted(void(1), void(2))
    assert phone.register().json()["next_sequence"] == 3


def test_a_refused_request_stores_nothing(world, phone):
    phone.accepted(void(1))

    assert problem(phone.upload(void(2), void(4))) == (400, "malformed")
    reused = void(3) | {"id": void(1)["id"]}
    assert problem(phone.upload(void(2), reused)) == (409, "reused")

    assert stored(world, "sequence") == [(1,)]


def test_repeating_answers_with_the_state_as_it_is_now(world, phone):
    phone.accepted(void(1), update(2, key=AIRPORT))
    world.execute(
        "UPDATE sync.mutation SET status = 'applied', outcome_rev = 1,"
        """ outcome = '{"version": "7", "merged": true}' WHERE sequence = 1"""
    )

    again = phone.accepted(void(1), update(2, key=AIRPORT), void(3))

    assert [one["status"] for one in again] == ["applied", "accepted", "accepted"]
    assert again[0]["version"] == "7"
    assert again[0]["merged"] is True
    assert phone.outcomes() == again
    assert phone.outcomes(after=1) == again[1:]


def test_the_same_id_with_another_body_is_reused(world, phone):
    phone.accepted(update(1, key=AIRPORT))

    answer = phone.upload(update(1, key=AIRPORT, values={"name": "Other"}))

    assert problem(answer) == (409, "reused")


def test_two_devices_may_use_the_same_ids_and_sequences(world, phone_of):
    for person in ("Ada", "Grace"):
        phone_of(person).accepted(void(1))

    assert stored(world, "sequence") == [(1,), (1,)]


def test_a_database_of_another_epoch_takes_any_first_sequence(world, phone):
    phone.accepted(void(1), void(2))
    world.execute("UPDATE sync.clock SET epoch = gen_random_uuid()")

    # Sent again, because nobody confirmed them; and what the database never saw.
    assert phone.accepted(void(1), void(2))
    phone.accepted(void(17), void(18))

    assert problem(phone.upload(void(20))) == (400, "malformed")
    assert phone.accepted(void(19))


def test_a_device_that_only_this_database_does_not_know_goes_on(world, phone):
    world.execute("DELETE FROM sync.device")
    assert phone.register().status_code == 200

    phone.accepted(void(40))

    assert phone.register().json()["next_sequence"] == 41


def test_a_restored_database_gets_its_epoch_first(world, phone):
    world.execute("UPDATE sync.clock SET identity = 'another'")

    assert problem(phone.upload(void(1))) == (503, "not_ready")
    phone.accepted(void(1))

    with world.staging() as conn:
        assert clock.read(conn) is not None


def test_the_work_on_uploads_is_due_at_once(world, phone):
    phone.accepted(void(1))

    item = WorkItem.objects.get(organization=world.id, kind="uploads")
    assert item.state == "due"


def test_what_a_user_may_not_do_is_no_reason_to_refuse(world, phone):
    edits = [
        update(1, key="nonsense", table="no_such_table"),
        update(2, key=guid("Harbour")),
        update(3, key=AIRPORT, values={"no_such_column": 1}),
    ]

    assert [o["status"] for o in phone.accepted(*edits)] == ["accepted"] * 3


def test_uploads_stay_open_for_who_may_not_go_offline(world, phone):
    world.put_in_effect()
    assert phone.client.get(f"{PATH}/model").status_code == 403

    assert phone.accepted(void(1))
    assert phone.outcomes()


def test_a_revoked_device_may_not_upload(phone):
    devices.revoke(Device.objects.get().pk, actor="test")
    devices.forget()

    assert problem(phone.upload(void(1))) == (403, "device_revoked")


def test_another_users_device_is_unknown(phone, phone_of):
    grace = phone_of("Grace", device=phone.device, registered=False)

    assert problem(grace.upload(void(1))) == (404, "unknown_device")
    answer = grace.client.get(f"{PATH}/mutations?device={phone.device}")
    assert problem(answer) == (404, "unknown_device")


def test_members_that_are_not_known_are_refused_with_their_place(phone):
    answer = phone.upload(void(1) | {"urgent": True})

    assert problem(answer) == (400, "malformed")
    (error,) = answer.json()["errors"]
    assert error["member"].endswith("urgent")


@pytest.mark.parametrize(
    "body",
    [
        {"device": "x"},
        {"mutations": None},
        {"mutations": [void(1) | {"op": "drop"}]},
        {"mutations": [void(1) | {"op": "file"}]},
        {"mutations": [void(1) | {"sequence": 0}]},
        {"mutations": [void(1) | {"sequence": 2**63}]},
        {"mutations": [void(1) | {"sequence": 2**63 - 1}]},
        {"mutations": [void(1) | {"id": "1"}]},
        {"mutations": [update(1, key="x\0")]},
        {"mutations": [update(1, key="x", table="x\0")]},
        {"mutations": [update(1, key="x", base_version="x\0")]},
        {"more": 1},
    ],
)
def test_what_breaks_the_protocol_is_malformed(phone, body):
    assert problem(phone.upload(**body)) == (400, "malformed")


@pytest.mark.parametrize(
    "query", ["", "device=x", "device={0}&after=-1", "device={0}&x=1"]
)
def test_a_question_for_outcomes_that_cannot_be_is_malformed(phone, query):
    answer = phone.client.get(f"{PATH}/mutations?{query.format(phone.device)}")

    assert problem(answer) == (400, "malformed")


def test_the_limits_of_the_model_hold(phone):
    limits = phone.client.get(f"{PATH}/model").json()["limits"]
    most = limits["mutations_per_request"]

    too_many = phone.upload(*(void(n) for n in range(1, most + 2)))
    large = update(1, key=AIRPORT, values={"name": "x" * limits["request_bytes"]})

    assert problem(too_many) == (413, "too_large")
    assert problem(phone.upload(large)) == (413, "too_large")
    assert len(phone.accepted(*(void(n) for n in range(1, most + 1)))) == most


@pytest.mark.parametrize("number", ["1e99999999999999999999", "9" * 5000])
def test_a_number_beyond_all_measure_is_malformed(phone, number):
    body = json.dumps(
        {
            "device": str(phone.device),
            "mutations": [update(1, key=AIRPORT, values={"x": "?"})],
        }
    )

    answer = phone.client.post(
        f"{PATH}/mutations",
        body.replace('"?"', number),
        content_type="application/json",
    )

    assert problem(answer) == (400, "malformed")


def test_a_coded_body_is_refused_as_such(phone):
    answer = phone.client.post(
        f"{PATH}/mutations",
        b"x",
        content_type="application/json",
        headers={"Content-Encoding": "gzip"},
    )

    assert problem(answer) == (400, "malformed")
    assert answer.json()["errors"][0]["member"] == "Content-Encoding"


def test_any_text_that_is_json_is_kept_as_it_is(world, phone):
    values = {"name": "Ünï\0 \U0001f600", "x": [1.5, None, {"b": 1, "a": True}]}

    phone.accepted(update(1, key=AIRPORT, values=values))

    ((body,),) = stored(world, "body")
    assert json.loads(body)["values"] == values


@pytest.mark.django_db(transaction=True)
def test_the_same_upload_on_two_sockets_is_accepted_once(world, phone, in_background):
    edits = [void(n) for n in range(1, 200)]
    both = threading.Barrier(2)

    def upload():
        both.wait(timeout=10)
        try:
            return phone.accepted(*edits)
        finally:
            connection.close()

    answers = [in_background(upload) for _ in range(2)]

    first, second = (answer.result(timeout=60) for answer in answers)
    assert first == second
    assert stored(world, "sequence") == [(n,) for n in range(1, 200)]


def test_a_user_without_a_profile_keeps_his_device(world, phone):
    with world.staging() as conn:
        policy.publish(conn, Policy(profiles=()))

    assert phone.accepted(void(1))
