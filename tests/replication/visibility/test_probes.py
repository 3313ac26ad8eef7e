"""Grants as conditions on feed entries: what fixes the same keys is asked at once."""

from __future__ import annotations

from replication.visibility.checkpoints import as_grant
from replication.visibility.entries import Probe, probes


def of(*grants):
    return probes(frozenset(map(as_grant, grants)))


def test_grants_that_fix_the_same_key_are_one_probe():
    assert of((1, 7), (1, 5)) == (Probe(1, (1,), ("{5,7}",)),)


def test_values_of_several_keys_stay_together():
    assert of((1, 5, 8), (1, 6, 2)) == (Probe(1, (1, 2), ("{5,6}", "{8,2}")),)


def test_the_sixth_key_is_one_like_the_others():
    grants = ((1, None, None, None, None, None, 4),)

    assert of(*grants) == (Probe(1, (6,), ("{4}",)),)


def test_a_grant_of_everything_makes_the_others_of_its_rule_needless():
    assert of((1,), (1, 5), (2, 5)) == (Probe(1, (), ()), Probe(2, (1,), ("{5}",)))


def test_the_order_of_grants_makes_no_difference():
    assert of((2, None, 3), (1, 5), (2, 4)) == of((2, 4), (2, None, 3), (1, 5))
