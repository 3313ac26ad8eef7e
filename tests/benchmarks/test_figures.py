"""A figure knows whether it reached its target, and how to say so."""

from __future__ import annotations

import json

import pytest

from benchmarks.figures import Figure, WrongAnswerError, as_json, as_row, measured


def figure(**given):
    return Figure(**{"name": "full_load", "value": 40_000.0, "unit": "rows", **given})


def test_the_json_of_a_figure_has_five_members_and_no_others():
    told = json.loads(as_json(figure(target=35_000, wall=6.0, note="warm")))

    assert told == {
        "name": "full_load",
        "value": 40_000.0,
        "unit": "rows",
        "target": 35_000,
        "ok": True,
    }


def test_a_figure_without_target_is_never_missed():
    told = json.loads(as_json(figure(target=None)))

    assert (told["target"], told["ok"]) == (None, True)


@pytest.mark.parametrize(
    ("value", "at_most", "is_ok"),
    [
        pytest.param(100, False, True, id="enough is enough"),
        pytest.param(99, False, False, id="a little less is missed"),
        pytest.param(100, True, True, id="the limit may be reached"),
        pytest.param(101, True, False, id="a little more is missed"),
    ],
)
def test_a_target_is_a_floor_unless_it_is_a_limit(value, at_most, is_ok):
    assert figure(value=value, target=100, at_most=at_most).ok is is_ok


def test_a_row_shows_the_verdict_the_wall_time_and_the_note():
    row = as_row(figure(target=50_000, wall=6.25, note="warm"))

    assert row.split() == [
        "full_load",
        "40,000.0",
        "rows",
        ">=",
        "50,000",
        "MISSED",
        "6.25",
        "s",
        "warm",
    ]


def test_what_was_done_is_told_per_cpu_second():
    clock = iter([2.0, 6.0])

    found = measured(
        "full_load",
        act=lambda: 80,
        expected=80,
        cpu=lambda: next(clock),
        unit="rows/CPU-s",
        target=35,
    )

    assert (found.value, found.ok) == (20.0, False)


def test_a_wrong_answer_has_no_speed():
    clock = iter([2.0, 6.0])

    with pytest.raises(WrongAnswerError, match="79 instead of 80"):
        measured(
            "full_load",
            act=lambda: 79,
            expected=80,
            cpu=lambda: next(clock),
            unit="rows/CPU-s",
            target=None,
        )
