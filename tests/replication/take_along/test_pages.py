"""Where the section goes: between its markers, and nowhere else."""

from __future__ import annotations

import pytest

from replication.take_along import pages
from replication.take_along.pages import BEGIN, END, MarkersError
from tests.replication.take_along.factories import found, person


def test_what_stands_around_the_section_stays():
    page = f"# Title\n\n{BEGIN}\nold\n{END}\nBelow.\n"

    assert pages.with_section(page, "new\n") == (
        f"# Title\n\n{BEGIN}\nnew\n\n{END}\nBelow.\n"
    )


def test_a_page_without_markers_gets_the_section_at_its_end():
    assert pages.with_section("# Title\n", "new\n") == (
        f"# Title\n\n{BEGIN}\nnew\n\n{END}"
    )


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(BEGIN, id="no end"),
        pytest.param(END, id="no beginning"),
        pytest.param(END + BEGIN, id="the wrong way round"),
        pytest.param(2 * (BEGIN + END), id="twice"),
    ],
)
def test_markers_that_are_not_one_pair_are_refused(page):
    with pytest.raises(MarkersError):
        pages.with_section(page, "new\n")


def test_writing_twice_changes_nothing(tmp_path):
    seen = found(person("Ada"))

    first = [path.read_text() for path in pages.write(seen, tmp_path)]
    second = [path.read_text() for path in pages.write(seen, tmp_path)]

    assert first == second
