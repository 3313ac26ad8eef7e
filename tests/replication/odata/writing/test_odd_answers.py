"""Answers that are well-formed and yet say less than was asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from replication.odata.answers import Reply
from replication.odata.client import ODataSource
from replication.odata.reading_back import whole_row_of
from replication.odata.writing import UnknownOutcomeError, WriteRefusedError
from tests.replication.odata.factories import ADA, GRACE, column, contacts, table
from tests.replication.odata.writing.edits import delete

BASE = "https://contoso.example/api/data/v9.2"


class Scripted:
    """Answers every write with the same."""

    time_limit = timedelta(seconds=1)

    def __init__(self, *parts: str, status: int = 200) -> None:
        head = "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 "
        body = "".join(f"{head}{part}\r\n\r\n{{}}\r\n" for part in parts) + "--b--"
        kind = {"Content-Type": "multipart/mixed; boundary=b"}
        self.reply = Reply(status=status, headers=kind, body=body.encode())
        self.bodies: list[bytes] = []

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        raise AssertionError(url)

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        self.bodies.append(body)
        return self.reply


def send_two(transport: Scripted) -> None:
    source = ODataSource(transport, endpoint=BASE, kind="dataverse")
    source.writer().send(
        [delete(contacts(), ADA), delete(contacts(), GRACE)], caller=None
    )


@pytest.mark.parametrize(
    "parts",
    [(), ("204 x",), ("204 x", "204 x", "204 x"), ("204 x", "302 x")],
    ids=["none", "too few", "too many", "another status"],
)
def test_a_change_set_that_was_answered_in_part_leaves_the_outcome_open(parts) -> None:
    with pytest.raises(UnknownOutcomeError):
        send_two(Scripted(*parts))


def test_a_failure_without_a_number_is_laid_to_the_first() -> None:
    with pytest.raises(WriteRefusedError) as refused:
        send_two(Scripted("404 x", status=400))

    assert (refused.value.index, refused.value.reason) == (0, "not_found")


def test_a_change_set_is_sent_below_the_root_of_the_service() -> None:
    transport = Scripted("204 x", "204 x")

    send_two(transport)

    (body,) = transport.bodies
    assert f"DELETE /api/data/v9.2/contacts({ADA}) HTTP/1.1".encode() in body


def test_a_source_that_only_reads_makes_no_writer() -> None:
    class Reading:
        def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
            raise AssertionError(url)

    with pytest.raises(TypeError):
        ODataSource(Reading(), endpoint=BASE, kind="odata").writer()


def test_a_row_that_came_in_part_has_to_be_read() -> None:
    people = table(column("Id"), column("Name"), key=("Id",))

    whole = whole_row_of(people, answered(b'{"Id":"1","Name":null}'))
    in_part = whole_row_of(people, answered(b'{"Id":"1"}'))

    assert whole is not None
    assert whole.values == {"Id": "1", "Name": None}
    assert in_part is None
    assert whole_row_of(people, answered(b"<html>")) is None


def answered(body: bytes) -> Reply:
    return Reply(status=200, headers={}, body=body)
