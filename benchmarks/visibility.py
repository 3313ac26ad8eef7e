"""Who may take what along, in a table of a million rows: what changes of it cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

from benchmarks import many_tables, million, waiting
from benchmarks.figures import Figure, expect
from benchmarks.million import (
    BELOW,
    MOVING,
    OF_FILTER,
    OF_MANY_TEAMS,
    OWNERS,
    TEAMS,
    Million,
    Puller,
)
from benchmarks.world import World
from sandbox.contoso.organization import unit_id
from sandbox.contoso.people import PEOPLE_BY_KEY

if TYPE_CHECKING:
    from benchmarks.engine import EngineDevice
    from replication.domain.pages import Page

_OF_MILLION = (
    "reown_one_of_1m",
    "empty_poll_500_keys",
    "reparent_100k",
    "filter_edit_5pct_of_1m",
    "filter_edit_download_share",
)
FIGURES = (*_OF_MILLION, *many_tables.FIGURES)

_REOWNED = 30
_POLLS = 30
# Polls of which the CPU seconds are counted: clock ticks are too coarse for one.
_MANY_POLLS = 300
# The filter takes accounts with fewer employees: 95 % of them, and all.
_SOME, _ALL = 4_750, 5_000


def figures(world: World) -> Iterator[Figure]:
    """Changes in a table of a million rows, then a load under many profiles."""
    if any(map(world.wants, _OF_MILLION)):
        with million.loaded(world, employees=_SOME) as loaded:
            yield from _of_million(loaded)
    yield from many_tables.figures(world)


def _of_million(loaded: Million) -> Iterator[Figure]:
    wants = loaded.world.wants
    if wants("reown_one_of_1m"):
        yield _reown(loaded)
    if wants("empty_poll_500_keys"):
        yield _empty_poll(loaded)
    if wants("reparent_100k"):
        yield _reparent(loaded)
    if wants("filter_edit_5pct_of_1m") or wants("filter_edit_download_share"):
        yield from _filter_edits(loaded)


# One row gets another owner


def _reown(loaded: Million) -> Figure:
    """Wall milliseconds of the page that brings an account's new owner."""
    from replication.staging import connections

    with connections.opened(loaded.id) as conn:
        puller = loaded.prepared(conn, "account")
        times, used = [], 0.0
        for account, owner in _new_owners(loaded, _REOWNED):
            page = _reowned(loaded, puller, account, owner)
            before = time.process_time()
            times.append(puller.commit(page) * 1e3)
            used += time.process_time() - before
            _expect_owner(conn, account, owner)
    return Figure(
        name="reown_one_of_1m",
        value=statistics.median(times),
        unit="ms",
        target=30,
        at_most=True,
        note=f"{len(times)} pages of one row: {min(times):.1f} to {max(times):.1f} ms;"
        f" {used / len(times) * 1e3:.1f} CPU-ms each in the worker",
    )


def _new_owners(loaded: Million, count: int) -> Iterator[tuple[str, str]]:
    """Accounts that the source knows, each with a person who does not own it."""
    for number in range(count):
        now, then = OWNERS if number % 2 else OWNERS[::-1]
        yield loaded.known[now].pop(), PEOPLE_BY_KEY[then].id


def _reowned(loaded: Million, puller: Puller, account: str, owner: str) -> Page:
    """The page that brings the account's new owner."""
    loaded.editor.patch(
        f"accounts({account})", {"ownerid@odata.bind": f"systemusers({owner})"}
    )
    page = puller.fetch()
    expect(len(page.rows) == 1, f"The page has {len(page.rows)} rows instead of 1.")
    return page


def _expect_owner(conn: psycopg.Connection, account: str, owner: str) -> None:
    """:raises WrongAnswerError: not everything names the new owner, and only him."""
    entries = conn.execute(
        "SELECT DISTINCT k.value::text, f.rev > c.rev - 100"
        " FROM sync.clock c CROSS JOIN sync.rule r"
        " JOIN sync.feed f ON f.rule = r.id AND f.row_id = %s AND f.live"
        " JOIN sync.key_value k ON k.id = f.k1",
        (account,),
    ).fetchall()
    related = conn.execute(
        "SELECT DISTINCT k.value::text FROM data.contact c"
        " JOIN sync.feed f ON f.row_id = c.contactid AND f.live"
        " JOIN sync.key_value k ON k.id = f.k4 WHERE c.parentcustomerid = %s",
        (account,),
    ).fetchall()
    expect(entries == [(owner, True)], f"{account} is handed out to {entries}.")
    expect(related == [(owner,)], f"Its contacts are handed out to {related}.")


# A poll that finds nothing


def _empty_poll(loaded: Million) -> Figure:
    """Wall milliseconds of polls, each after somebody else's row has changed."""
    from benchmarks.engine import EngineDevice
    from replication.staging import connections

    world = loaded.world
    with connections.opened(loaded.id) as conn:
        puller = loaded.prepared(conn, "account")
        device = EngineDevice(loaded.id, UUID(PEOPLE_BY_KEY[OF_MANY_TEAMS].id))
        expect(device.sync().upserts > TEAMS, "The device gets no rows of its teams.")
        times = []
        for account, owner in _new_owners(loaded, _POLLS):
            older = device.checkpoint
            puller.commit(_reowned(loaded, puller, account, owner))
            times.append(_silence(device) * 1e3)
        before = world.cpu_seconds()
        for _ in range(_MANY_POLLS):
            device.checkpoint = older
            _silence(device)
        used = (world.cpu_seconds() - before) / _MANY_POLLS
    return Figure(
        name="empty_poll_500_keys",
        value=statistics.median(times),
        unit="ms",
        target=10,
        at_most=True,
        note=f"{len(times)} polls: {min(times):.1f} to {max(times):.1f} ms;"
        f" {used * 1e3:.1f} CPU-ms each",
    )


def _silence(device: EngineDevice) -> float:
    """Seconds until the device knows that nothing concerns it."""
    began, before = time.perf_counter(), device.checkpoint
    heard = device.sync()
    seconds = time.perf_counter() - began
    expect(heard.size == 0, "A poll brings rows that are somebody else's.")
    expect(device.checkpoint != before, "The clock stood still.")
    return seconds


# A business unit moves


def _reparent(loaded: Million) -> Figure:
    """Seconds until the rows below a unit are handed out by where it is now."""
    from replication.staging import connections
    from replication.visibility import reconcile

    times, used = list[float](), 0.0
    with connections.opened(loaded.id) as conn, waiting.for_clock(loaded.id) as waits:
        puller = loaded.prepared(conn, "businessunit")
        for above in ("Europe", "Contoso"):
            million.move_unit(loaded.editor, below=above)
            page = puller.fetch()
            began, before = time.perf_counter(), loaded.world.cpu_seconds()
            puller.commit(page)
            reconcile.reconcile(conn)
            times.append(time.perf_counter() - began)
            used += loaded.world.cpu_seconds() - before
            _expect_below(conn, is_moved=above == "Europe")
    return Figure(
        name="reparent_100k",
        value=max(times),
        unit="s",
        note=f"there {times[0]:.1f} s, back {times[1]:.1f} s, {used:.1f} CPU-s;"
        f" another writer waited {waits.longest * 1e3:.0f} ms at most",
    )


def _expect_below(conn: psycopg.Connection, *, is_moved: bool) -> None:
    """:raises WrongAnswerError: the unit's rows are not those of the one above it."""
    row = conn.execute(
        "SELECT count(DISTINCT f.row_id) FROM sync.feed f"
        " JOIN sync.key_value k ON k.id = f.k3 AND k.value = %(above)s"
        " WHERE f.live AND f.row_id IN ("
        " SELECT accountid FROM data.account WHERE owningbusinessunit = ANY(%(units)s)"
        " UNION ALL SELECT contactid FROM data.contact"
        " WHERE owningbusinessunit = ANY(%(units)s)"
        " AND parentcustomerid IN (SELECT accountid FROM data.account))",
        {"above": unit_id("Europe"), "units": [unit_id(name) for name in MOVING]},
    ).fetchone()
    assert row is not None
    # Contacts of contacts belong to no rule.
    right = BELOW - 100 < row[0] <= BELOW if is_moved else row[0] == 0
    expect(right, f"{row[0]} rows are handed out by the unit above.")


# A filter is edited


def _filter_edits(loaded: Million) -> Iterator[Figure]:
    """Let 5 % of the rows in, then out; what a device that has them downloads."""
    from benchmarks.engine import EngineDevice

    person = UUID(PEOPLE_BY_KEY[OF_FILTER].id)
    device = EngineDevice(loaded.id, person)
    held = device.sync().upserts
    times, shares, used, longest = list[float](), list[float](), 0.0, 0.0
    for employees in (_ALL, _SOME):
        before = loaded.world.cpu_seconds()
        seconds, waited = _edited(loaded, employees)
        used += loaded.world.cpu_seconds() - before
        news, first = device.sync(), EngineDevice(loaded.id, person).sync()
        held += news.upserts - news.deletes
        expect(held == first.upserts, f"{held} rows held instead of {first.upserts}.")
        changed = news.upserts or news.deletes
        expect(
            min(news.upserts, news.deletes) == 0 and changed == _between(loaded),
            f"{news.upserts} rows came and {news.deletes} went.",
        )
        times.append(seconds)
        shares.append(news.size / first.size)
        longest = max(longest, waited)
    yield Figure(
        name="filter_edit_5pct_of_1m",
        value=max(times),
        unit="s",
        note=f"in {times[0]:.1f} s, out {times[1]:.1f} s, {used:.1f} CPU-s; {changed:,}"
        f" rows with their contacts; another writer waited {longest * 1e3:.0f} ms at most",
    )
    yield Figure(
        name="filter_edit_download_share",
        value=max(shares),
        unit="ratio",
        target=0.06,
        at_most=True,
        note=f"of the bytes of a first download; in {shares[0]:.4f},"
        f" out {shares[1]:.4f}",
    )


def _edited(loaded: Million, employees: int) -> tuple[float, float]:
    """Seconds from publishing to the last row, and of the longest wait meanwhile."""
    from replication.staging import connections
    from replication.visibility import policy, reconcile

    with connections.opened(loaded.id) as conn, waiting.for_clock(loaded.id) as waits:
        began = time.perf_counter()
        policy.publish(conn, million.policy_with(employees=employees))
        reconcile.reconcile(conn)
        seconds = time.perf_counter() - began
        expect(not reconcile.is_due(conn), "Something is left to do.")
    return seconds, waits.longest


def _between(loaded: Million) -> int:
    """Accounts that one filter takes and the other does not, with their contacts."""
    from replication.staging import connections

    with connections.opened(loaded.id) as conn:
        row = conn.execute(
            "WITH a AS (SELECT accountid FROM data.account"
            " WHERE numberofemployees >= %s AND numberofemployees < %s)"
            " SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM a"
            " JOIN data.contact c ON c.parentcustomerid = a.accountid)",
            (_SOME, _ALL),
        ).fetchone()
    assert row is not None
    return int(row[0])
