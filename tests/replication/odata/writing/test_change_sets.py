"""Change sets on the wire, and the many forms of their answers."""

from __future__ import annotations

import pytest

from replication.odata.answers import Reply
from replication.odata.batch import change_set, is_multipart, part_replies
from replication.odata.errors import MalformedAnswerError
from replication.odata.write_requests import WireRequest
from sandbox.contoso.multipart import ChangeSet, read_batch

ROOT = "/api/data/v9.2"


def answered(*lines: str, kind: str = "multipart/mixed; boundary=b") -> Reply:
    body = "\r\n".join(lines).encode()
    return Reply(status=200, headers={"Content-Type": kind}, body=body)


def test_a_change_set_reads_as_it_was_meant() -> None:
    text = 'Łódź \U0001f6a2 --batch_1\r\n--changeset_1--"'.encode()
    sent = [
        WireRequest(method="POST", path="tasks", headers={"X": "1"}, body=text),
        WireRequest(method="DELETE", path="tasks(1)", headers={"If-Match": 'W/"7"'}),
    ]

    (read,) = read_batch(*change_set(sent, root=ROOT))

    assert isinstance(read, ChangeSet)
    first, second = read.parts
    assert (first.method, first.target, first.body) == ("POST", f"{ROOT}/tasks", text)
    assert (first.headers, first.content_id) == ({"x": "1"}, "1")
    assert (second.target, second.body) == (f"{ROOT}/tasks(1)", b"")
    assert (second.headers, second.content_id) == ({"if-match": 'W/"7"'}, "2")


def test_answers_inside_a_change_set_are_told_apart() -> None:
    reply = answered(
        "--b",
        'Content-Type: multipart/mixed; boundary="c"',
        "",
        "--c",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "Content-ID: 1",
        "",
        "HTTP/1.1 204 No Content",
        "OData-Version: 4.0",
        "",
        "",
        "--c",
        "Content-Type: application/http",
        "Content-ID: 2",
        "",
        "HTTP/1.1 201 Created",
        "Content-Type: application/json",
        "",
        '{"a":1}',
        "--c--",
        "--b--",
        "",
    )

    first, second = part_replies(reply)

    assert is_multipart(reply)
    assert (first.number, first.reply.status, first.reply.body) == (1, 204, b"")
    assert (second.number, second.reply.status) == (2, 201)
    assert second.reply.headers["content-type"] == "application/json"
    assert second.reply.body == b'{"a":1}'


@pytest.mark.parametrize(
    "head",
    [
        ("Content-Type: application/http", "Content-ID: 2", "", "HTTP/1.1 412 Failed"),
        ("Content-Type: application/http", "", "HTTP/1.1 412 Failed", "Content-ID: 2"),
    ],
    ids=["around the answer", "in the answer"],
)
def test_the_failed_part_says_which_it_is_in_one_of_two_places(head) -> None:
    (part,) = part_replies(answered("--b", *head, "", "{}", "--b--"))

    assert (part.number, part.reply.status, part.reply.body) == (2, 412, b"{}")


def test_an_error_may_come_without_its_number_and_with_bare_line_ends() -> None:
    body = b"--b\nContent-Type: application/http\n\nHTTP/1.1 400 Bad\n\n{}\n--b--"
    reply = Reply(
        status=400, headers={"Content-Type": "multipart/mixed;boundary=b"}, body=body
    )

    (part,) = part_replies(reply)

    assert (part.number, part.reply.status, part.reply.body) == (None, 400, b"{}")


@pytest.mark.parametrize(
    "lines",
    [
        ("--b", "Content-Type: application/http", "", "HTTP/1.1 204 No Content", ""),
        ("--b", "Content-Type: application/http", "", "nonsense", "--b--"),
        (
            *("--b", "Content-Type: multipart/mixed; boundary=c", ""),
            *("--c", "Content-Type: multipart/mixed; boundary=d", ""),
            *("--d", "--d--", "--c--", "--b--"),
        ),
    ],
    ids=["cut", "no answer", "nested"],
)
def test_what_cannot_be_read_is_malformed(lines) -> None:
    with pytest.raises(MalformedAnswerError):
        part_replies(answered(*lines))


@pytest.mark.parametrize("kind", ["multipart/mixed", "multipart/mixed; boundary="])
def test_an_answer_without_boundary_is_malformed(kind) -> None:
    with pytest.raises(MalformedAnswerError):
        part_replies(answered("--b--", kind=kind))
