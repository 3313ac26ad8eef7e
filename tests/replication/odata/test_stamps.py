"""Whether a source's metadata may have changed is asked with one small request."""

from __future__ import annotations

import pytest

from replication.odata.answers import Reply
from replication.odata.client import ODataSource
from replication.odata.errors import MalformedAnswerError

BASE = "https://contoso.example/api"
JSON = {"Content-Type": "application/json"}
XML = {"Content-Type": "application/xml"}


class Scripted:
    """A transport that gives the same answer to everything."""

    def __init__(self, body, headers=JSON):
        self.reply = Reply(status=200, headers=headers, body=body)
        self.asked = []

    def get(self, url, *, headers):
        self.asked.append((url, headers.get("Prefer")))
        return self.reply


class Cached:
    """A service whose metadata document has an ETag, and is sent only when it differs."""

    def __init__(self, body, etag):
        self.body, self.etag = body, etag
        self.sent = 0

    def get(self, url, *, headers):
        if headers.get("If-None-Match") == self.etag:
            return Reply(status=304, headers={"ETag": self.etag}, body=b"")
        self.sent += 1
        return Reply(status=200, headers={**XML, "ETag": self.etag}, body=self.body)


def stamp(transport, kind="dataverse", known=None):
    return ODataSource(transport, endpoint=BASE, kind=kind).metadata_stamp(known)


def test_dataverse_says_its_metadata_version_with_any_collection():
    transport = Scripted(
        b'{"@Microsoft.Dynamics.CRM.globalmetadataversion":"49412843","value":[]}'
    )

    assert stamp(transport) == "49412843"
    assert len(transport.asked) == 1


def test_a_source_that_says_no_version_is_read_every_time():
    assert stamp(Scripted(b'{"value":[]}')) is None


def test_nonsense_is_no_version():
    with pytest.raises(MalformedAnswerError):
        stamp(Scripted(b"[1]"))


def test_a_document_with_an_etag_travels_once():
    service = Cached(b"<a/>", 'W/"17"')

    first = stamp(service, "odata")
    again = stamp(service, "odata", known=first)

    assert first == again
    assert service.sent == 1


def test_a_document_that_differs_is_read_though_the_last_one_had_an_etag():
    service = Cached(b"<a/>", '"1"')
    first = stamp(service, "odata")

    service.body, service.etag = b"<b/>", '"2"'
    other = stamp(service, "odata", known=first)

    assert first.split()[0] != other.split()[0]
    assert service.sent == 2


def test_a_new_etag_of_the_same_document_is_no_other_document():
    service = Cached(b"<a/>", '"1"')
    first = stamp(service, "odata")

    service.etag = '"restarted"'
    again = stamp(service, "odata", known=first)

    assert first.split()[0] == again.split()[0]
    assert again.endswith('"restarted"')


@pytest.mark.parametrize("etag", ['"a b"', "bare", '"' + "x" * 300 + '"'])
def test_an_etag_that_cannot_be_sent_back_is_left_alone(etag):
    service = Cached(b"<a/>", etag)

    assert stamp(service, "odata", known=stamp(service, "odata")) == stamp(
        service, "odata"
    )
    assert service.sent == 3


def test_other_services_are_told_by_what_their_document_says():
    first, same, other = (
        stamp(Scripted(body, XML), kind="odata") for body in (b"<a/>", b"<a/>", b"<b/>")
    )

    assert first == same != other
