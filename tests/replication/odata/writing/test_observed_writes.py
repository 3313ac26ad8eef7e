"""Writes go through the same gate as reads, and it hears how they went."""

from __future__ import annotations

from uuid import uuid4

import pytest

from replication.odata.errors import UnknownOutcomeError
from replication.odata.measured import SourceShutError
from replication.odata.writing import WriteRefusedError
from tests.replication.odata.writing.edits import ADA, create, version, writes_after


class Gate:
    """Notes what it hears; may be shut."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.is_shut = False

    def admit(self) -> None:
        if self.is_shut:
            raise SourceShutError("Not now.")
        self.heard.append("admitted")

    def answered(self) -> None:
        self.heard.append("answered")

    def throttled(self, pause) -> None:
        self.heard.append("throttled")

    def timed_out(self, took, pause) -> None:
        self.heard.append("timed out")

    def failed(self, took, pause) -> None:
        self.heard.append("failed")


def test_a_write_is_one_request_whatever_becomes_of_it(source, defined) -> None:
    gate, task = Gate(), create(defined("task"))
    writer = source.watched(gate).writer()

    writer.send([task], caller=ADA)
    with pytest.raises(WriteRefusedError):
        writer.send([task], caller=ADA)

    assert gate.heard == ["admitted", "answered"] * 2


@pytest.mark.parametrize(
    ("fault", "heard"),
    [({"hang_up": True}, "failed"), ({"delay_seconds": 4}, "timed out")],
)
def test_a_lost_answer_counts_as_a_failure_of_the_source(
    hasty, contoso, defined, fault, heard
) -> None:
    gate = Gate()
    contoso.control("POST", "faults", {"path": "/tasks", **fault})

    with pytest.raises(UnknownOutcomeError):
        hasty.watched(gate).writer().send([create(defined("task"))], caller=ADA)

    assert gate.heard == ["admitted", heard]


def test_nothing_is_sent_to_a_source_that_is_shut(source, contoso, defined) -> None:
    gate, before = Gate(), version(contoso)
    gate.is_shut = True

    with pytest.raises(SourceShutError):
        source.watched(gate).writer().send(
            [create(defined("task"), str(uuid4()))], caller=ADA
        )

    assert writes_after(contoso, before) == []
