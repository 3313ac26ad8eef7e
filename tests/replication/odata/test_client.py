"""Following a source through its pages: what is asked, what is believed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from replication.domain.pages import Cursor
from replication.domain.tables import ColumnType
from replication.odata.errors import (
    AccessRefusedError,
    AnswerTooLargeError,
    ForeignLinkError,
    IncompleteLoadError,
    LoopingLinkError,
    MalformedAnswerError,
    RequestRefusedError,
    SignInRefusedError,
    SourceUnavailableError,
    ThrottledError,
)
from replication.odata.transport import Limits
from replication.source import ResyncRequiredError, TrackingUnsupportedError
from tests.replication.odata import factories
from tests.replication.odata.factories import ADA, GRACE, column, person, removed
from tests.replication.odata.servers import Answer, in_turn, json_answer

CONTACTS = factories.contacts(
    column("ownerid", ColumnType.GUID, source_name="_ownerid_value"),
    column("ownerid__type", source_name="_ownerid_value", from_annotation=True),
)
ROLES = factories.contacts(tracked=False)
DELTA = "/api/data/v9.2/contacts?$deltatoken=919058%2108%2f22"


def answer(*items, **members):
    return json_answer(factories.page(*items, **members))


def cursor(server, target=DELTA, *, kind="delta"):
    return Cursor(kind=kind, link=f"{server.url}{target}")


def test_a_first_load_asks_for_the_columns_and_for_tracking(start, source_at):
    server = start(in_turn(answer(delta_link="contacts?$deltatoken=1")))

    source_at(server).fetch_page(CONTACTS, None)

    assert server.last.target == (
        "/api/data/v9.2/contacts"
        "?$select=contactid,fullname,versionnumber,_ownerid_value"
    )
    assert server.last.header("Prefer") == (
        "odata.track-changes,odata.maxpagesize=5000,"
        'odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"'
    )


def test_a_table_without_tracking_is_read_in_the_order_of_its_key(start, source_at):
    server = start(in_turn(answer(person())))

    page = source_at(server, page_size=100).fetch_page(ROLES, None)

    assert server.last.target == (
        "/api/data/v9.2/contacts?$select=contactid,fullname,versionnumber"
        "&$orderby=contactid"
    )
    assert server.last.header("Prefer") == "odata.maxpagesize=100"
    assert (page.next_link, page.delta_link, page.is_last) == (None, None, True)


def test_pages_are_followed_to_the_delta_link_and_links_kept_as_they_are(
    start, source_at
):
    server = start(in_turn(answer()))
    next_link = f"{server.url}/api/data/v9.2/contacts?$skiptoken=%3Cx%2f%3E"
    delta_link = f"{server.url}{DELTA}"
    server.script = in_turn(
        answer(person(ADA), next_link=next_link),
        answer(person(GRACE), delta_link=delta_link),
        answer(removed(ADA), delta_link=delta_link),
    )
    source = source_at(server)

    first = source.fetch_page(CONTACTS, None)
    last = source.fetch_page(CONTACTS, Cursor(kind="next", link=next_link))
    delta = source.fetch_page(CONTACTS, Cursor(kind="delta", link=delta_link))

    assert (first.next_link, first.delta_link) == (next_link, None)
    assert (last.next_link, last.delta_link) == (None, delta_link)
    # A delta without changes may well name itself again.
    assert (delta.deletes, delta.delta_link) == ([ADA], delta_link)
    assert len({request.header("Prefer") for request in server.requests}) == 1


def test_relative_links_are_resolved_against_the_request(start, source_at):
    server = start(in_turn(answer(delta_link="contacts?$deltatoken=8015")))

    page = source_at(server).fetch_page(CONTACTS, None)

    assert page.delta_link == f"{server.endpoint}/contacts?$deltatoken=8015"


def test_the_size_of_a_page_is_that_of_its_decoded_body(start, source_at):
    reply = answer(delta_link="contacts?$deltatoken=1")
    server = start(in_turn(reply))

    assert source_at(server).fetch_page(CONTACTS, None).size == len(reply.body)


def test_rows_too_large_for_a_page_are_asked_for_in_smaller_ones(start, source_at):
    def script(request):
        rows = int(re.findall(r"maxpagesize=(\d+)", request.header("Prefer"))[0])
        people = [person(name="Ada" * 100)] * rows
        return answer(*people, delta_link="contacts?$deltatoken=1")

    server = start(script)
    source = source_at(server, page_size=1000, limits=Limits(body=120_000))

    sizes = [len(source.fetch_page(CONTACTS, None).rows) for _ in range(2)]

    assert sizes == [250, 250]
    assert len(server.requests) == 3


def test_a_row_too_large_for_any_page_is_not_asked_for_for_ever(start, source_at):
    server = start(in_turn(answer(person(name="Ada" * 1000), next_link="x")))

    with pytest.raises(AnswerTooLargeError):
        source_at(server, limits=Limits(body=1000)).fetch_page(CONTACTS, None)

    assert len(server.requests) == 5


@pytest.mark.parametrize("member", ["next_link", "delta_link"])
@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:1/api/data/v9.2/contacts",
        "https://contoso.evil.example/contacts",
        "//evil.example/contacts",
        "/\\evil.example/contacts",
        "javascript:alert(1)",
    ],
)
def test_a_foreign_link_is_refused_with_its_page(start, source_at, member, link):
    server = start(in_turn(answer(person(), **{member: link})))

    with pytest.raises(ForeignLinkError):
        source_at(server).fetch_page(CONTACTS, None)


def test_a_stored_link_of_another_source_is_not_requested(start, source_at):
    server, other = start(in_turn(answer())), start(in_turn(answer()))

    with pytest.raises(ForeignLinkError):
        source_at(server).fetch_page(CONTACTS, cursor(other))

    assert server.requests == other.requests == []


def test_a_page_that_names_itself_as_the_next_is_a_loop(start, source_at):
    server = start(in_turn(answer()))
    server.script = in_turn(answer(person(), next_link=f"{server.url}{DELTA}"))

    with pytest.raises(LoopingLinkError):
        source_at(server).fetch_page(CONTACTS, cursor(server, kind="next"))


def test_a_page_with_both_links_is_nonsense(start, source_at):
    server = start(in_turn(answer(next_link="a", delta_link="b")))

    with pytest.raises(MalformedAnswerError):
        source_at(server).fetch_page(CONTACTS, None)


def test_a_load_that_ends_without_a_delta_link_is_incomplete(start, source_at):
    server = start(in_turn(answer(person())))

    with pytest.raises(IncompleteLoadError):
        source_at(server).fetch_page(CONTACTS, None)


def test_a_source_that_does_not_track_after_all_is_the_operators_to_decide(
    start, source_at
):
    page = factories.page(person())
    applied = json_answer(page, Preference_Applied="odata.maxpagesize=5000")
    server = start(in_turn(applied))

    with pytest.raises(TrackingUnsupportedError):
        source_at(server).fetch_page(CONTACTS, None)


def test_a_load_is_incomplete_also_where_tracking_was_applied(start, source_at):
    page = factories.page(person())
    applied = json_answer(page, Preference_Applied="odata.track-changes")
    server = start(in_turn(applied))

    with pytest.raises(IncompleteLoadError):
        source_at(server).fetch_page(CONTACTS, None)


JSON = {"Content-Type": "application/json"}
EXPIRED = b'{"error":{"code":"0x80044352","message":"Version stamp has expired."}}'
PRIVILEGE = b'{"error":{"code":"0x80040220","message":"PrivilegeName: prvReadContact"}}'


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (
            Answer(headers={"Content-Type": "text/html"}, body=b"<html>Maintenance"),
            MalformedAnswerError,
        ),
        (Answer(headers=JSON, body=b"<html>Maintenance"), MalformedAnswerError),
        (Answer(headers=JSON, body=b'{"value":[{"contactid'), MalformedAnswerError),
        (Answer(headers=JSON), MalformedAnswerError),
        (Answer(headers=JSON, body=b'{"value":7}'), MalformedAnswerError),
        (Answer(status=204), MalformedAnswerError),
        (Answer(status=302, headers={"Location": "/login"}), MalformedAnswerError),
        (Answer(status=400, headers=JSON, body=b"{}"), RequestRefusedError),
        (Answer(status=400, headers=JSON, body=EXPIRED), ResyncRequiredError),
        (Answer(status=500, headers=JSON, body=EXPIRED), ResyncRequiredError),
        (Answer(status=410, headers={"Location": "/contacts"}), ResyncRequiredError),
        (Answer(status=401), SignInRefusedError),
        (Answer(status=403, headers=JSON, body=PRIVILEGE), AccessRefusedError),
        (Answer(status=404), RequestRefusedError),
        (Answer(status=429, headers={"Retry-After": "37"}), ThrottledError),
        (Answer(status=502, body=b"<html>Bad gateway"), SourceUnavailableError),
        (Answer(status=503), SourceUnavailableError),
        (Answer(headers=JSON, body=b"{", promised=99), SourceUnavailableError),
    ],
)
def test_a_bad_answer_is_told_apart(start, source_at, reply, error):
    server = start(in_turn(reply))

    with pytest.raises(error) as raised:
        source_at(server).fetch_page(CONTACTS, cursor(server))

    assert type(raised.value) is error
    assert "sesame" not in str(raised.value)


def test_the_privilege_that_is_missing_is_named(start, source_at):
    server = start(in_turn(Answer(status=403, headers=JSON, body=PRIVILEGE)))

    with pytest.raises(AccessRefusedError, match="prvReadContact"):
        source_at(server).fetch_page(CONTACTS, None)


def test_a_throttled_source_says_when_to_come_back(start, source_at):
    server = start(in_turn(Answer(status=429, headers={"Retry-After": "37"})))

    with pytest.raises(ThrottledError) as raised:
        source_at(server).fetch_page(CONTACTS, None)

    assert raised.value.retry_after == timedelta(seconds=37)


def test_dataverse_says_which_organization_it_is(start, source_at):
    server = start(in_turn(json_answer({"OrganizationId": ADA.upper()})))

    assert source_at(server).who_am_i() == ADA
    assert server.last.target == "/api/data/v9.2/WhoAmI"


def test_other_services_have_no_organization_id(start, source_at):
    server = start(in_turn(answer()))

    assert source_at(server, kind="odata").who_am_i() is None
    assert server.requests == []


def test_no_tables_are_loaded_without_a_request(start, source_at):
    server = start(in_turn(answer()))

    assert source_at(server).load_tables(()) == ()
    assert server.requests == []
