"""Devices that hold what they may are answered at once, and with the same words."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

import msgspec
import pytest

from replication.domain.profiles import ProfileItem
from replication.services.serving import ChangesRequest, Limits, NothingNew, Rows
from replication.staging import connections
from replication.visibility import glance
from replication.visibility.answer import Answer
from replication.visibility.short_answers import short_answer
from tests.replication.worlds import profile
from tests.staged import guid

LIMITS = Limits()


@pytest.fixture
def ada(contoso):
    """A device with two accounts; the profile takes tasks along, of which are none."""
    contoso.publish(profile(ProfileItem(table="account"), ProfileItem(table="task")))
    contoso.pull("account")
    for name in ("Airport A", "Airport B"):
        contoso.add_account(name, owner="Ada", unit="North")
    contoso.pull("account")
    return contoso.device("Ada")


def asked(device, **changes):
    """What the device asks, but for these members of the request."""
    request = ChangesRequest(
        user_id=device.user,
        device_id=device.id,
        model=device.checkpoint.model,
        checkpoint=device.checkpoint,
    )
    return replace(request, **changes)


def told(answer):
    """The messages; in which order rows and keys of one table stand is open."""
    if answer is None or isinstance(answer, NothingNew):
        return answer
    return [
        (m.table, sorted(json.loads(b"[%b]" % m.deletes)), _sorted(m.upserts))
        if isinstance(m, Rows)
        else m
        for m in answer
    ]


def _sorted(upserts):
    return sorted(json.loads(b"[%b]" % upserts), key=str)


def at_once(world, device, *, limits=LIMITS, **changes):
    answer = short_answer(world.id, asked(device, **changes), limits)
    return told(answer)


def in_pieces(world, device):
    return told(Answer(world.id, asked(device), LIMITS).start())


def edit(world, name="Airport A"):
    world.source.put("account", guid(name), revenue=1)
    world.pull("account")


def test_what_changed_left_and_came_is_told_as_in_pieces(contoso, ada):
    contoso.source.put("account", guid("Airport A"), revenue=1)
    contoso.hand_over("Airport B", to="Grace")
    contoso.add_account("Airport C", owner="Ada", unit="North")
    contoso.add_row("task", "Call", owner="Ada", unit="North")
    contoso.pull_these("account", "task")

    answer = at_once(contoso, ada)

    assert answer == in_pieces(contoso, ada)
    assert answer[-1].rows == 4


def test_news_of_a_table_that_was_quiet_before_is_told_as_well(contoso, ada):
    edit(contoso)
    assert at_once(contoso, ada) is not None

    contoso.add_row("task", "Call", owner="Ada", unit="North")
    contoso.pull("task")

    assert at_once(contoso, ada) == in_pieces(contoso, ada)


def test_nothing_new_moves_the_checkpoint_on(contoso, ada):
    contoso.add_account("Airport G", owner="Grace", unit="South")
    contoso.pull("account")

    answer = at_once(contoso, ada)

    assert answer == in_pieces(contoso, ada)
    assert answer.checkpoint.seen == contoso.rev


def test_rights_of_several_kinds_are_looked_up_together(contoso):
    contoso.publish(profile(ProfileItem(table="account")))
    contoso.hire("Edsger", unit="North", account=4)
    contoso.add_team("Crew", unit="South", roles=["Edsger's role"])
    contoso.join("Edsger", "Crew")
    contoso.pull_all()
    for name, unit in (("Pier", "Port"), ("Hill", "North"), ("Bay", "South")):
        contoso.add_account(name, owner="Nobody", unit=unit)
    contoso.pull("account")
    device = contoso.device("Edsger")

    contoso.move("Pier", to_unit="South")
    contoso.move("Hill", to_unit="Contoso")
    edit(contoso, "Bay")

    assert at_once(contoso, device) == in_pieces(contoso, device)


def test_an_owner_in_a_unit_is_found_by_both(contoso):
    own_in_unit = ProfileItem(table="account", records="filtered", owned_by_me=True)
    contoso.publish(profile(own_in_unit))
    contoso.hire("Edsger", unit="North", account=2)
    for name, unit in (("Hill", "North"), ("Bay", "South")):
        contoso.add_account(name, owner="Edsger", unit=unit)
    contoso.pull_all()
    device = contoso.device("Edsger")

    contoso.source.put("account", guid("Bay"), revenue=1)
    edit(contoso, "Hill")

    answer = at_once(contoso, device)
    assert answer == in_pieces(contoso, device)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"checkpoint": None}, id="a first download"),
        pytest.param({"reset": frozenset({"account"})}, id="a table again"),
        pytest.param({"digest": True}, id="a digest"),
        pytest.param({"model": "m0"}, id="another model"),
        pytest.param({"object_id": uuid4()}, id="somebody else"),
        pytest.param({"limits": Limits(rows=1)}, id="more rows than allowed"),
        pytest.param({"limits": Limits(piece_bytes=10)}, id="more than allowed"),
    ],
)
def test_what_takes_more_than_a_look_is_left_to_pieces(contoso, ada, changes):
    contoso.source.put("account", guid("Airport B"), revenue=1)
    edit(contoso)

    assert at_once(contoso, ada, **changes) is None


@pytest.mark.parametrize("member", ["epoch", "seen", "snapshot"])
def test_a_checkpoint_that_cannot_be_continued_so_is_left_to_pieces(
    contoso, ada, member
):
    other = {"epoch": uuid4(), "seen": contoso.rev + 1, "snapshot": "c1"}[member]
    checkpoint = msgspec.structs.replace(ada.checkpoint, **{member: other})

    assert at_once(contoso, ada, checkpoint=checkpoint) is None


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE sync.clock SET access_rev = rev", id="rights"),
        pytest.param("UPDATE sync.clock SET horizon = rev", id="the horizon"),
        pytest.param("UPDATE sync.clock SET identity = 'other'", id="the database"),
        pytest.param(
            "UPDATE sync.source SET last_complete_at = now() - interval '25 hours'"
            " WHERE name = 'role'",
            id="stale security",
        ),
    ],
)
def test_what_has_become_of_the_organization_is_seen_in_the_same_look(
    contoso, ada, statement
):
    edit(contoso)
    assert at_once(contoso, ada) is not None

    contoso.execute(statement)

    assert at_once(contoso, ada) is None


def test_many_changes_are_left_to_pieces(contoso, ada):
    for number in range(glance.MOST_ENTRIES):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North")
    contoso.pull("account")

    assert at_once(contoso, ada) is None


def test_a_feed_that_is_gone_is_left_to_pieces(contoso, ada):
    edit(contoso)
    assert at_once(contoso, ada) is not None
    (rule, *_) = contoso.values("SELECT id FROM sync.rule ORDER BY id")

    contoso.execute(f"DROP TABLE sync.feed_{rule}")

    assert at_once(contoso, ada) is None


def test_what_a_device_presents_is_written_at_most_once_a_minute(contoso, ada):
    edit(contoso)
    presented = "SELECT presented_rev FROM sync.device"
    at_once(contoso, ada)
    first = contoso.values(presented)

    ada.sync()
    edit(contoso)
    at_once(contoso, ada)

    assert contoso.values(presented) == first != []


def test_the_same_statement_serves_all_who_have_such_rights(contoso, ada):
    contoso.add_account("Airport G", owner="Grace", unit="South")
    contoso.pull("account")
    grace = contoso.device("Grace")
    edit(contoso, "Airport G")
    edit(contoso)

    assert at_once(contoso, ada) is not None
    with connections.reading(contoso.id) as conn:
        before = statements(conn)
        assert at_once(contoso, grace) is not None
        assert statements(conn) == before


def statements(conn):
    """Texts that the connection has planned so far."""
    return {s for (s,) in conn.execute("SELECT statement FROM pg_prepared_statements")}


def become(world, device, *statuses):
    """Mutations of the device with these outcomes, each at a rev of its own."""
    for status in statuses:
        world.execute("UPDATE sync.clock SET rev = rev + 1")
        world.execute(
            "INSERT INTO sync.mutation (device_id, sequence, id, epoch, user_id,"
            ' user_name, op, "table", row_key, body, body_hash, status, outcome,'
            " outcome_rev)"
            " SELECT %s, 1 + count(*), gen_random_uuid(), %s, %s, 'Ada', 'update',"
            " 'account', %s, '', '', %s, '{\"version\": \"1\"}',"
            " (SELECT rev FROM sync.clock) FROM sync.mutation",
            device.id,
            uuid4(),
            device.user,
            str(guid("Airport A")),
            status,
        )


def test_outcomes_are_told_as_in_pieces(contoso, ada):
    edit(contoso)
    become(contoso, ada, "applied", "parked", "applied")

    answer = at_once(contoso, ada)

    assert answer == in_pieces(contoso, ada)
    assert answer[-1].through_mutation == 0
    assert answer[-1].checkpoint.told == contoso.rev


def test_outcomes_alone_are_told_at_once(contoso, ada):
    become(contoso, ada, "applied")

    assert at_once(contoso, ada) == in_pieces(contoso, ada)
    assert at_once(contoso, ada) is not None


@pytest.mark.parametrize("status", ["conflict", "rejected"])
def test_failures_are_left_to_pieces_with_their_rows(contoso, ada, status):
    become(contoso, ada, "applied", status)

    assert at_once(contoso, ada) is None


def test_many_outcomes_are_left_to_pieces(contoso, ada):
    become(contoso, ada, *["applied"] * glance.MOST_OUTCOMES)

    assert at_once(contoso, ada) is None


def test_through_mutation_is_told_as_in_pieces(contoso, ada):
    become(contoso, ada, "applied", "applied")
    contoso.execute("UPDATE sync.mutation SET status = 'accepted' WHERE sequence = 2")

    answer = at_once(contoso, ada)

    assert answer == in_pieces(contoso, ada)
    assert answer[-1].through_mutation == 1


def test_a_device_that_was_told_everything_is_settled(contoso, ada):
    assert ada.checkpoint.is_settled_at(contoso.rev)

    edit(contoso)
    ada.sync()

    assert ada.checkpoint.is_settled_at(contoso.rev)
