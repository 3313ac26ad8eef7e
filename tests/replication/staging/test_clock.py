"""Revs in commit order, whoever writes at the same time; nobody misses a row."""

from __future__ import annotations

import random
from itertools import count

import pytest

from replication.domain.profiles import ProfileItem
from replication.staging import connections
from tests.fake_dataverse import FakeDataverse
from tests.replication import waiting
from tests.replication.checks import assert_sound
from tests.replication.worlds import FIELD_TABLES, profile
from tests.staged import guid

PAGES = 8
PATIENCE = waiting.PATIENCE_SECONDS
NAME = {
    table.name: "fullname" if table.name == "contact" else "name"
    for table in FIELD_TABLES
}


@pytest.fixture
def published(contoso):
    """Every field table is published to everyone."""
    contoso.publish(profile(*(ProfileItem(table=t.name) for t in FIELD_TABLES)))
    contoso.pull("account")
    return contoso


class Writer:
    """One table's source and the pulls of it, for a thread of its own."""

    def __init__(self, world, table, *, seed):
        self._world = world
        self._table = table.name
        self.source = FakeDataverse((table,))
        # Beyond the token that the empty table was loaded with.
        self.source.version = 100_000
        self._random = random.Random(seed)  # noqa: S311  no secret
        self._epochs = count(1_000_000)

    def insert(self, number):
        name = f"{self._table} {number}"
        self.source.put(
            self._table,
            guid(name),
            **{NAME[self._table]: name},
            ownerid=str(guid(self._random.choice(["Ada", "Grace"]))),
            owningbusinessunit=str(guid("North")),
        )

    def edit(self):
        rows = self.source.rows(self._table)
        for key in self._random.sample(sorted(rows), k=min(3, len(rows))):
            owner = self._random.choice(["Ada", "Grace", None])
            if owner is None:
                self.source.delete(self._table, key)
            else:
                self.source.put(self._table, key, ownerid=str(guid(owner)))

    def pull(self, conn):
        self._world.pull_on(
            conn,
            self._table,
            source=self.source.source(page_size=5),
            epoch=next(self._epochs),
        )

    def insert_pages(self):
        with self._world.database.connect() as conn:
            for page in range(PAGES):
                for number in range(5):
                    self.insert(f"{page}/{number}")
                self.pull(conn)

    def edit_pages(self):
        with self._world.database.connect() as conn:
            for page in range(PAGES):
                for number in range(4):
                    self.insert(f"{page}/{number}")
                self.edit()
                self.pull(conn)

    def names_of(self, owner):
        return {
            row[NAME[self._table]]
            for row in self.source.rows(self._table).values()
            if row["ownerid"] == str(guid(owner))
        }


def writers(world):
    return [Writer(world, t, seed=number) for number, t in enumerate(FIELD_TABLES)]


def revs_at_one_moment(conn):
    """The clock's rev, and those of all entries, of one snapshot."""
    with connections.snapshot(conn):
        (rev,) = conn.execute("SELECT rev FROM sync.clock").fetchone()
        found = conn.execute("SELECT rev FROM sync.feed ORDER BY rev").fetchall()
    return rev, [entry for (entry,) in found]


def test_at_every_moment_every_rev_up_to_the_clocks_is_there(published, in_background):
    start = published.rev
    at_work = [in_background(writer.insert_pages) for writer in writers(published)]
    gaps, moments = [], set()

    with published.database.connect() as conn:
        while not all(task.done() for task in at_work):
            rev, revs = revs_at_one_moment(conn)
            moments.add(rev)
            if revs != list(range(start + 1, rev + 1)):
                gaps.append((rev, revs))
    for task in at_work:
        task.result(timeout=PATIENCE)

    assert gaps == []
    assert len(moments) > 1
    assert published.rev == start + len(FIELD_TABLES) * PAGES * 5


def test_no_device_misses_a_row_while_six_writers_write(published, in_background):
    ada, grace = published.device("Ada"), published.device("Grace")
    team = writers(published)

    at_work = [in_background(writer.edit_pages) for writer in team]
    while not all(task.done() for task in at_work):
        ada.sync()
        grace.sync()
    for task in at_work:
        task.result(timeout=PATIENCE)
    ada.sync()
    grace.sync()

    for writer, table in zip(team, FIELD_TABLES, strict=True):
        assert ada.names(table.name) == writer.names_of("Ada")
        assert grace.names(table.name) == writer.names_of("Grace")
    assert_sound(published)


@pytest.fixture
def two_heads(contoso):
    """Edsger heads North, Barbara South; both read what is below them."""
    contoso.hire("Edsger", unit="North", account=4)
    contoso.hire("Barbara", unit="South", account=4)
    contoso.add_account("Site Port", owner="Nobody", unit="Port")
    contoso.pull("account")
    return contoso


def hang_port_below(world, unit):
    world.source.put("businessunit", guid("Port"), parentbusinessunitid=str(guid(unit)))


def test_a_child_inserted_while_its_parent_changes_hands_ends_with_the_right_key(
    two_heads, in_background
):
    """The account page merges before the clock is its, and derives afterwards.

    The page of business units holds the clock while the account page waits for it.
    """
    database, watcher = two_heads.database, two_heads.database.kept("test")
    edsger, barbara = two_heads.device("Edsger"), two_heads.device("Barbara")
    hang_port_below(two_heads, "South")
    two_heads.add_account("New in Port", owner="Nobody", unit="Port")

    with (
        database.connect() as closure_holder,
        database.connect() as units,
        database.connect() as accounts,
    ):
        with closure_holder.transaction():
            closure_holder.execute("SELECT FROM sync.closure FOR UPDATE")
            moving = in_background(two_heads.pull_on, units, "businessunit")
            waiting.until_blocked(units, seen_by=watcher)
            inserting = in_background(two_heads.pull_on, accounts, "account")
            waiting.until_blocked(accounts, seen_by=watcher)
        moving.result(timeout=PATIENCE)
        inserting.result(timeout=PATIENCE)
    edsger.sync()
    barbara.sync()

    assert edsger.names() == set()
    assert barbara.names() == {"Site Port", "New in Port"}
    assert_sound(two_heads)


def test_a_parent_that_changes_hands_takes_a_child_along_that_came_just_before(
    two_heads, in_background
):
    database, watcher = two_heads.database, two_heads.database.kept("test")
    hang_port_below(two_heads, "South")
    two_heads.add_account("New in Port", owner="Nobody", unit="Port")

    with (
        database.connect() as clock_holder,
        database.connect() as units,
        database.connect() as accounts,
    ):
        with clock_holder.transaction():
            clock_holder.execute("SELECT FROM sync.clock FOR UPDATE")
            inserting = in_background(two_heads.pull_on, accounts, "account")
            waiting.until_blocked(accounts, seen_by=watcher)
            moving = in_background(two_heads.pull_on, units, "businessunit")
            waiting.until_blocked(units, seen_by=watcher)
        inserting.result(timeout=PATIENCE)
        moving.result(timeout=PATIENCE)

    assert two_heads.device("Edsger").names() == set()
    assert two_heads.device("Barbara").names() == {"Site Port", "New in Port"}
    assert_sound(two_heads)


def test_pages_of_different_tables_wait_for_each_other_only_at_the_clock(
    published, in_background
):
    published.add_account("Site", owner="Ada", unit="North")
    published.add_row("task", "Call", owner="Ada", unit="North")
    database, watcher = published.database, published.database.kept("test")

    with (
        database.connect() as clock_holder,
        database.connect() as one,
        database.connect() as other,
    ):
        with clock_holder.transaction():
            clock_holder.execute("SELECT FROM sync.clock FOR UPDATE")
            pulls = [
                in_background(published.pull_on, one, "account"),
                in_background(published.pull_on, other, "task"),
            ]
            # Both have merged by now.
            waiting.until_blocked(one, seen_by=watcher)
            waiting.until_blocked(other, seen_by=watcher)
        for pull in pulls:
            pull.result(timeout=PATIENCE)

    assert published.device("Ada").names() == {"Site"}
    assert published.device("Ada").names("task") == {"Call"}


def test_a_reader_never_waits_for_a_writer(published, in_background):
    published.add_account("Site", owner="Ada", unit="North")
    published.pull("account")

    with published.database.connect() as writer, writer.transaction():
        writer.execute("SELECT FROM sync.clock FOR UPDATE")
        writer.execute("SELECT FROM data.account FOR UPDATE")

        assert published.device("Ada").names() == {"Site"}
