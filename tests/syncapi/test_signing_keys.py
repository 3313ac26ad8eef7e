"""Signing keys: how seldom the authority is asked, and what survives its outage."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncapi.signing_keys import KeyRing, KeysUnavailableError, Pace, UnknownKeyError
from tests.syncapi.authority import private_key

PACE = Pace()
OLD, NEW = private_key("first").public_key(), private_key("second").public_key()


class Publisher:
    """An authority that counts questions, on a clock that the test moves."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.questions = 0
        self.is_down = False
        self.seconds = 1_000_000.0

    def fetch(self):
        self.questions += 1
        if self.is_down:
            raise KeysUnavailableError("Down.")
        return {kid: {"old": OLD, "new": NEW}[kid] for kid in self.kids}

    def ring(self) -> KeyRing:
        return KeyRing(self.fetch, pace=PACE, now=lambda: self.seconds)

    def wait(self, time: timedelta) -> None:
        self.seconds += time.total_seconds()


def test_a_known_key_is_fetched_once():
    publisher = Publisher("old")
    ring = publisher.ring()

    assert [ring.key("old"), ring.key("old")] == [OLD, OLD]

    assert publisher.questions == 1


def test_ten_thousand_unknown_ids_cost_two_questions():
    publisher = Publisher("old")
    ring = publisher.ring()

    for number in range(10_000):
        with pytest.raises(UnknownKeyError):
            ring.key(f"guess-{number}")

    assert publisher.questions == 2


def test_an_unknown_id_is_asked_for_again_after_the_pause():
    publisher = Publisher("old")
    ring = publisher.ring()
    for kid in ("old", "guess", "guess"):
        with pytest.raises(UnknownKeyError):
            ring.key("guess")
        assert ring.key("old") == OLD, kid

    publisher.wait(PACE.unknown_key_pause)
    with pytest.raises(UnknownKeyError):
        ring.key("guess")

    assert publisher.questions == 3


def test_a_rollover_is_followed_at_once():
    publisher = Publisher("old")
    ring = publisher.ring()
    ring.key("old")
    publisher.kids = ("old", "new")

    assert ring.key("new") == NEW


def test_a_withdrawn_key_is_refused_after_the_next_refresh():
    publisher = Publisher("old", "new")
    ring = publisher.ring()
    ring.key("old")
    publisher.kids = ("new",)

    publisher.wait(PACE.refresh)

    with pytest.raises(UnknownKeyError):
        ring.key("old")


def test_known_keys_outlive_an_outage_for_a_day():
    publisher = Publisher("old")
    ring = publisher.ring()
    ring.key("old")
    publisher.is_down = True

    publisher.wait(PACE.keep - timedelta(seconds=1))
    assert ring.key("old") == OLD

    publisher.wait(timedelta(seconds=1))
    with pytest.raises(KeysUnavailableError):
        ring.key("old")


def test_an_outage_is_not_answered_by_a_question_per_request():
    publisher = Publisher("old")
    ring = publisher.ring()
    ring.key("old")
    publisher.is_down = True
    publisher.wait(PACE.refresh)

    for _ in range(100):
        ring.key("old")

    assert publisher.questions == 2


def test_a_key_that_cannot_be_looked_up_is_an_outage_and_no_bad_token():
    publisher = Publisher("old")
    publisher.is_down = True
    ring = publisher.ring()

    for _ in range(100):
        with pytest.raises(KeysUnavailableError):
            ring.key("old")

    assert publisher.questions == 1


def test_the_end_of_an_outage_is_noticed_after_the_pause():
    publisher = Publisher("old")
    publisher.is_down = True
    ring = publisher.ring()
    with pytest.raises(KeysUnavailableError):
        ring.key("old")
    publisher.is_down = False

    publisher.wait(PACE.failure_pause)

    assert ring.key("old") == OLD
