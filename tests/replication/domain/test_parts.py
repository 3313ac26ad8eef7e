"""How a large table is cut: every value is in exactly one part."""

from __future__ import annotations

import random

import pytest

from replication.domain.parts import MOST_PARTS, Listing, Span, how_many, spans


@pytest.mark.parametrize(
    ("rows", "parts"),
    [(0, 1), (999, 1), (1000, 4), (2500, 10), (1_000_000, MOST_PARTS)],
)
def test_a_table_is_divided_by_its_size(rows, parts):
    assert how_many(rows, divide_from=1000) == parts


@pytest.mark.parametrize("seed", range(20))
def test_parts_are_the_whole_and_share_nothing(seed):
    rng = random.Random(seed)  # noqa: S311  not a secret
    after = rng.randint(-50, 50)
    whole = Span(after=after, upto=after + rng.randint(1, 60))
    sample = [rng.randint(-60, 120) for _ in range(rng.randint(0, 30))]

    found = spans(sample, whole, parts=rng.randint(2, 9))

    values = [v for span in found for v in range(span.after + 1, span.upto + 1)]
    assert values == list(range(whole.after + 1, whole.upto + 1))


def test_parts_have_about_as_many_rows_wherever_those_are():
    rows = [*range(1_000), *range(900_000, 901_000)]

    found = spans(rows[::10], Span(after=-1, upto=1_000_000), parts=4)

    counts = [sum(span.after < row <= span.upto for row in rows) for span in found]
    assert all(450 <= count <= 550 for count in counts)


def test_a_listing_remembers_few_of_many_rows_from_all_over():
    listing = Listing(parts=4)
    for begin in range(0, 100_000, 5_000):
        listing = listing.with_page(range(begin, begin + 5_000), link="next")

    assert listing.rows == 100_000
    assert 500 < len(listing.sample) <= 2_000
    assert listing.sample == tuple(range(0, 100_000, listing.every))
