"""The table of PROTOCOL §7, for every edit and every row."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from replication.domain.writing_back import (
    Intent,
    Send,
    ServerRow,
    Settled,
    decide,
    is_done,
)

POLICIES = ("server_wins", "client_wins", "merge")
COLUMNS = ("a", "b", "c")

values = st.integers(0, 2)
rows = st.dictionaries(st.sampled_from(COLUMNS), values)
versions = st.sampled_from(["1", "2", "3"])
policies = st.sampled_from(POLICIES)


OPS = st.sampled_from(["create", "update", "delete"])


@st.composite
def intents(draw, *, op=OPS):
    chosen = draw(op)
    return Intent(
        op=chosen,
        base_version=draw(st.none() | versions),
        values={} if chosen == "delete" else draw(rows),
        base_values=draw(rows),
    )


server_rows = st.none() | st.builds(ServerRow, version=versions, values=rows)


@given(intents(), server_rows, policies, st.none() | versions)
def test_nothing_is_written_that_the_device_did_not_want(intent, row, policy, own):
    decision = decide(intent, row, policy=policy, own_version=own)

    if isinstance(decision, Send):
        assert decision.values.items() <= intent.values.items()


@given(intents(), server_rows, policies)
def test_every_column_is_written_lost_or_already_so(intent, row, policy):
    decision = decide(intent, row, policy=policy)

    written = decision.values if isinstance(decision, Send) else {}
    settled = decision.outcome if isinstance(decision, Send) else decision
    present = row.values if row else {}
    assume(settled.status != "rejected")
    for column, wanted in intent.values.items():
        is_lost = column in settled.lost
        assert column in written or is_lost or present.get(column) == wanted
        assert not (column in written and is_lost)


@given(intents(op=st.just("update")), server_rows, policies)
def test_a_row_as_it_was_seen_is_never_a_conflict(intent, row, policy):
    seen = ServerRow(version="7", values=row.values if row else {})
    intent = Intent(op="update", base_version="7", values=intent.values)

    decision = decide(intent, seen, policy=policy)

    assert decision == Send(values=intent.values)


@given(intents(op=st.sampled_from(["update", "delete"])), rows, policies)
def test_the_devices_own_last_version_is_no_conflict(intent, present, policy):
    row = ServerRow(version="9", values=present)

    decision = decide(intent, row, policy=policy, own_version="9")

    assert decision == Send(values=intent.values)


@given(intents(op=st.just("update")), rows)
def test_server_wins_writes_nothing_over_a_changed_row(intent, present):
    row = ServerRow(version="changed", values=present)

    decision = decide(intent, row, policy="server_wins")

    assert decision == Settled(status="conflict", lost=tuple(sorted(intent.values)))


@given(intents(op=st.sampled_from(["update", "delete"])), rows)
def test_client_wins_writes_whatever_the_row_is_like(intent, present):
    row = ServerRow(version="changed", values=present)

    decision = decide(intent, row, policy="client_wins")

    assert decision == Send(values=intent.values)


@given(intents(op=st.just("update")), rows)
def test_a_merge_writes_only_columns_that_nobody_else_touched(intent, present):
    row = ServerRow(version="changed", values=present)

    decision = decide(intent, row, policy="merge")

    for column in decision.values if isinstance(decision, Send) else ():
        assert column in intent.base_values
        assert present.get(column) == intent.base_values[column]


def test_a_lookup_is_merged_with_what_says_of_which_table():
    wanted = {"owner": "y", "owner__type": "team"}
    intent = Intent(
        op="update",
        values=wanted,
        base_values={"owner": "x", "owner__type": "systemuser"},
    )
    moved = ServerRow(version="2", values={"owner": "z", "owner__type": "systemuser"})
    still = ServerRow(version="2", values={"owner": "x", "owner__type": "systemuser"})

    lost = decide(intent, moved, policy="merge")
    kept = decide(intent, still, policy="merge")

    assert lost == Settled(status="conflict", lost=("owner", "owner__type"))
    assert kept == Send(values=wanted, merged=True)


@given(policies)
def test_rows_that_are_gone_or_there_decide_alone(policy):
    row = ServerRow(version="1", values={})

    found = [
        decide(Intent(op="update"), None, policy=policy),
        decide(Intent(op="delete"), None, policy=policy),
        decide(Intent(op="create"), row, policy=policy),
    ]

    told = [(o.status, o.reason) for o in found if not isinstance(o, Send)]
    assert told == [
        ("rejected", "not_found"),
        ("applied", None),
        ("rejected", "exists"),
    ]


@given(intents(op=st.just("update")), rows)
def test_what_was_written_looks_done(intent, present):
    row = ServerRow(version="2", values={**present, **intent.values})

    def same(_column, left, right):
        return left == right

    assert is_done(intent, row, same=same)
