"""Every filter that cannot be used is refused with its place and the reason."""

from __future__ import annotations

import pytest

from replication.domain.filters import Expr, FilterError, Limits, Not, loads
from replication.visibility import fetchxml, odata_filter
from replication.visibility.filter_check import check
from tests.replication.filters.tables import ACCOUNT, condition

CRM = "Microsoft.Dynamics.CRM"


def refused_fetchxml(text: str, **options: Limits) -> FilterError:
    with pytest.raises(FilterError) as refused:
        check(fetchxml.parse(text, table="account", **options), table=ACCOUNT)
    return refused.value


def refused_odata(text: str, **options: Limits) -> FilterError:
    with pytest.raises(FilterError) as refused:
        check(odata_filter.parse(text, **options), table=ACCOUNT)
    return refused.value


def second_line(inner: str) -> str:
    return f"<filter>\n  {inner}</filter>"


FETCHXML = {
    "an unknown column": (
        '<condition attribute="colour" operator="null"/>',
        "no column colour",
    ),
    "an unknown operator": (
        '<condition attribute="name" operator="sounds-like" value="a"/>',
        "sounds-like is not supported",
    ),
    "a fiscal period": (
        '<condition attribute="modifiedon" operator="this-fiscal-year"/>',
        "fiscal calendar",
    ),
    "the hierarchy of rows": (
        '<condition attribute="accountid" operator="under" value="x"/>',
        "hierarchy of rows",
    ),
    "a full-text search": (
        '<condition attribute="name" operator="contains" value="x"/>',
        "full-text",
    ),
    "an operator for another type": (
        '<condition attribute="employees" operator="like" value="1%"/>',
        "does not fit the column employees of type int",
    ),
    "hours of a day": (
        '<condition attribute="founded" operator="last-x-hours" value="1"/>',
        "does not fit the column founded of type date",
    ),
    "equality of a choice": (
        '<condition attribute="interests" operator="eq" value="1"/>',
        "does not fit",
    ),
    "a type without comparisons": (
        '<condition attribute="opens" operator="eq" value="07:00"/>',
        "does not fit the column opens of type time",
    ),
    "binary data": (
        '<condition attribute="picture" operator="eq" value="x"/>',
        "of type binary",
    ),
    "a user in a number": (
        '<condition attribute="employees" operator="eq-userid"/>',
        "does not fit",
    ),
    "no value": ('<condition attribute="name" operator="eq"/>', "exactly one value"),
    "two values for one": (
        (
            '<condition attribute="name" operator="eq" value="a"><value>b</value>'
            "</condition>"
        ),
        "exactly one value",
    ),
    "a value for none": (
        '<condition attribute="name" operator="null" value="1"/>',
        "no value",
    ),
    "one bound": (
        '<condition attribute="employees" operator="between" value="1"/>',
        "exactly two values",
    ),
    "an empty list": (
        '<condition attribute="employees" operator="in"/>',
        "at least one value",
    ),
    "text for a number": (
        '<condition attribute="employees" operator="eq" value="many"/>',
        "a finite number is expected",
    ),
    "a number that is none": (
        '<condition attribute="rating" operator="eq" value="NaN"/>',
        "a finite number is expected",
    ),
    "a number beyond doubles": (
        '<condition attribute="rating" operator="eq" value="1e400"/>',
        "range of doubles",
    ),
    "an endless number": (
        '<condition attribute="revenue" operator="eq" value="1e9999999"/>',
        "a finite number is expected",
    ),
    "a local date": (
        '<condition attribute="modifiedon" operator="gt" value="3/1/2026"/>',
        "a moment such as",
    ),
    "a day that is none": (
        '<condition attribute="modifiedon" operator="on" value="2026-02-30"/>',
        "a moment such as",
    ),
    "a moment before the calendar": (
        (
            '<condition attribute="modifiedon" operator="gt"'
            ' value="0001-01-01T00:00:00+01:00"/>'
        ),
        "a moment such as",
    ),
    "nanoseconds": (
        (
            '<condition attribute="modifiedon" operator="gt"'
            ' value="2026-03-01T00:00:00.1234567Z"/>'
        ),
        "microseconds",
    ),
    "a time in a day": (
        '<condition attribute="founded" operator="eq" value="2026-03-01T10:00:00Z"/>',
        "without a time",
    ),
    "no GUID": (
        '<condition attribute="ownerid" operator="eq" value="me"/>',
        "a GUID is expected",
    ),
    "no truth": (
        '<condition attribute="donotphone" operator="eq" value="yes"/>',
        "true, false, 1 or 0",
    ),
    "no choice": (
        '<condition attribute="interests" operator="contain-values" value="1,9"/>',
        "a whole number is expected",
    ),
    "a choice beyond integers": (
        (
            '<condition attribute="interests" operator="contain-values"'
            ' value="99999999999"/>'
        ),
        "number of a choice",
    ),
    "a set of characters": (
        '<condition attribute="name" operator="like" value="[a-f]%"/>',
        "sets of characters",
    ),
    "a set of other characters": (
        '<condition attribute="name" operator="begins-with" value="[^a]"/>',
        "sets of characters",
    ),
    "an open bracket": (
        '<condition attribute="name" operator="ends-with" value="a["/>',
        "sets of characters",
    ),
    "no days at all": (
        '<condition attribute="modifiedon" operator="last-x-days" value="0"/>',
        "from 1 to 36500",
    ),
    "too many years": (
        '<condition attribute="modifiedon" operator="olderthan-x-years" value="101"/>',
        "from 1 to 100",
    ),
    "a comparison of columns": (
        '<condition attribute="name" operator="eq" valueof="city"/>',
        "valueof is not supported",
    ),
    "a condition without a column": (
        '<condition operator="null"/>',
        "names no attribute",
    ),
    "a condition without an operator": (
        '<condition attribute="name"/>',
        "(none) is not supported",
    ),
    "quick find": ('<filter isquickfindfields="1"/>', "isquickfindfields"),
    "a strange type": ('<filter type="xor"/>', '"and" or "or"'),
    "an order in a filter": ('<order attribute="name"/>', "not expected here"),
    "an unknown element": ("<script/>", "script is not expected here"),
    "a foreign name": ('<x:y xmlns:x="urn:z"/>', "not expected here"),
}


@pytest.mark.parametrize(("inner", "reason"), FETCHXML.values(), ids=FETCHXML)
def test_fetchxml_is_refused_at_the_element(inner, reason):
    refused = refused_fetchxml(second_line(inner))

    assert reason in refused.message
    assert refused.place == "line 2, column 3"
    assert "(line 2, column 3)" in str(refused)
    assert refused.code == "filter_refused"


QUERIES = {
    "another table": ('<fetch><entity name="contact"/></fetch>', "about contact"),
    "no table": ("<fetch><entity/></fetch>", "about no table"),
    "some rows": ('<fetch top="5"><entity name="account"/></fetch>', "fetch top"),
    "an aggregate": (
        '<fetch aggregate="true"><entity name="account"/></fetch>',
        "fetch aggregate",
    ),
    "no query": ("<rows/>", "rows is not expected"),
    "no XML": ("name eq 'a'", "no XML: syntax error"),
    "half an XML": ("<filter>", "no XML: no element found"),
    "nothing": ("", "no XML: no element found"),
    "two queries": ("<filter/><filter/>", "no XML: junk"),
    "stray text": ("<filter>and</filter>", "text between elements"),
    "a document type": ("<!DOCTYPE fetch><filter/>", "Document types and entities"),
    "a billion laughs": (
        '<!DOCTYPE f [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><filter>&b;</filter>',
        "Document types and entities",
    ),
    "an unknown entity": ("<filter>&b;</filter>", "no XML: undefined entity"),
}


@pytest.mark.parametrize(("text", "reason"), QUERIES.values(), ids=QUERIES)
def test_a_text_that_is_no_query_of_the_table_is_refused(text, reason):
    refused = refused_fetchxml(text)

    assert reason in refused.message
    assert refused.place.startswith("line 1, column ")


ODATA = {
    "an unknown column": ("name eq 'a' and colour eq 1", 17, "no column colour"),
    "a companion": ("_owner_value eq null", 1, "no column _owner_value"),
    "an unknown operator": ("name has 'a'", 6, "has is not supported"),
    "an unknown function": ("tolower(name) eq 'a'", 1, "tolower is not supported"),
    "a fiscal period": (
        f"{CRM}.ThisFiscalYear(PropertyName='modifiedon')",
        1,
        "fiscal calendar",
    ),
    "the hierarchy of rows": (f"{CRM}.Under(PropertyName='accountid')", 1, "Under is"),
    "a bare function": ("EqualUserId(PropertyName='ownerid')", 1, "not supported"),
    "an alias": ("name eq @p1", 9, "a value is expected"),
    "arithmetic": ("employees add 1 eq 2", 11, "add is not supported"),
    "a value first": ("5 lt employees", 1, "a column or a function is expected"),
    "a bare column": ("donotphone", 11, "an operator is expected, not the end"),
    "order of null": ("employees gt null", 14, "other than null"),
    "not before eq": ("not name eq 'a'", 5, "After not, parentheses"),
    "an open parenthesis": ("(name eq 'a'", 13, ") is expected, not the end"),
    "a closed parenthesis": ("name eq 'a')", 12, "and, or, or the end is expected"),
    "an open string": ("name eq 'a", 9, "The string has no end"),
    "a strange sign": ("name eq 'a' && true", 13, "'&' is not expected here"),
    "a word as a value": ("name eq Paris", 9, "a value is expected, not 'Paris'"),
    "a version 3 literal": ("ownerid eq guid'x'", 12, "a value is expected"),
    "an empty list": ("name in ()", 10, "a value is expected"),
    "a number for text": ("name eq 5", 1, "text is expected"),
    "truth for a number": ("employees eq true", 1, "a finite number is expected"),
    "a text function without text": ("contains(name,5)", 15, "a string is expected"),
    "a missing name": (f"{CRM}.Today('modifiedon')", 30, "PropertyName is expected"),
    "a strange argument": (
        f"{CRM}.LastXDays(PropertyName='modifiedon',Days=3)",
        60,
        "PropertyValue or PropertyValues",
    ),
    "a very long number": (
        f"employees eq {'9' * 5_000}",
        1,
        "a finite number is expected",
    ),
    "NUL": ("name eq 'a\0b'", 1, "without NUL"),
    "half a letter": ("name eq '\ud83d'", 1, "lone surrogates"),
    "a number with a tail": ("employees eq 5x", 14, "'5' is not expected"),
}


@pytest.mark.parametrize(("text", "character", "reason"), ODATA.values(), ids=ODATA)
def test_odata_is_refused_at_the_character(text, character, reason):
    refused = refused_odata(text)

    assert reason in refused.message
    assert refused.place == f"character {character}"


def test_linked_tables_are_refused_with_the_code_of_dataverse():
    linked = '<link-entity name="contact" from="a" to="b"/>'
    texts = [
        f'<fetch><entity name="account">{linked}</entity></fetch>',
        second_line('<condition entityname="c" attribute="a" operator="null"/>'),
        second_line(linked),
    ]

    assert {refused_fetchxml(text).dynamics_code for text in texts} == {"0x80071120"}


@pytest.mark.parametrize(
    "text",
    [
        "primarycontactid/name eq 'a'",
        "contact_customers/any(c: c/name eq 'a')",
        "contains(parentid/name,'a')",
        f"{CRM}.Today(PropertyName='parentid/modifiedon')",
    ],
)
def test_paths_are_refused_with_the_code_of_dataverse(text):
    assert refused_odata(text).dynamics_code == "0x80071120"


def test_zero_days_are_refused_with_the_code_of_dataverse():
    text = f"{CRM}.LastXDays(PropertyName='modifiedon',PropertyValue=0)"

    assert refused_odata(text).dynamics_code == "0x80060990"


def test_more_than_a_hundred_conditions_are_refused():
    one = '<condition attribute="name" operator="null"/>'

    fetchxml.parse(f"<filter>{one * 100}</filter>")
    odata_filter.parse(" and ".join(["name eq null"] * 100))
    refusals = [
        refused_fetchxml(f"<filter>{one * 101}</filter>"),
        refused_odata(" and ".join(["name eq null"] * 101)),
    ]

    assert {refused.dynamics_code for refused in refusals} == {"0x80071116"}
    assert [refused.place for refused in refusals] == [
        f"line 1, column {len('<filter>' + one * 100) + 1}",
        f"character {100 * len('name eq null and ') + 1}",
    ]


def test_an_organization_filter_has_stricter_limits_of_its_own():
    strict = Limits(conditions=3, too_many_code="0x80071114")

    refused = refused_odata(" and ".join(["name eq null"] * 4), limits=strict)

    assert refused.dynamics_code == "0x80071114"


def test_more_than_twenty_levels_are_refused():
    odata_filter.parse("(" * 20 + "name eq null" + ")" * 20)
    fetchxml.parse("<filter>" * 20 + "</filter>" * 20)

    odata_filter.parse(" and ".join(["(name eq null)", "not (name eq null)"] * 25))
    fetchxml.parse(f"<filter>{'<filter></filter>' * 50}</filter>")

    assert refused_odata("(" * 21).place == "character 21"
    assert refused_odata("not " * 16_000).place == "character 81"
    assert refused_fetchxml("<filter>" * 8_000).place == "line 1, column 161"


def test_a_tree_of_more_than_twenty_levels_is_refused():
    tree: Expr = condition("name", "null")
    for _ in range(21):
        tree = Not(tree)

    with pytest.raises(FilterError, match="20 levels"):
        check(tree, table=ACCOUNT)


def test_ten_megabytes_are_refused_unread():
    assert "65536 characters" in refused_fetchxml("<filter>" * 1_300_000).message
    assert "65536 characters" in refused_odata("x" * 10_000_000).message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"type":"maybe"}',
        '{"type":"condition","column":"a","operator":"sounds-like"}',
        '{"type":"and","children":[],"more":1}',
        '{"type":"not","child":' * 100_000,
    ],
)
def test_a_text_that_is_no_tree_is_refused(text):
    with pytest.raises(FilterError, match="This is no filter"):
        loads(text)
