"""Mutations: what a request may say, and in which order they come."""

from __future__ import annotations

import json
from uuid import UUID

import msgspec
import pytest

from replication.domain.mutations import (
    Known,
    MalformedMutationsError,
    Place,
    ReusedIdError,
    SequenceError,
    check,
    decoded,
    fresh,
)

DEVICE = str(UUID(int=3))
GROUP = str(UUID(int=77))


def edit(sequence, **members):
    return {
        "id": str(UUID(int=1000 + sequence)),
        "sequence": sequence,
        "op": "update",
        "table": "account",
        "key": "8a",
        "values": {"name": "A"},
    } | members


def sent(*edits):
    content = json.dumps({"device": DEVICE, "mutations": list(edits)}).encode()
    return decoded(content).mutations


def only(edit):
    return sent(edit)[0]


def known(*mutations):
    found = fresh(mutations, known={}, place=place(mutations[0].sequence))
    return {
        UUID(one.mutation.id): Known(
            sequence=one.mutation.sequence, body_hash=one.body_hash
        )
        for one in found
    }


def place(next_sequence=1, **more):
    return Place(next_sequence=next_sequence, **more)


def faults(*edits):
    with pytest.raises(MalformedMutationsError) as refused:
        check(sent(*edits))
    return [error["member"] for error in refused.value.errors]


@pytest.mark.parametrize(
    ("members", "missing"),
    [
        ({"op": "create", "values": None}, "values"),
        ({"op": "update", "table": None}, "table"),
        ({"op": "delete", "values": None, "key": None}, "key"),
        (
            {"op": "associate", "values": None, "relationship": "r"},
            "other_key",
        ),
    ],
)
def test_a_member_that_the_operation_needs_is_missed(members, missing):
    assert faults(edit(1, **members)) == [f"mutations[0].{missing}"]


@pytest.mark.parametrize(
    ("members", "surplus"),
    [
        ({"op": "create", "base_version": "1"}, "base_version"),
        ({"op": "delete"}, "values"),
        ({"op": "void", "values": None, "key": None}, "table"),
        ({"relationship": "r"}, "relationship"),
    ],
)
def test_a_member_of_another_operation_is_refused(members, surplus):
    assert faults(edit(1), edit(2, **members)) == [f"mutations[1].{surplus}"]


def test_void_takes_nothing_else():
    void = edit(1, op="void", table=None, key=None, values=None)

    check(sent(void))


def test_an_association_needs_no_table():
    check(
        sent(
            edit(
                1,
                op="associate",
                table=None,
                values=None,
                relationship="account_contacts",
                other_key="9b",
            )
        )
    )


def test_a_gap_within_a_request_names_the_expected_sequence():
    with pytest.raises(SequenceError) as refused:
        check(sent(edit(5), edit(7)))

    assert refused.value.expected == 6
    assert refused.value.errors[0]["member"] == "mutations[1].sequence"


def test_an_id_may_stand_once():
    with pytest.raises(ReusedIdError):
        check(sent(edit(1), edit(2, id=edit(1)["id"])))


def test_what_came_before_is_not_new():
    mutations = sent(edit(1), edit(2), edit(3))

    new = fresh(mutations, known=known(*mutations[:2]), place=place(3))

    assert [one.mutation.sequence for one in new] == [3]


@pytest.mark.parametrize("members", [{"values": {"name": "B"}}, {"sequence": 2}])
def test_an_id_that_came_before_with_another_body_is_reused(members):
    before = known(*sent(edit(1)))

    with pytest.raises(ReusedIdError):
        fresh(
            sent(edit(1) | members),
            known=before,
            place=place(2),
        )


@pytest.mark.parametrize("sequence", [3, 5])
def test_the_first_new_one_is_the_next_of_its_device(sequence):
    with pytest.raises(SequenceError) as refused:
        fresh(sent(edit(sequence)), known={}, place=place(4))

    assert refused.value.expected == 4


def test_in_another_history_any_sequence_above_the_last_comes_first():
    open_place = place(4, last=3, is_open=True)

    assert fresh(sent(edit(9), edit(10)), known={}, place=open_place)
    with pytest.raises(SequenceError):
        fresh(sent(edit(3)), known={}, place=open_place)


def test_how_a_body_is_written_does_not_make_it_another():
    one = b'{"op":"update","table":"a","key":"k","values":{"x":1,"y":{"a":1,"b":2}}}'
    other = (
        b'{ "values": {"y":{"b":2,"a":1}, "x":1}, "key":"k","table":"a","op":"update"}'
    )

    bodies = set()
    for text in (one, other):
        request = b'{"device":"%b","mutations":[{"id":"%b","sequence":1,%b]}' % (
            DEVICE.encode(),
            DEVICE.encode(),
            text[1:],
        )
        bodies.add(decoded(request).mutations[0].body())

    assert len(bodies) == 1


def test_digits_of_numbers_stay():
    raw = json.dumps({"device": DEVICE, "mutations": [edit(1)]}).replace(
        '{"name": "A"}', '{"a": 1.10, "b": 1e400, "c": 123456789012345678901234567890}'
    )

    body = decoded(raw.encode()).mutations[0].body()

    values = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["values"]
    assert bytes(values) == b'{"a":1.10,"b":1E+400,"c":123456789012345678901234567890}'


@pytest.mark.parametrize(
    ("key", "parts", "text"),
    [
        ("8A", ["8A"], "8A"),
        (7, [7], "7"),
        (["a", 1], ["a", 1], '["a",1]'),
        ('["a", 1]', ["a", 1], '["a",1]'),
        ("[a", ["[a"], "[a"),
        ('["a"]', ['["a"]'], '["a"]'),
        (str(UUID(int=10**38)).upper(), [str(UUID(int=10**38)).upper()], None),
    ],
)
def test_a_key_is_one_string_that_is_equal_for_equal_rows(key, parts, text):
    mutation = only(edit(1, key=key))

    assert mutation.key_parts == parts
    assert mutation.row_key == (text or str(key).lower())


@pytest.mark.parametrize(
    "key",
    ["x\0", ["x\0", 1], "k" * 1025, [], True, {"a": 1}, '["\\u0000", 1]'],
)
def test_a_key_that_staging_cannot_hold_is_refused_or_taken_as_text(key):
    try:
        mutation = only(edit(1, key=key))
        check([mutation])
    except (msgspec.ValidationError, MalformedMutationsError):
        return
    assert mutation.key_parts == [key]
    assert "\0" not in mutation.row_key


def test_neighbours_of_a_group_share_a_name_that_nobody_else_has():
    mutations = sent(
        edit(1, group=GROUP),
        edit(2, group=GROUP),
        edit(3),
        edit(4, group=GROUP),
    )

    first, second, alone, other = (
        one.group for one in fresh(mutations, known={}, place=place())
    )

    assert first == second is not None
    assert alone is None
    assert other not in (None, first)
