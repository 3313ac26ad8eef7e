"""Changes of many rows at once are caught up with in chunks."""

from __future__ import annotations

import psycopg
import pytest

from replication.domain.profiles import Hierarchy, ProfileItem
from replication.visibility import moving, reconcile, rules, stale
from tests.replication.checks import assert_sound
from tests.replication.hooked import HookedConnection
from tests.replication.related import (
    CONTACTS_OF_ACCOUNTS,
    fetch,
    filtered,
    in_small_pieces,
    mine,
    naming,
    profile_of,
    related,
)
from tests.staged import guid

CONTACTS = profile_of(mine("account", CONTACTS_OF_ACCOUNTS), related("contact"))
MANY = 12

# Statements of a chunk: something may happen before them.
READING, LOCKING = "CREATE TEMP TABLE different", "SELECT rev, epoch"
WITHIN_A_CHUNK = [
    pytest.param(READING, id="before the rows are read"),
    pytest.param(LOCKING, id="after the rows were read"),
]


@pytest.fixture(scope="module")
def twelve_contacts(all_related):
    def add(offices):
        offices.add("account", "Airport", owner="Ada")
        offices.add("account", "Harbour", owner="Grace")
        for number in range(MANY):
            customer = naming("parentcustomerid", "account", "Airport")
            offices.add("contact", f"Kay {number}", **customer)
        offices.pull_these("account", "contact")

    return all_related.varied("twelve_contacts", add)


@pytest.fixture
def crowd(db, twelve_contacts, monkeypatch):
    """Airport is Ada's and has twelve contacts; more than three rows are many."""
    world = twelve_contacts.world()
    world.put_in_effect(CONTACTS)
    in_small_pieces(monkeypatch, most_at_once=3, chunk=5)
    return world


KAYS = {f"Kay {number}" for number in range(MANY)}


def stale_rules(world):
    conn = world.database.kept("test")
    return sum(rule.is_stale for rule in rules.living(conn))


def leave_stale(world):
    """Airport becomes Grace's, and nobody has caught up with that yet."""
    world.execute("SELECT pg_advisory_lock(4711)")
    try:
        world.change("account", "Airport", ownerid=str(guid("Grace")))
    finally:
        world.execute("SELECT pg_advisory_unlock(4711)")
    assert stale_rules(world) == 1


def catch_up(world, *, before, meanwhile, nth=2):
    """Reconcile; do something before this statement of the nth chunk."""
    met: list[str] = []

    def heard(statement):
        # The clock is locked for other things as well.
        if statement.startswith(READING):
            met.append(READING)
        elif statement.startswith(LOCKING) and met and met[-1] == READING:
            met.append(LOCKING)
        else:
            return
        if met[-1] == before and met.count(before) == nth:
            conn.before = None
            meanwhile()

    with world.database.connect(HookedConnection) as conn:
        conn.before = heard
        reconcile.reconcile(conn)
    assert met.count(before) >= nth


def test_many_rows_follow_their_parent(crowd):
    ada = crowd.device("Ada")

    leave_stale(crowd)
    crowd.reconcile()
    result = ada.sync()

    assert (ada.names("contact"), result.deletes) == (set(), MANY + 1)
    assert_sound(crowd)


def test_few_rows_follow_at_once(crowd, monkeypatch):
    in_small_pieces(monkeypatch, most_at_once=MANY, chunk=5)
    crowd.execute("SELECT pg_advisory_lock(4711)")

    crowd.change("account", "Airport", ownerid=str(guid("Grace")))

    crowd.execute("SELECT pg_advisory_unlock(4711)")
    assert stale_rules(crowd) == 0
    assert_sound(crowd)


def test_the_pull_that_made_rules_stale_brings_them_up_to_date(crowd):
    crowd.change("account", "Airport", ownerid=str(guid("Grace")))

    assert stale_rules(crowd) == 0
    assert_sound(crowd)


def test_the_clock_is_free_between_chunks_and_devices_learn_bit_by_bit(crowd):
    ada = crowd.device("Ada")
    leave_stale(crowd)
    counts = []

    def look():
        ada.sync()
        counts.append(len(ada.names("contact")))

    catch_up(crowd, before=READING, meanwhile=look, nth=3)
    look()

    assert 0 < counts[0] < MANY
    assert counts[1] == 0


@pytest.mark.parametrize("before", WITHIN_A_CHUNK)
def test_a_worker_that_dies_between_chunks_is_made_up_for(crowd, before):
    ada = crowd.device("Ada")
    leave_stale(crowd)

    def die():
        raise psycopg.OperationalError("The connection is lost.")

    with pytest.raises(psycopg.OperationalError):
        catch_up(crowd, before=before, meanwhile=die)
    assert stale_rules(crowd) == 1
    crowd.reconcile()
    ada.sync()

    assert ada.names("contact") == set()
    assert_sound(crowd)


def test_what_was_done_before_a_crash_is_not_done_again(crowd):
    leave_stale(crowd)

    def die():
        raise psycopg.OperationalError("The connection is lost.")

    with pytest.raises(psycopg.OperationalError):
        catch_up(crowd, before=READING, meanwhile=die)
    (reached,) = crowd.values(
        "SELECT stale_after FROM sync.rule WHERE stale_after IS NOT NULL"
    )
    done = crowd.values(
        "SELECT row_id FROM sync.feed WHERE rev > 0 AND k4 IS NOT NULL ORDER BY 1"
    )

    assert reached == max(done)
    assert len(set(done)) == 5
    crowd.reconcile()
    assert_sound(crowd)


@pytest.mark.parametrize("before", WITHIN_A_CHUNK)
def test_pages_that_come_between_chunks_stay_right(crowd, before):
    ada = crowd.device("Ada")
    leave_stale(crowd)

    def write():
        # A few of each kind, all over the range of ids.
        crowd.source.delete("contact", guid("Kay 0"))
        for number in (1, 2, 3):
            customer = naming("parentcustomerid", "account", "Harbour")
            crowd.source.put("contact", guid(f"Kay {number}"), **customer)
        crowd.add("account", "Depot", owner="Ada")
        for number in (4, 5, 6):
            customer = naming("parentcustomerid", "account", "Depot")
            crowd.source.put("contact", guid(f"Kay {number}"), **customer)
        crowd.pull_these("contact", "account")

    catch_up(crowd, before=before, meanwhile=write)
    ada.sync()

    assert ada.names("contact") == {"Kay 4", "Kay 5", "Kay 6"}
    assert_sound(crowd)


@pytest.mark.parametrize("before", WITHIN_A_CHUNK)
def test_another_large_change_begins_the_chunks_anew(crowd, before):
    ada = crowd.device("Ada")
    leave_stale(crowd)

    def give_back():
        crowd.change("account", "Airport", ownerid=str(guid("Ada")))

    catch_up(crowd, before=before, meanwhile=give_back)
    ada.sync()

    assert ada.names("contact") == KAYS
    assert_sound(crowd)


def test_a_mark_between_two_chunks_is_not_overlooked(crowd):
    leave_stale(crowd)

    def mark():
        conn = crowd.database.kept("test")
        with conn.transaction():
            stale.mark(conn, [r.id for r in rules.living(conn) if r.is_stale])

    catch_up(crowd, before=LOCKING, meanwhile=mark)

    assert stale_rules(crowd) == 0
    assert_sound(crowd)


def test_time_may_pass_between_chunks(crowd):
    for number in range(MANY):
        crowd.add(
            "account", f"Site {number}", opened="2026-03-01T08:00:00Z", city="Lima"
        )
    crowd.pull("account")
    recent = fetch("opened", "last-x-days", "10")
    crowd.put_in_effect(profile_of(filtered("account", "city eq 'Lima'")))
    ada = crowd.device("Ada")
    crowd.publish(profile_of(filtered("account", recent)))

    def pass_time():
        conn = crowd.database.kept("test")
        (past,) = crowd.values("SELECT '2100-01-01'::timestamptz")
        moving.advance(conn, now=past)

    catch_up(crowd, before=LOCKING, meanwhile=pass_time)
    ada.sync()

    assert ada.names() == set()
    assert_sound(crowd)


def test_a_rule_that_is_not_up_to_date_yet_may_retire(crowd):
    ada = crowd.device("Ada")
    leave_stale(crowd)

    crowd.put_in_effect(profile_of(mine("account")))
    ada.sync()

    assert ada.names("contact") == set()
    assert_sound(crowd)


def test_a_rule_that_is_not_up_to_date_yet_may_be_edited(crowd):
    ada = crowd.device("Ada")
    leave_stale(crowd)

    chosen = filtered("account", "city eq null", CONTACTS_OF_ACCOUNTS)
    crowd.put_in_effect(profile_of(chosen, related("contact")))
    ada.sync()

    assert ada.names("contact") == KAYS
    assert_sound(crowd)


def test_many_rows_that_wait_for_a_rule_that_is_being_built_are_caught_up(crowd):
    crowd.put_in_effect(profile_of(mine("account")))
    crowd.publish(CONTACTS)
    done: list[bool] = []

    def before(statement):
        if statement.startswith('ANALYZE "sync"."feed_') and not done:
            done.append(True)
            crowd.change("account", "Airport", ownerid=str(guid("Grace")))

    with crowd.database.connect(HookedConnection) as conn:
        conn.before = before
        reconcile.reconcile(conn)

    assert done
    assert crowd.device("Ada").names("contact") == set()
    assert_sound(crowd)


def test_a_unit_with_many_rows_moves(crowd):
    crowd.put_in_effect(profile_of(ProfileItem(table="contact")))
    for number in range(MANY):
        crowd.source.put(
            "contact", guid(f"Kay {number}"), owningbusinessunit=str(guid("Port"))
        )
    crowd.pull("contact")
    crowd.hire("Edsger", unit="North", contact=4)
    crowd.hire("Barbara", unit="South", contact=4)
    edsger, barbara = crowd.device("Edsger"), crowd.device("Barbara")

    crowd.change("businessunit", "Port", parentbusinessunitid=str(guid("South")))
    edsger.sync()
    barbara.sync()

    assert (edsger.names("contact"), barbara.names("contact")) == (set(), KAYS)
    assert_sound(crowd)


def test_a_report_with_many_rows_changes_his_manager(crowd):
    for number in range(MANY):
        crowd.source.put("contact", guid(f"Kay {number}"), ownerid=str(guid("Joan")))
    crowd.pull("contact")
    everything = profile_of(ProfileItem(table="contact"))
    crowd.put_in_effect(everything, hierarchy=Hierarchy(model="manager"))
    alan = crowd.device("Alan")

    crowd.change("systemuser", "Joan", parentsystemuserid=str(guid("Alan")))
    alan.sync()

    assert alan.names("contact") == KAYS
    assert_sound(crowd)


def test_a_rule_with_many_rows_retires_in_chunks(crowd):
    ada = crowd.device("Ada")
    crowd.publish(profile_of(mine("account")))
    live = "SELECT count(*) FROM sync.feed WHERE live AND k4 IS NOT NULL"
    retired = "SELECT count(*) FROM sync.rule WHERE state = 'retired'"
    counts = []

    def before(statement):
        if statement.startswith(LOCKING) and crowd.values(retired) == [1]:
            counts.extend(crowd.values(live))
            if len(counts) > 1:
                raise psycopg.OperationalError("The connection is lost.")
            # A row that leaves meanwhile is nobody's affair any more.
            crowd.change("contact", "Kay 0", ownerid=str(guid("Grace")))

    with crowd.database.connect(HookedConnection) as conn:
        conn.before = before
        with pytest.raises(psycopg.OperationalError):
            reconcile.reconcile(conn)
    ada.sync()
    crowd.reconcile()
    ada.sync()

    assert counts == [MANY, MANY - 5]
    assert crowd.values(live) == [0]
    assert ada.names("contact") == set()
    assert_sound(crowd)
