"""A device may wait for news instead of polling; few of them do at a time."""

from __future__ import annotations

import pytest
from django.db import connection

from replication.services import waiting
from tests.syncapi.uploads.deciding import decide
from tests.syncapi.uploads.phone import PATH, void


@pytest.fixture
def synced(phone):
    phone.changes()
    return phone


def wait(phone, *, seconds=1, checkpoint=None):
    token = phone.checkpoint if checkpoint is None else checkpoint
    return phone.client.get(
        f"{PATH}/wait?device={phone.device}&checkpoint={token}&seconds={seconds}"
    )


def test_without_news_it_says_so_after_the_time(synced):
    answer = wait(synced, seconds=1)

    assert (answer.status_code, answer.json()) == (200, {"changed": False})


def test_what_is_newer_already_is_said_at_once(world, synced):
    synced.accepted(void(1))
    decide(world, synced.device, 1)

    assert wait(synced, seconds=300).json() == {"changed": True}


@pytest.mark.django_db(transaction=True)
def test_news_end_the_waiting(world, synced, in_background):
    def wait_here():
        try:
            return wait(synced, seconds=300).json()
        finally:
            connection.close()

    answer = in_background(wait_here)
    world.add_account("Lighthouse", owner="Ada", unit="North")
    world.pull("account")

    assert answer.result(timeout=20) == {"changed": True}


def test_when_all_places_are_taken_the_device_has_to_poll(synced, settings):
    settings.WAITING_DEVICES = 1
    assert waiting.seats.take(limit=1)
    try:
        answer = wait(synced)
    finally:
        waiting.seats.give_back()

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 5
    assert wait(synced).status_code == 200


def test_a_server_that_lets_nobody_wait_has_no_such_address(synced, settings):
    settings.WAITING_DEVICES = 0

    assert wait(synced).status_code == 404


@pytest.mark.parametrize("seconds", ["0", "301", "x", "-1", "1.5", ""])
def test_a_time_that_cannot_be_is_malformed(synced, seconds):
    answer = wait(synced, seconds=seconds)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


def test_a_checkpoint_of_somebody_else_is_refused(synced, phone_of):
    grace = phone_of("Grace")

    answer = wait(grace, checkpoint=synced.checkpoint)

    assert (answer.status_code, answer.json()["code"]) == (410, "resync_required")
