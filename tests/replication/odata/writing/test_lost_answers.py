"""Writes whose answer is lost: nobody knows, unless nothing was sent or a marker tells."""

from __future__ import annotations

from uuid import uuid4

import pytest

from replication.odata.client import open_source
from replication.odata.errors import (
    SourceTimeoutError,
    SourceUnavailableError,
    ThrottledError,
)
from replication.odata.marker_install import install
from replication.odata.writing import MarkerExistsError, UnknownOutcomeError
from tests.replication.odata.writing.edits import ADA, create, marker, update

BATCH = r"\$batch"

AFTER = [
    pytest.param({"hang_up": True}, SourceUnavailableError, id="connection ends"),
    pytest.param({"status": 500}, SourceUnavailableError, id="server fails"),
    pytest.param({"status": 503}, SourceUnavailableError, id="gateway gives up"),
    pytest.param({"status": 504}, SourceTimeoutError, id="gateway is late"),
    pytest.param({"delay_seconds": 4}, SourceTimeoutError, id="late"),
]


@pytest.mark.parametrize(("fault", "reason"), AFTER)
def test_a_lost_answer_of_one_write_leaves_the_outcome_open(
    hasty, contoso, defined, fault, reason
) -> None:
    key, task = str(uuid4()), defined("task")
    contoso.control("POST", "faults", {"path": "/tasks", "applied": True, **fault})

    with pytest.raises(UnknownOutcomeError) as lost:
        hasty.writer().send([create(task, key)], caller=ADA)

    assert isinstance(lost.value.reason, reason)
    assert hasty.writer().read(task, (key,)) is not None


@pytest.mark.parametrize(("fault", "reason"), AFTER)
def test_a_marker_says_that_a_write_was_made_whose_answer_was_lost(
    source, hasty, contoso, defined, fault, reason
) -> None:
    install(source)
    task, mark = create(defined("task")), marker()
    contoso.control("POST", "faults", {"path": BATCH, "applied": True, **fault})

    with pytest.raises(UnknownOutcomeError) as lost:
        hasty.writer().send([task], caller=ADA, marker=mark)

    assert isinstance(lost.value.reason, reason)
    assert hasty.writer().has_marker(mark.id)
    with pytest.raises(MarkerExistsError):
        hasty.writer().send([task], caller=ADA, marker=mark)


@pytest.mark.parametrize(
    "fault",
    [{"hang_up": True}, {"status": 502}, {"status": 500, "body": "<html>"}],
    ids=["connection ends", "bad gateway", "html"],
)
def test_a_marker_says_that_a_write_was_not_made(
    source, hasty, contoso, defined, fault
) -> None:
    install(source)
    task, mark = create(defined("task")), marker()
    contoso.control("POST", "faults", {"path": BATCH, **fault})

    with pytest.raises(UnknownOutcomeError):
        hasty.writer().send([task], caller=ADA, marker=mark)

    assert not hasty.writer().has_marker(mark.id)
    hasty.writer().send([task], caller=ADA, marker=mark)


@pytest.mark.parametrize("size", [0, 30, 120])
def test_half_an_answer_leaves_the_outcome_open(
    source, hasty, contoso, defined, size
) -> None:
    install(source)
    task, mark = create(defined("task")), marker()
    contoso.control("POST", "faults", {"path": BATCH, "cut_after": size})

    with pytest.raises(UnknownOutcomeError):
        hasty.writer().send([task], caller=ADA, marker=mark)

    assert hasty.writer().has_marker(mark.id)


def test_an_answer_about_something_else_leaves_the_outcome_open(
    source, contoso, defined
) -> None:
    install(source)
    fault = {"path": BATCH, "status": 200, "body": "Welcome!", "applied": True}
    contoso.control("POST", "faults", fault)

    with pytest.raises(UnknownOutcomeError):
        source.writer().send([create(defined("task"))], caller=ADA, marker=marker())


def test_a_throttled_write_was_not_made(hasty, contoso, defined) -> None:
    key, task = str(uuid4()), defined("task")
    fault = {"path": "/tasks", "status": 429, "headers": {"Retry-After": "7"}}
    contoso.control("POST", "faults", fault)

    with pytest.raises(ThrottledError) as throttled:
        hasty.writer().send([create(task, key)], caller=ADA)

    assert throttled.value.retry_after is not None
    assert hasty.writer().read(task, (key,)) is None


def test_what_never_left_is_no_open_question(defined) -> None:
    nobody = open_source(
        endpoint="https://127.0.0.1:9/api/data/v9.2",
        kind="dataverse",
        credential={"type": "none"},
        allow_loopback=True,
    )

    with pytest.raises(SourceUnavailableError):
        nobody.writer().send([update(defined("task"), str(uuid4()))], caller=ADA)


def test_a_source_with_another_certificate_hears_nothing(contoso, defined) -> None:
    stranger = open_source(
        endpoint=f"{contoso.running.url}/api/data/v9.2",
        kind="dataverse",
        credential={"type": "none"},
        allow_loopback=True,
    )

    with pytest.raises(Exception, match="certificate"):
        stranger.writer().send([update(defined("task"), str(uuid4()))], caller=ADA)


def test_the_time_limit_covers_the_longest_request(hasty) -> None:
    assert hasty.writer().time_limit.total_seconds() == 7
