"""A value that a source sends is the value that PostgreSQL holds, for every type."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replication.domain.tables import ColumnType
from replication.odata.decoding import decoder_for
from replication.odata.rows import codec_for
from tests.replication.odata import factories
from tests.replication.odata.factories import ADA, NOON, column

pytestmark = pytest.mark.django_db

STORED_AS = {
    ColumnType.GUID: "uuid",
    ColumnType.STRING: "text",
    ColumnType.INT: "integer",
    ColumnType.BIGINT: "bigint",
    ColumnType.BOOL: "boolean",
    ColumnType.DOUBLE: "double precision",
    ColumnType.DECIMAL: "numeric",
    ColumnType.DATETIME: "timestamptz",
    ColumnType.DATE: "date",
    ColumnType.TIME: "text",
    ColumnType.DURATION: "text",
    ColumnType.CHOICES: "integer[]",
    ColumnType.BINARY: "bytea",
    ColumnType.JSON: "jsonb",
}
VALUES = tuple(column(f"v_{kind}", kind) for kind in ColumnType)
TABLE = factories.contacts(*VALUES)

texts = st.text(
    alphabet=st.one_of(
        st.sampled_from("\\\t\n\r\b\f\v'\"{},NnxX.\x1f\x7f\x85\u2028\ufeff😀é"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=30,
)
int64s = st.integers(-(2**63), 2**63 - 1)
decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda number: -1000 < number.adjusted() < 1000
)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])
# psycopg reads moments in UTC, for which the first and the last year leave no room.
moments = st.datetimes(
    NOON.replace(year=2, tzinfo=None),
    NOON.replace(year=9998, tzinfo=None),
    timezones=zones,
)
documents = st.recursive(
    st.none() | st.booleans() | int64s | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)
choices = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5, unique=True)

# (as the source writes it, as psycopg reads it)
VALUE_OF = {
    ColumnType.GUID: st.uuids().map(lambda key: (str(key).upper(), key)),
    ColumnType.STRING: texts.map(lambda text: (text, text)),
    ColumnType.INT: st.integers(-(2**31), 2**31 - 1).map(lambda n: (n, n)),
    ColumnType.BIGINT: st.one_of(
        int64s.map(lambda n: (n, n)), int64s.map(lambda n: (str(n), n))
    ),
    ColumnType.BOOL: st.booleans().map(lambda flag: (flag, flag)),
    ColumnType.DOUBLE: st.one_of(
        st.floats(allow_nan=False, allow_infinity=False).map(lambda n: (n, n)),
        st.sampled_from([("INF", float("inf")), ("-INF", float("-inf"))]),
    ),
    ColumnType.DECIMAL: decimals.map(lambda number: (number, number)),
    ColumnType.DATETIME: moments.map(lambda moment: (moment.isoformat(), moment)),
    ColumnType.DATE: st.dates().map(lambda day: (day.isoformat(), day)),
    ColumnType.TIME: st.times().map(lambda time: (time.isoformat(),) * 2),
    ColumnType.DURATION: st.just(("P3DT1H30M2.5S",) * 2),
    ColumnType.CHOICES: choices.map(lambda n: (",".join(map(str, n)), sorted(n))),
    ColumnType.BINARY: st.one_of(
        st.binary().map(lambda data: (base64.b64encode(data).decode(), data)),
        st.binary().map(
            lambda data: (base64.urlsafe_b64encode(data).decode().rstrip("="), data)
        ),
    ),
    ColumnType.JSON: documents.map(lambda value: (value, value)),
}
rows = st.fixed_dictionaries(
    {
        kind: st.none().map(lambda _: (None, None)) | VALUE_OF[kind]
        for kind in ColumnType
    }
)


def as_json(value):
    """Write a value as the source does; `json` alone would make decimals floats."""
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value)


def body_of(values):
    members = {f"v_{kind}": written for kind, (written, _) in values.items()}
    own = {name: json.dumps(value) for name, value in factories.person().items()}
    written = own | {name: as_json(value) for name, value in members.items()}
    inner = ",".join(f"{json.dumps(name)}:{text}" for name, text in written.items())
    return f'{{"value":[{{{inner}}}]}}'.encode()


def stored(decoded, table):
    """Copy rows into a table as replication would, and read them back."""
    types = [f"c{n} {STORED_AS[c.type]}" for n, c in enumerate(table.columns)]
    version = "bigint" if table.version_column else "text"
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.copied")
        cursor.execute(
            f"CREATE TEMP TABLE copied ({', '.join(types)}, version {version})"
        )
        with cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write(codec_for(table).copy_lines(decoded.rows))
        cursor.execute("SELECT * FROM copied")
        return cursor.fetchall()


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(values=rows)
def test_every_value_arrives_as_it_was_sent(values):
    decoded = decoder_for(TABLE).decode(body_of(values))

    assert decoded.set_aside == []
    [row] = stored(decoded, TABLE)
    expected = [values[kind][1] for kind in ColumnType]
    assert (row[0], row[1], row[2]) == (UUID(ADA), "Ada", 1)
    # Django leaves jsonb as text; it is the last of the types.
    document = None if row[-2] is None else json.loads(row[-2])
    assert [*row[3:-2], document] == expected
    assert row[-1] == 1


@pytest.mark.parametrize(
    "text", ["\\", "\t", "\n", "\r", "\\N", "\\.", "\\t\t", "", " "]
)
def test_characters_that_copy_means_something_by_are_only_text(text):
    names = [text, f"a{text}b", None]
    body = factories.body(*(factories.person(name=name) for name in names))

    rows = stored(decoder_for(TABLE).decode(body), TABLE)

    assert [row[1] for row in rows] == names


def test_an_infinite_and_a_missing_number_are_told_apart():
    numbers = factories.contacts(column("ratio", ColumnType.DOUBLE))
    body = factories.body(factories.person(ratio="NaN"), factories.person(ratio=None))

    rows = stored(decoder_for(numbers).decode(body), numbers)

    assert [str(row[3]) for row in rows] == ["nan", "None"]


def test_a_moment_with_seven_digits_keeps_what_postgresql_can_hold():
    moments = factories.contacts(column("modifiedon", ColumnType.DATETIME))
    body = factories.body(factories.person(modifiedon="2026-03-01T08:00:00.1234560Z"))

    [row] = stored(decoder_for(moments).decode(body), moments)

    assert row[3] == datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC)


def test_days_outside_pythons_calendar_reach_postgresql():
    days = factories.contacts(column("until", ColumnType.DATE))
    body = factories.body(factories.person(until="12026-03-01"))
    decoded = decoder_for(days).decode(body)

    assert decoded.set_aside == []
    assert b"\t12026-03-01\t" in codec_for(days).copy_lines(decoded.rows)


def test_the_version_is_the_etag_where_rows_have_no_version_number():
    customers = factories.table(column("ID", ColumnType.INT), key=("ID",))
    decoded = decoder_for(customers).decode(
        factories.body({"@odata.etag": 'W/"a\\b"', "ID": 7})
    )

    lines = codec_for(customers).copy_lines(decoded.rows)

    assert lines == b'7\tW/"a\\\\b"\t7\n'
    assert codec_for(customers).version(decoded.rows[0]) == 'W/"a\\b"'


def test_a_row_without_version_and_etag_is_told_apart_by_its_content():
    customers = factories.table(
        column("ID", ColumnType.INT), column("Name"), key=("ID",)
    )
    codec = codec_for(customers)
    items = [{"ID": 7, "Name": "Ada"}, {"ID": 7, "Name": "Ada"}, {"ID": 7, "Name": ""}]
    rows = decoder_for(customers).decode(factories.body(*items)).rows

    first, same, other = (codec.version(row) for row in rows)

    assert first == same != other
    assert codec.copy_lines(rows[:1]) == f"7\tAda\t{first}\t7\n".encode()


def test_an_etag_that_is_too_long_for_devices_is_replaced_by_a_hash():
    customers = factories.table(column("ID", ColumnType.INT), key=("ID",))
    etags = ["x" * 128, "x" * 129]
    items = [{"@odata.etag": etag, "ID": 7} for etag in etags]
    rows = decoder_for(customers).decode(factories.body(*items)).rows

    versions = [codec_for(customers).version(row) for row in rows]

    assert versions[0] == etags[0]
    assert len(versions[1]) == 32
    assert versions[1].encode() in codec_for(customers).copy_lines(rows)


def test_no_rows_are_no_lines():
    assert codec_for(TABLE).copy_lines([]) == b""


@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_ends_of_the_calendar_survive(day):
    days = factories.contacts(column("until", ColumnType.DATE))
    body = factories.body(factories.person(until=day.isoformat()))

    [row] = stored(decoder_for(days).decode(body), days)

    assert row[3] == day
