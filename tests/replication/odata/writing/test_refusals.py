"""What a refused write means, by status, code and message."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from replication.odata.answers import Reply
from replication.odata.errors import (
    ImpersonationRefusedError,
    SignInRefusedError,
    SourceTimeoutError,
    SourceUnavailableError,
    ThrottledError,
    UnknownOutcomeError,
)
from replication.odata.write_errors import (
    EditFailedError,
    PreconditionFailedError,
    WriteRefusedError,
    failure_of_write,
)
from replication.odata.writes import Write
from tests.replication.odata.factories import ADA, GRACE, contacts


def reply(status: int, code: str = "", message: str = "", **headers: str) -> Reply:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Reply(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
    )


def meaning(status: int, code: str = "", message: str = "", *, op="update", **more):
    write = Write(table=contacts(), op=op, key=(ADA,))
    return failure_of_write(reply(status, code, message), write, **more)


@pytest.mark.parametrize(
    ("status", "code", "message", "op", "reason"),
    [
        (400, "0x80040265", "Closed accounts stay.", "update", "other"),
        (500, "0x80040265", "Closed accounts stay.", "update", "other"),
        (400, "0x80044331", "The length exceeded 50.", "update", "too_large"),
        (400, "0x80048d19", "Cannot convert a value.", "create", "invalid"),
        (422, "", "", "create", "invalid"),
        (500, "0x80040333", "A duplicate was found.", "create", "exists"),
        (412, "0x80040237", "Matching key values.", "create", "exists"),
        (412, "", "", "create", "exists"),
        (409, "", "", "create", "exists"),
        (409, "", "", "update", "other"),
        (412, "0x80060892", "A record that has these values.", "update", "invalid"),
        (403, "0x80040220", "Missing prvWriteAccount.", "update", "not_permitted"),
        (403, "", "AttributePermissionUpdateIsMissing", "update", "not_writable"),
        (404, "0x80040217", f"contact With Id = {ADA}", "update", "not_found"),
        (404, "", "", "delete", "not_found"),
        (410, "", "", "update", "not_found"),
        (404, "0x80040217", f"account With Id = {GRACE}", "update", "invalid"),
        (404, "0x80040217", f"account With Id = {GRACE}", "create", "invalid"),
        (404, "0x80060888", "not found for the segment 'x'", "update", "invalid"),
        (405, "0x80047007", "It is referenced by a task.", "delete", "other"),
        (405, "", "", "update", "not_writable"),
        (413, "", "", "update", "too_large"),
        (501, "", "", "update", "not_writable"),
        (418, "", "", "update", "other"),
    ],
)
def test_a_refusal_is_final_with_its_reason(status, code, message, op, reason) -> None:
    failure = meaning(status, code, message, op=op, index=3)

    assert isinstance(failure, WriteRefusedError)
    assert (failure.reason, failure.index) == (reason, 3)


@pytest.mark.parametrize(
    ("status", "code"),
    [(412, "0x80060882"), (412, "-2147088254"), (412, ""), (428, "")],
)
def test_another_version_is_no_refusal_but_a_question(status, code) -> None:
    failure = meaning(status, code, index=2)

    assert isinstance(failure, PreconditionFailedError)
    assert failure.index == 2


def test_a_rule_of_the_organization_speaks_to_the_user_in_its_own_words() -> None:
    failure = meaning(400, "0x80040265", "Closed accounts\nstay closed.")

    assert str(failure) == "Closed accounts stay closed."


def test_words_about_rights_are_for_operators_only() -> None:
    failure = meaning(403, "0x80040220", "SecLib::AccessCheckEx failed. User: 7")

    assert "SecLib" not in str(failure)
    assert isinstance(failure, WriteRefusedError)
    assert "SecLib::AccessCheckEx" in failure.detail


def test_a_user_of_ours_who_may_act_for_nobody_is_a_matter_for_operators() -> None:
    failure = meaning(403, "0x80040220", "missing prvActOnBehalfOfAnotherUser")

    assert isinstance(failure, ImpersonationRefusedError)


@pytest.mark.parametrize(("status", "kind"), [(401, SignInRefusedError)])
def test_a_refused_sign_in_concerns_everybody(status, kind) -> None:
    assert isinstance(meaning(status), kind)


def test_a_throttled_write_was_not_done_and_waits() -> None:
    write = Write(table=contacts(), op="update", key=(ADA,))

    failure = failure_of_write(reply(429, "0x80072322", Retry_After="7"), write)

    assert isinstance(failure, ThrottledError)
    assert failure.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, SourceTimeoutError),
        (500, SourceUnavailableError),
        (502, SourceUnavailableError),
        (503, SourceUnavailableError),
        (504, SourceTimeoutError),
    ],
)
def test_after_a_failure_of_the_server_nobody_knows(status, kind) -> None:
    alone = meaning(status)
    undone = meaning(status, in_change_set=True)

    assert isinstance(alone, UnknownOutcomeError)
    assert isinstance(alone.reason, kind)
    assert isinstance(undone, kind)


def test_a_change_set_says_at_which_edit_the_source_breaks_down() -> None:
    assert isinstance(meaning(500, in_change_set=True), EditFailedError)
    assert not isinstance(meaning(503, in_change_set=True), EditFailedError)


def test_an_answer_that_is_none_leaves_the_outcome_open() -> None:
    assert isinstance(meaning(302), UnknownOutcomeError)
    assert isinstance(meaning(202), UnknownOutcomeError)
