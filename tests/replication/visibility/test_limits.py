"""How long an answer and its pieces are, and what they say about themselves."""

from __future__ import annotations

import json

import pytest

from replication.services.serving import (
    Begin,
    CheckpointLine,
    Limits,
    Rows,
)
from tests.staged import guid

ROWS = 12
TINY = Limits(rows=5)


@pytest.fixture
def stocked(contoso):
    """Ada owns twelve accounts, Grace one."""
    for number in range(ROWS):
        contoso.add_account(f"Site {number:02}", owner="Ada", unit="North")
    contoso.add_account("Depot", owner="Grace", unit="South")
    contoso.pull("account")
    return contoso


def rows_in(message):
    upserts = json.loads(b"[" + message.upserts + b"]")
    deletes = json.loads(b"[" + message.deletes + b"]")
    return len(upserts) + len(deletes)


def pieces(messages):
    """Messages of rows between two checkpoint lines."""
    found: list[list[Rows]] = [[]]
    for message in messages:
        if isinstance(message, CheckpointLine):
            found.append([])
        elif isinstance(message, Rows):
            found[-1].append(message)
    return found[:-1]


def test_what_is_allowed_is_what_the_protocol_says():
    assert Limits().rows <= 10_000
    assert Limits().piece_bytes <= 4 * 2**20


def test_no_more_rows_than_allowed_lie_between_two_checkpoint_lines(stocked):
    messages = stocked.new_device("Ada", limits=TINY).unheard()

    sizes = [sum(map(rows_in, piece)) for piece in pieces(messages)]

    assert (max(sizes), sum(sizes)) == (5, ROWS)


def test_no_more_bytes_than_allowed_lie_between_two_checkpoint_lines(stocked):
    limit = 700
    messages = stocked.new_device("Ada", limits=Limits(piece_bytes=limit)).unheard()

    sizes = [sum(len(m.upserts) for m in piece) for piece in pieces(messages)]

    assert max(sizes) <= limit
    assert sum(rows_in(m) for m in messages if isinstance(m, Rows)) == ROWS


def test_the_limits_hold_for_changes(stocked):
    device = stocked.device("Ada", limits=TINY)
    for number in range(ROWS):
        stocked.hand_over(f"Site {number:02}", to="Grace")
    stocked.pull("account")

    sizes = [sum(map(rows_in, piece)) for piece in pieces(device.unheard())]

    assert sizes == [5, 5, 2]


def test_the_limits_hold_for_what_is_taken_away(stocked):
    stocked.hire("Edsger", unit="North", account=2)
    device = stocked.device("Edsger", limits=TINY)
    stocked.set_depth_of("Edsger", 1)

    sizes = [sum(map(rows_in, piece)) for piece in pieces(device.unheard())]

    assert sizes == [5, 5, 2]


def test_a_row_larger_than_a_piece_still_travels(stocked):
    stocked.source.put("account", guid("Site 05"), name="x" * 5_000)
    stocked.pull("account")

    device = stocked.device("Ada", limits=Limits(piece_bytes=1_000))

    assert "x" * 5_000 in device.names()
    assert len(device.names()) == ROWS


def test_a_row_larger_than_a_piece_travels_as_a_change_too(stocked):
    device = stocked.device("Ada", limits=Limits(piece_bytes=1_000))

    for number in (3, 5, 7):
        name = str(number) * 5_000
        stocked.source.put("account", guid(f"Site {number:02}"), name=name)
    stocked.pull("account")
    device.sync()

    assert {"3" * 5_000, "5" * 5_000, "7" * 5_000} < device.names()


def test_a_long_answer_ends_at_a_checkpoint_line_that_says_so(stocked):
    limits = Limits(rows=5, answer_bytes=1)

    messages = stocked.new_device("Ada", limits=limits).unheard()

    assert isinstance(messages[-1], CheckpointLine)
    assert not messages[-1].complete
    assert [type(m) for m in messages] == [Begin, Rows, CheckpointLine]


def test_an_answer_that_takes_long_ends_at_a_checkpoint_line_too(stocked):
    limits = Limits(rows=5, answer_seconds=0)

    messages = stocked.new_device("Ada", limits=limits).unheard()

    assert [type(m) for m in messages] == [Begin, Rows, CheckpointLine]


def test_many_short_answers_make_up_one_download(stocked):
    device = stocked.device("Ada", limits=Limits(rows=1, answer_bytes=1))

    assert len(device.names()) == ROWS


def test_many_short_answers_make_up_one_delta(stocked):
    device = stocked.device("Ada", limits=Limits(rows=1, answer_bytes=1))
    for number in range(ROWS):
        stocked.source.put("account", guid(f"Site {number:02}"), revenue=number)
    stocked.pull("account")

    device.sync()

    revenues = {row["revenue"] for row in device.store.rows("account").values()}
    assert revenues == {str(number) for number in range(ROWS)}


def test_a_first_download_says_how_many_rows_it_will_have(stocked):
    messages = stocked.new_device("Ada", limits=TINY).unheard()

    lines = [m for m in messages if isinstance(m, CheckpointLine)]

    assert [(m.rows, m.expected_rows) for m in lines] == [
        (5, ROWS),
        (10, ROWS),
        (ROWS, None),
    ]


def test_a_continued_download_goes_on_counting(stocked):
    device = stocked.new_device("Ada", limits=Limits(rows=5, answer_bytes=1))
    device.sync(cut_after=3)

    result = device.sync()

    assert result.server_rows == ROWS


def test_a_continued_download_keeps_its_name(stocked):
    device = stocked.new_device("Ada", limits=Limits(rows=5, answer_bytes=1))
    first = device.unheard()[0]
    device.sync(cut_after=3)

    begun = device.unheard()[0]

    assert (begun.kind, begun.snapshot) == ("snapshot", device.store.snapshot)
    assert begun.snapshot != first.snapshot


def test_a_delta_is_no_snapshot(stocked):
    device = stocked.device("Ada")
    stocked.source.put("account", guid("Site 00"), revenue=1)
    stocked.pull("account")

    begun = device.unheard()[0]

    assert (begun.kind, begun.snapshot) == ("delta", None)


def test_a_delta_carries_only_what_changed(stocked):
    device = stocked.device("Ada")
    stocked.source.put("account", guid("Site 00"), revenue=1)
    stocked.source.put("account", guid("Depot"), revenue=1)
    stocked.pull("account")

    result = device.sync()

    assert (result.rows, result.deletes) == (1, 0)


def test_the_digest_is_that_of_the_device(stocked):
    device = stocked.new_device("Ada", limits=TINY)
    device.wants_digest = True
    first = device.sync()
    stocked.source.put("account", guid("Site 00"), revenue=1)
    stocked.source.delete("account", guid("Site 01"))
    stocked.pull("account")

    second = device.sync()

    assert first.digest["account"][0] == ROWS
    assert second.digest["account"][0] == ROWS - 1
    assert device.store.differing(second.digest) == ()


def test_a_digest_tells_a_device_that_lost_a_row(stocked):
    device = stocked.device("Ada")
    device.store.connection.execute("DELETE FROM account WHERE name = 'Site 03'")
    device.wants_digest = True

    result = device.sync()

    assert device.store.differing(result.digest) == ("account",)


def test_a_table_that_differs_is_sent_again_when_the_device_asks(stocked):
    device = stocked.device("Ada")
    device.store.connection.execute("DELETE FROM account WHERE name = 'Site 03'")

    device.store.want_reset(["account"])
    device.sync()

    assert len(device.names()) == ROWS


def test_the_digest_of_a_table_without_rows_is_nothing(contoso):
    device = contoso.new_device("Ada")
    device.wants_digest = True

    result = device.sync()

    assert result.digest == {"account": (0, "0" * 16)}
