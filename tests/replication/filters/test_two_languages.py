"""FetchXML and OData that say the same are one tree."""

from __future__ import annotations

import pytest

from replication.domain.filters import FALSE, TRUE, And, Not, Or, canonical
from replication.visibility import fetchxml, odata_filter
from tests.replication.filters.tables import condition, meaning

CRM = "Microsoft.Dynamics.CRM"

PAIRS = {
    "a choice": ("eq", "0", "employees eq 0"),
    "another choice": ("ne", "0", "employees ne 0"),
    "the older spelling": ("neq", "0", "not (employees eq 0)"),
    "a bound": ("ge", "10", "employees ge 10"),
    "a list": ("in", ("3", "1", "2"), "employees in (1, 2,3)"),
    "a list of one": ("in", "3", "employees eq 3"),
    "not in a list": (
        *("not-in", ("1", "2")),
        f"{CRM}.NotIn(PropertyName='employees',PropertyValues=['1','2'])",
    ),
    "between": (
        *("between", ("6", "20")),
        f"{CRM}.Between(PropertyName='employees',PropertyValues=[6,20])",
    ),
    "no value": ("eq-null", (), "employees eq null"),
    "any value": ("not-null", (), "employees ne null"),
    "the user's language": (
        *("eq-userlanguage", ()),
        f"{CRM}.EqualUserLanguage(PropertyName='employees')",
    ),
}


def fetch_condition(column: str, operator: str, value: object) -> str:
    if isinstance(value, tuple):
        inner = "".join(f"<value>{one}</value>" for one in value)
        return (
            f'<condition attribute="{column}" operator="{operator}">{inner}</condition>'
        )
    return f'<condition attribute="{column}" operator="{operator}" value="{value}"/>'


def fetch(*conditions: str, kind: str = "and") -> str:
    inner = "".join(conditions)
    return (
        '<fetch version="1.0" mapping="logical"><entity name="account">'
        f'<attribute name="name"/><filter type="{kind}">{inner}</filter>'
        '<order attribute="name"/></entity></fetch>'
    )


@pytest.mark.parametrize(("operator", "value", "odata"), PAIRS.values(), ids=PAIRS)
def test_the_same_condition_in_two_languages_is_one_tree(operator, value, odata):
    in_fetchxml = fetchxml.parse(fetch(fetch_condition("employees", operator, value)))

    assert meaning(in_fetchxml) == meaning(odata_filter.parse(odata))


COLUMNS = {
    "GUIDs with braces": (
        *("ownerid", "eq", "{00000000-000A-4000-8000-000000000001}"),
        "_ownerid_value eq 00000000-000a-4000-8000-000000000001",
    ),
    "booleans as digits": ("donotphone", "eq", "1", "donotphone eq true"),
    "fractions": ("revenue", "gt", "1000.50", "revenue gt 1000.5"),
    "whole numbers as fractions": ("revenue", "eq", "5.00", "revenue eq 5"),
    "doubles": ("rating", "lt", "1e-1", "rating lt 0.1"),
    "moments without a zone": (
        *("modifiedon", "ge", "2026-03-01 08:00"),
        "modifiedon ge 2026-03-01T10:00:00+02:00",
    ),
    "days of moments": (
        *("modifiedon", "on", "2026-03-01T23:30:00-02:00"),
        f"{CRM}.On(PropertyName='modifiedon',PropertyValue=2026-03-02)",
    ),
    "days": ("founded", "eq", "2026-03-01T00:00:00Z", "founded eq 2026-03-01"),
    "quotes": ("name", "eq", "O'Brien", "name eq 'O''Brien'"),
    "text that looks like a number": ("name", "eq", "5", "name eq '5'"),
    "beginnings": ("name", "begins-with", "Con", "startswith(name,'Con')"),
    "no such beginning": (
        *("name", "not-begin-with", "Con"),
        "not startswith(name,'Con')",
    ),
    "endings": ("name", "like", "%Ltd", "endswith(name,'Ltd')"),
    "parts of text": ("name", "like", "%so%", "contains(name,'so')"),
    "wildcards taken literally": ("name", "like", "50[%]", "name eq '50%'"),
    "choices": (
        *("interests", "not-contain-values", ("9", "1", "1")),
        CRM
        + """.DoesNotContainValues(PropertyName='interests',PropertyValues=["1","9"])""",
    ),
    "the last days": (
        *("modifiedon", "last-x-days", "7"),
        f"{CRM}.Last7Days(PropertyName='modifiedon')",
    ),
    "the next days": (
        *("modifiedon", "next-x-days", "7"),
        f"{CRM}.Next7Days(PropertyName='modifiedon')",
    ),
    "the longer spelling": (
        *("modifiedon", "older-than-x-minutes", "15"),
        f"{CRM}.OlderThanXMinutes(PropertyName='modifiedon',PropertyValue='15')",
    ),
}


@pytest.mark.parametrize(
    ("column", "operator", "value", "odata"), COLUMNS.values(), ids=COLUMNS
)
def test_literals_have_one_spelling_in_the_tree(column, operator, value, odata):
    in_fetchxml = fetchxml.parse(fetch(fetch_condition(column, operator, value)))

    assert meaning(in_fetchxml) == meaning(odata_filter.parse(odata))


def test_nested_filters_are_nested_lists():
    inner = (
        '<filter type="or"><condition attribute="ownerid" operator="eq-userid"/>'
        '<condition attribute="city" operator="null"/></filter>'
    )

    in_fetchxml = fetchxml.parse(fetch(fetch_condition("name", "eq", "a"), inner))
    in_odata = odata_filter.parse(
        f"name eq 'a' and ({CRM}.EqualUserId(PropertyName='ownerid') or city eq null)"
    )

    assert meaning(in_fetchxml) == meaning(in_odata)
    assert meaning(in_odata) == And(
        (
            condition("name", "eq", "a"),
            Or((condition("city", "null"), condition("ownerid", "eq-userid"))),
        )
    )


def test_and_binds_tighter_than_or():
    read = odata_filter.parse("city eq 'a' or city eq 'b' and name eq 'c'")

    assert meaning(read) == meaning(
        Or(
            (
                condition("city", "eq", "a"),
                And((condition("city", "eq", "b"), condition("name", "eq", "c"))),
            )
        )
    )


def test_several_filters_of_a_query_must_all_hold():
    one, other = (
        f"<filter>{fetch_condition('name', 'eq', name)}</filter>" for name in "ab"
    )

    read = fetchxml.parse(
        f'<fetch><entity name="account">{one}{other}</entity></fetch>'
    )

    assert meaning(read) == And(
        (condition("name", "eq", "a"), condition("name", "eq", "b"))
    )


@pytest.mark.parametrize(
    "text",
    [
        '<fetch><entity name="account"/></fetch>',
        '<fetch><entity name="account"><filter type="or"/></entity></fetch>',
        "<filter><filter/></filter>",
    ],
)
def test_a_query_that_asks_nothing_selects_every_row(text):
    assert fetchxml.parse(text, table="account") == TRUE


def test_an_empty_odata_filter_selects_every_row():
    assert odata_filter.parse("  ") == TRUE


def test_what_dynamics_adds_for_its_designer_is_passed_over():
    text = (
        '<fetch distinct="false" output-format="xml-platform"><entity name="account">'
        '<all-attributes/><filter hint="union"><condition attribute="ownerid"'
        ' operator="in" uiname="x"><value uitype="systemuser" uiname="Ada">'
        "{00000000-000A-4000-8000-000000000001}</value></condition></filter></entity>"
        "</fetch>"
    )

    assert meaning(fetchxml.parse(text)) == condition(
        "ownerid", "eq", "00000000-000a-4000-8000-000000000001"
    )


def test_the_canonical_form_says_everything_once_and_in_one_order():
    one, other = condition("city", "ne", "b"), condition("name", "eq", "a")

    form = canonical(And((one, And((other, one)), Or((other,)), TRUE)))

    assert form == canonical(And((other, one)))
    assert form == And((other, Not(condition("city", "eq", "b"))))


def test_constants_disappear_from_the_canonical_form():
    something = condition("city", "null")

    assert canonical(Or((something, Not(FALSE)))) == TRUE
    assert canonical(And((something, Not(TRUE)))) == FALSE
    assert canonical(Not(Not(something))) == something
