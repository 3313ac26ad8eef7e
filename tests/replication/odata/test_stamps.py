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


def stamp(transport, kind="dataverse"):
    return ODataSource(transport, endpoint=BASE, kind=kind).metadata_stamp()


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


def test_other_services_are_told_by_what_their_document_says():
    first, same, other = (
        stamp(Scripted(body, XML), kind="odata") for body in (b"<a/>", b"<a/>", b"<b/>")
    )

    assert first == same != other
