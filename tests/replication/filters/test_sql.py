"""The SQL of filters uses indexes, and lets no text through."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from replication.domain.filters import Not
from replication.domain.tables import ColumnType
from replication.staging import columns
from replication.visibility import filter_sql
from replication.visibility.filter_check import check
from tests.replication.filters.tables import ACCOUNT, condition

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def accounts(conn: psycopg.Connection) -> psycopg.Connection:
    """An empty table with an index on every column that can have one."""
    definitions = [
        sql.SQL("{} {}").format(columns.quoted(c.name), columns.stored_type(c))
        for c in ACCOUNT.columns
    ]
    conn.execute(
        sql.SQL("CREATE TEMP TABLE accounts ({})").format(
            sql.SQL(", ").join(definitions)
        )
    )
    for column in ACCOUNT.columns:
        conn.execute(_index(column.name, column.type))
    conn.execute("SET enable_seqscan = off")
    return conn


def _index(name: str, kind: ColumnType) -> sql.Composed:
    on = sql.SQL("({})").format(sql.Identifier(name))
    if kind is ColumnType.STRING:
        on = sql.SQL('(lower({} COLLATE "pg_c_utf8") COLLATE "C")').format(
            sql.Identifier(name)
        )
    method = "gin" if kind is ColumnType.CHOICES else "btree"
    return sql.SQL("CREATE INDEX ON accounts USING {} ({})").format(sql.SQL(method), on)


@pytest.mark.parametrize(
    "asked",
    [
        condition("accountid", "eq", "00000000-000a-4000-8000-000000000001"),
        condition("name", "eq", "Ada"),
        condition("name", "in", "Ada", "Grace"),
        condition("name", "begins-with", "Co"),
        condition("name", "gt", "m"),
        condition("employees", "eq", "5"),
        condition("employees", "between", "5", "10"),
        condition("revenue", "ge", "0.5"),
        condition("rating", "lt", "0.5"),
        condition("interests", "contain-values", "1", "9"),
        condition("modifiedon", "last-x-days", "10"),
        condition("modifiedon", "ge", "2026-01-01"),
        condition("founded", "this-month"),
    ],
    ids=lambda asked: f"{asked.column} {asked.operator}",
)
def test_a_condition_searches_the_index_of_its_column(accounts, asked):
    test = filter_sql.predicate(check(asked, table=ACCOUNT), "t", ACCOUNT, as_of=NOON)

    plan = _plan(accounts, test)

    assert f"accounts_{asked.column.split('_')[0]}" in plan or "accounts_lower" in plan
    assert "Index Cond" in plan
    assert "Seq Scan" not in plan


def test_what_crosses_a_bound_is_found_by_the_index(accounts):
    expr = Not(condition("modifiedon", "last-x-days", 10))

    crossing = filter_sql.crossing(
        expr, ACCOUNT, "t", before=NOON, after=NOON + timedelta(days=1)
    )

    assert "Index Cond" in _plan(accounts, crossing)
    assert crossing.as_string(accounts).count("modifiedon") == 6


def test_nothing_crosses_a_bound_that_stands_still(accounts):
    for expr in (condition("modifiedon", "today"), condition("name", "null")):
        crossing = filter_sql.crossing(
            expr, ACCOUNT, "t", before=NOON, after=NOON + timedelta(hours=1)
        )

        assert crossing.as_string(accounts) == "FALSE"


def _plan(conn: psycopg.Connection, test: sql.Composable) -> str:
    query = sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM accounts t WHERE {}")
    row = conn.execute(query.format(test)).fetchone()
    assert row is not None
    return json.dumps(row[0])


@pytest.mark.parametrize(
    "text",
    ["'", "\\", "''); DROP TABLE accounts; --", "{0}", "%s", "%(a)s", "$1", "$$"],
)
def test_text_of_a_filter_stays_text(accounts, text):
    accounts.execute("INSERT INTO accounts (name) VALUES (%s)", [text])
    tests = [
        condition("name", "eq", text),
        condition("name", "in", text, text + "x"),
        condition("name", "like", text.replace("%", "[%]") + "%"),
    ]

    for asked in tests:
        test = filter_sql.predicate(
            check(asked, table=ACCOUNT), "t", ACCOUNT, as_of=NOON
        )
        found = accounts.execute(
            sql.SQL("SELECT name FROM accounts t WHERE {}").format(test)
        ).fetchall()

        assert (text,) in found
    accounts.execute("DELETE FROM accounts")


def test_a_condition_about_the_user_is_no_condition_on_rows():
    with pytest.raises(ValueError, match="eq-userid"):
        filter_sql.predicate(
            condition("ownerid", "eq-userid"), "t", ACCOUNT, as_of=NOON
        )
