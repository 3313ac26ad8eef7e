"""Checkpoint tokens: only what was signed, for this holder, not too long ago."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.services.serving import ResyncRequiredError
from syncapi.checkpoints import CheckpointSigner, Holder
from tests.syncapi.engines import checkpoint

NOW = 1_900_000_000.0
VALIDITY = timedelta(days=60)
SIGNER = CheckpointSigner(key=b"k" * 32, validity=VALIDITY)
HOLDER = Holder(organization_id=UUID(int=1), user_id=UUID(int=2), device_id=UUID(int=3))
TOKEN = SIGNER.sign(checkpoint(), holder=HOLDER, now=NOW)


def refused(token, *, holder=HOLDER, signer=SIGNER, now=NOW):
    with pytest.raises(ResyncRequiredError):
        signer.verify(token, holder=holder, now=now)
    return True


def test_what_was_signed_comes_back():
    assert SIGNER.verify(TOKEN, holder=HOLDER, now=NOW) == checkpoint()


def test_a_token_needs_no_quoting_in_a_query():
    assert set(TOKEN) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@pytest.mark.parametrize("whose", ["organization_id", "user_id", "device_id"])
def test_a_token_is_good_for_its_holder_only(whose):
    assert refused(TOKEN, holder=replace(HOLDER, **{whose: UUID(int=9)}))


def test_a_token_of_another_installation_is_refused():
    assert refused(TOKEN, signer=CheckpointSigner(key=b"x" * 32, validity=VALIDITY))


def test_a_token_is_good_until_its_validity_ends():
    last = NOW + VALIDITY.total_seconds()

    assert SIGNER.verify(TOKEN, holder=HOLDER, now=last - 1) == checkpoint()
    assert refused(TOKEN, now=last)


def test_every_changed_byte_is_noticed():
    raw = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))

    for place in range(len(raw)):
        forged = bytearray(raw)
        forged[place] ^= 1
        assert refused(base64.urlsafe_b64encode(bytes(forged)).rstrip(b"=").decode())


def test_every_cut_is_noticed():
    assert all(refused(TOKEN[:length]) for length in range(len(TOKEN)))


@given(st.text(max_size=200))
def test_whatever_comes_instead_is_refused(text):
    assert refused(text)


def test_a_huge_token_is_refused():
    assert refused("A" * 1_000_000)
