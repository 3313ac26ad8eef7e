"""Patterns of `like` mean to PostgreSQL what their author meant."""

from __future__ import annotations

import psycopg
import pytest

from replication.domain import like_patterns


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a%c", "abc", True),
        ("a%c", "ac", True),
        ("a_c", "ac", False),
        ("a_c", "a\U0001f600c", True),
        ("a\nb%", "a\nbc", True),
        ("a\nb%", "abc", False),
        ("50[%]", "50%", True),
        ("50[%]", "500", False),
        ("a[_]b", "axb", False),
        ("[[]x]", "[x]", True),
        ("\\%", "\\anything", True),
        ("\\", "\\", True),
        ("]", "]", True),
        ("%", "", True),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_a_pattern_matches_what_it_says(
    conn: psycopg.Connection, pattern: str, text: str, matches: bool
) -> None:
    for spelling in (pattern, like_patterns.shortest(pattern)):
        found = conn.execute(
            "SELECT %s LIKE %s", [text, like_patterns.in_postgres(spelling)]
        ).fetchone()

        assert found == (matches,)


def test_a_quoted_text_is_a_pattern_of_itself() -> None:
    text = "50% of [a_b]\\"

    assert like_patterns.literal(like_patterns.quoted(text)) == text


def test_a_pattern_with_wildcards_stands_for_no_single_text() -> None:
    assert like_patterns.literal("a%") is None
    assert like_patterns.shortest("%%a[b]%%") == "%ab%"
