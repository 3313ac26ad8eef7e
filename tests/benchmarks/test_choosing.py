"""ONLY names figures or groups, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.groups import GROUPS, Group, UnknownFigureError, chosen

ROOT = Path(__file__).resolve().parents[2]


def nothing(_world):
    return iter(())


TWO_GROUPS = {
    "pulling": Group(("full_load", "changed_rows"), nothing),
    "serving": Group(("delta_10", "delta_100"), nothing),
}


def test_every_name_is_unique_among_figures_and_groups():
    names = [*GROUPS, *(name for group in GROUPS.values() for name in group.figures)]

    assert len(names) == len(set(names))


def test_every_figure_that_was_promised_is_in_a_group():
    names = {name for group in GROUPS.values() for name in group.figures}

    assert names >= {
        "full_load",
        "changed_rows",
        "unchanged_rows",
        "first_download",
        "first_download_zstd",
        "empty_poll",
        "empty_poll_100",
        "delta_10",
        "delta_100",
        "worker_rss",
        "delta_size_ratio",
    }


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        pytest.param(
            "",
            {
                "pulling": ("full_load", "changed_rows"),
                "serving": ("delta_10", "delta_100"),
            },
            id="nothing asks for everything",
        ),
        pytest.param("delta_10", {"serving": ("delta_10",)}, id="one figure"),
        pytest.param(
            "serving", {"serving": ("delta_10", "delta_100")}, id="a whole group"
        ),
        pytest.param(
            "delta_100, full_load",
            {"pulling": ("full_load",), "serving": ("delta_100",)},
            id="figures of two groups",
        ),
    ],
)
def test_figures_are_chosen_by_their_names_or_their_groups(only, expected):
    assert chosen(only, groups=TWO_GROUPS) == expected


def test_an_unknown_name_is_refused_with_the_names_that_there_are():
    with pytest.raises(UnknownFigureError) as refused:
        chosen("delta_10,delta_11", groups=TWO_GROUPS)

    told = str(refused.value)
    assert "no figure delta_11." in told
    assert "pulling: full_load, changed_rows" in told
    assert "serving: delta_10, delta_100" in told


def test_a_wrong_name_ends_the_command_with_two():
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks"],
        cwd=ROOT,
        env={**os.environ, "ONLY": "fastest"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "There is no figure fastest." in ended.stderr
