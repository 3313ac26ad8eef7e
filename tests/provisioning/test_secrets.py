"""Secrets at rest: who can open them, and who cannot."""

from __future__ import annotations

import pytest

from provisioning.secrets import (
    SealBrokenError,
    fingerprint,
    fingerprint_matches,
    seal,
    unseal,
)


@pytest.fixture(autouse=True)
def keys(settings):
    settings.ENCRYPTION_KEYS = {"spring": b"s" * 32, "autumn": b"a" * 32}
    settings.ENCRYPTION_KEY_ID = "spring"


def test_what_was_sealed_for_a_row_is_opened_for_it():
    sealed = seal(b"open sesame", identity="organization:1:credential")

    assert unseal(sealed, identity="organization:1:credential") == b"open sesame"


def test_the_sealed_text_of_one_organization_cannot_be_opened_as_anothers():
    sealed = seal(b"open sesame", identity="organization:1:credential")

    with pytest.raises(SealBrokenError):
        unseal(sealed, identity="organization:2:credential")


def test_every_altered_byte_is_noticed():
    sealed = seal(b"open sesame", identity="organization:1:credential")

    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(SealBrokenError):
            unseal(bytes(altered), identity="organization:1:credential")


@pytest.mark.parametrize("length", [0, 1, 2, 8, 20])
def test_a_text_cut_short_is_refused(length):
    sealed = seal(b"", identity="organization:1:credential")

    with pytest.raises(SealBrokenError):
        unseal(sealed[:length], identity="organization:1:credential")


def test_earlier_texts_stay_readable_while_their_key_is_kept(settings):
    sealed = seal(b"open sesame", identity="organization:1:credential")

    settings.ENCRYPTION_KEY_ID = "autumn"

    assert unseal(sealed, identity="organization:1:credential") == b"open sesame"


def test_a_key_that_is_gone_is_named_and_its_secret_is_not(settings):
    sealed = seal(b"open sesame", identity="organization:1:credential")
    settings.ENCRYPTION_KEYS = {"autumn": b"a" * 32}

    with pytest.raises(SealBrokenError, match="spring") as caught:
        unseal(sealed, identity="organization:1:credential")

    assert "sesame" not in str(caught.value)


def test_the_same_text_is_sealed_differently_each_time():
    first = seal(b"open sesame", identity="organization:1:credential")

    assert seal(b"open sesame", identity="organization:1:credential") != first


def test_a_fingerprint_outlives_a_change_of_keys(settings):
    stored = fingerprint(b"body", identity="event 1")

    settings.ENCRYPTION_KEY_ID = "autumn"

    assert fingerprint_matches(stored, data=b"body", identity="event 1")
    assert not fingerprint_matches(stored, data=b"other", identity="event 1")


def test_a_fingerprint_cannot_be_guessed_without_the_key(settings):
    stored = fingerprint(b"body", identity="event 1")

    settings.ENCRYPTION_KEYS = {"spring": b"?" * 32}

    assert not fingerprint_matches(stored, data=b"body", identity="event 1")
