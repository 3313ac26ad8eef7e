"""The SQL of random filters says what the second implementation says."""

from __future__ import annotations

from tests.oracle.filter_soak import Comparison


def test_sql_and_the_second_implementation_agree_on_random_rows(conn):
    comparison = Comparison(conn, start=7)

    comparison.run(pairs=12_000, start=7)

    assert comparison.counted["pairs that match"] > 2_000
    assert comparison.counted["crossings"] > 20
