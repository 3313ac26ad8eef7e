"""Whatever is sent as a filter is read or refused, and nothing else happens."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from replication.domain.filters import FilterError, canonical, dumps
from replication.visibility import fetchxml, odata_filter
from replication.visibility.filter_check import check
from tests.replication.filters.tables import ACCOUNT

FETCHXML = (
    '<fetch><entity name="account"><filter type="or"><condition attribute="employees"'
    ' operator="in"><value>1</value></condition><condition attribute="modifiedon"'
    ' operator="last-x-days" value="5"/></filter></entity></fetch>'
)
ODATA = (
    "not (employees in (1,2.5) or startswith(name,'O''B')) and modifiedon ge 2026-01-01"
    " or Microsoft.Dynamics.CRM.LastXDays(PropertyName='modifiedon',PropertyValue=5)"
)


@st.composite
def spoilt(draw: st.DrawFn, text: str) -> str:
    """The text with pieces cut out, doubled or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(text)))
        end = draw(st.integers(begin, min(begin + 12, len(text))))
        middle = draw(st.one_of(st.just(text[begin:end] * 2), st.text(max_size=4)))
        text = text[:begin] + middle + text[end:]
    return text


@given(text=st.one_of(spoilt(FETCHXML), st.text()))
@settings(max_examples=300, deadline=None)
def test_spoilt_fetchxml_is_read_or_refused(text):
    with contextlib.suppress(FilterError):
        dumps(canonical(check(fetchxml.parse(text), table=ACCOUNT)))


@given(text=st.one_of(spoilt(ODATA), st.text()))
@settings(max_examples=300, deadline=None)
def test_spoilt_odata_is_read_or_refused(text):
    with contextlib.suppress(FilterError):
        dumps(canonical(check(odata_filter.parse(text), table=ACCOUNT)))
