"""Which rules there ought to be, against those that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

from replication.domain.alternatives import Takes
from replication.domain.choices import BASE, DEEP, Choice, Opening, RuleSpec
from replication.domain.profiles import Assignments, Hierarchy, Policy, ProfileDef
from replication.staging import registry
from replication.staging.registry import SourceTable
from replication.visibility import policy, rules, wanted
from replication.visibility.compiled import Compiled, compiled_once
from replication.visibility.rules import Identity, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOrder:
    """A rule that ought to exist."""

    source: SourceTable
    spec: RuleSpec
    slots: tuple[str, ...]

    @property
    def identity(self) -> Identity:
        return (self.source.id, *self.spec.is_for)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A rule whose content changes under the grants that name it."""

    rule: Rule
    order: RuleOrder

    @property
    def changes_rows(self) -> bool:
        return self.rule.spec != self.order.spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    compiled: Compiled
    # Every replicated table by name.
    tables: Mapping[str, SourceTable]
    missing: tuple[RuleOrder, ...]
    edits: tuple[Edit, ...]
    unwanted: tuple[Rule, ...]
    # Nobody is served by them any more: later ones have taken their place.
    superseded: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What of the security tables decides which rules are needed."""

    held_deep: frozenset[str]
    shared: frozenset[str]
    hierarchy: Hierarchy | None

    def openings(self, table: SourceTable) -> tuple[Opening, ...]:
        definition = table.definition
        hierarchy = self.hierarchy
        opening: Opening | None = None
        if hierarchy and definition.name not in hierarchy.excluded_tables:
            opening = "managers" if hierarchy.model == "manager" else "positions"
        return rules.openings(
            definition,
            held_deep=self.held_deep,
            shared=self.shared,
            hierarchy=opening,
        )


def definitions(conn: psycopg.Connection) -> dict[str, SourceTable]:
    return {table.definition.name: table for table in registry.tables(conn)}


def plan(conn: psycopg.Connection, *, wanted_policy: Policy | None = None) -> Plan:
    """Compare the published profiles, or others, with the rules of this database."""
    tables = definitions(conn)
    published = policy.published(conn) if wanted_policy is None else wanted_policy
    named = {name: table.definition for name, table in tables.items()}
    content = compiled_once(published, named)
    orders = _orders(content, tables, _facts(conn, tables, published.hierarchy))
    now = compiled_once(policy.effective(conn), named)
    active, superseded = _active(conn, tables, wanted=content, now=now)
    missing = {
        k: order
        for k, order in orders.items()
        if k not in active or not _can_be_edited(active[k], order)
    }
    kept = [
        Edit(rule=active[k], order=order)
        for k, order in orders.items()
        if k not in missing
    ]
    free = [rule for k, rule in active.items() if k not in orders]
    holders = _Holders(now, content)
    moved = _moved(missing.values(), free, holders)
    for edit in moved:
        del missing[edit.order.identity]
        free.remove(edit.rule)
    changed = [e for e in kept if e.changes_rows or e.rule.slots != e.order.slots]
    return Plan(
        compiled=content,
        tables=tables,
        missing=tuple(missing.values()),
        edits=(*changed, *moved),
        unwanted=tuple(free),
        superseded=tuple(superseded),
    )


def in_use(conn: psycopg.Connection) -> tuple[Rule, ...]:
    """The rules that users are served by."""
    tables = definitions(conn)
    named = {name: table.definition for name, table in tables.items()}
    now = compiled_once(policy.effective(conn), named)
    served = now.served_by_source(tables)
    return tuple(rules.in_use(rules.living(conn), served=served).values())


def _active(
    conn: psycopg.Connection,
    tables: Mapping[str, SourceTable],
    *,
    wanted: Compiled,
    now: Compiled,
) -> tuple[dict[Identity, Rule], list[Rule]]:
    """Active rules by identity as the wanted policy uses them, and those that neither
    it nor the one in effect does."""
    living = [rule for rule in rules.living(conn) if rule.state == "active"]
    active = rules.in_use(living, served=wanted.served_by_source(tables))
    serving = rules.in_use(living, served=now.served_by_source(tables))
    kept = {rule.id for rule in (*active.values(), *serving.values())}
    return active, [rule for rule in living if rule.id not in kept]


def _can_be_edited(rule: Rule, order: RuleOrder) -> bool:
    """Who reads at parent:child depth relies on a rule's ancestors from the moment that
    it opens them; all of them have to be there then. And what the organization filter
    forbids must not be handed out until the entries have followed an edit."""
    has_ancestors = "ancestors" in rule.spec.opens
    return rule.spec.served == order.spec.served and (
        has_ancestors or "ancestors" not in order.spec.opens
    )


@dataclass(frozen=True, slots=True)
class _Holders:
    """Who is served by rules now, and who will be.

    An edited rule hands out rows of its former content until its entries have
    followed. Only those who had them anyway may meet it meanwhile.
    """

    now: Compiled
    then: Compiled

    def had(self, rule: Rule, order: RuleOrder) -> bool:
        """Whoever is going to have the order's rows has the rule's, by the same keys."""
        table = order.source.definition.name
        for profile in self.then.alternatives:
            will_take = _takes(self.then, profile, table, order.spec.choice)
            takes = _takes(self.now, profile, table, rule.choice)
            if will_take and not (will_take <= takes and self._are_same(profile)):
                return False
        return True

    def _are_same(self, profile: str) -> bool:
        now, then = self.now.policy, self.then.policy
        one, other = _named(now, profile), _named(then, profile)
        if (one.assignments, one.is_default) != (other.assignments, other.is_default):
            return False
        # Default profiles are for those to whom nothing is assigned.
        return not one.is_default or _assigned(now) == _assigned(then)


def _takes(content: Compiled, profile: str, table: str, choice: Choice) -> set[Takes]:
    ways = content.alternatives.get(profile, {}).get(table, ())
    return {way.takes for way in ways if way.choice == choice}


def _named(policy: Policy, profile: str) -> ProfileDef:
    return next(p for p in policy.profiles if p.name == profile)


def _assigned(policy: Policy) -> set[Assignments]:
    return {p.assignments for p in policy.profiles}


def _moved(
    missing: Iterable[RuleOrder], free: Iterable[Rule], holders: _Holders
) -> list[Edit]:
    """Rules that nobody needs as they are, for the same profile items as missing ones:
    edited in place, only rows that enter or leave travel."""
    available = list(free)
    edits = []
    for order in missing:
        for rule in available:
            if _may_become(rule, order) and holders.had(rule, order):
                available.remove(rule)
                edits.append(Edit(rule=rule, order=order))
                break
    return edits


def _may_become(rule: Rule, order: RuleOrder) -> bool:
    return (
        rule.source_id == order.source.id
        and rule.shape == order.spec.shape
        and _can_be_edited(rule, order)
        and len(rule.choice.attributes) == len(order.spec.choice.attributes)
        and not set(rule.slots).isdisjoint(order.slots)
    )


def _orders(
    content: Compiled, tables: Mapping[str, SourceTable], facts: _Facts
) -> dict[Identity, RuleOrder]:
    orders = {}
    for name in sorted(content.tables):
        for order in _orders_of(name, content, tables, facts):
            orders[order.identity] = order
    return orders


def _orders_of(
    name: str, content: Compiled, tables: Mapping[str, SourceTable], facts: _Facts
) -> Iterable[RuleOrder]:
    source = tables[name]
    by_choice: dict[Choice, set[str]] = {}
    for way in content.of_table(name):
        if all(tables[t].is_complete for t in (name, *way.choice.tables)):
            by_choice.setdefault(way.choice, set()).add(way.slot)
    openings = facts.openings(source)
    served = content.served.get(name, "")
    for choice, slots in by_choice.items():
        for shape in (BASE, DEEP) if openings else (BASE,):
            yield RuleOrder(
                source=source,
                spec=RuleSpec(
                    shape=shape,
                    choice=choice,
                    opens=openings if shape == DEEP else (),
                    served=served,
                ),
                slots=tuple(sorted(slots)),
            )


def _facts(
    conn: psycopg.Connection,
    tables: Mapping[str, SourceTable],
    hierarchy: Hierarchy | None,
) -> _Facts:
    return _Facts(
        held_deep=_held_deep(conn, tables),
        shared=_shared(conn, tables),
        hierarchy=hierarchy,
    )


def _held_deep(
    conn: psycopg.Connection, replicated: Mapping[str, SourceTable]
) -> frozenset[str]:
    """Read privileges, in lower case, that some role holds at parent:child depth."""
    if not {"roleprivileges", "privilege"} <= replicated.keys():
        return frozenset()
    rows = conn.execute(
        "SELECT DISTINCT lower(p.name) FROM data.roleprivileges rp"
        " JOIN data.privilege p ON p.privilegeid = rp.privilegeid"
        " WHERE rp.privilegedepthmask & 4 <> 0"
    )
    return frozenset(name for (name,) in rows)


def _shared(
    conn: psycopg.Connection, replicated: Mapping[str, SourceTable]
) -> frozenset[str]:
    """Tables of which some row is, or was, shared with somebody."""
    shares = replicated.get(wanted.SHARES)
    if shares is None or not shares.is_complete:
        return frozenset()
    rows = conn.execute(
        "SELECT DISTINCT objecttypecode FROM data.principalobjectaccess"
        " WHERE objecttypecode IS NOT NULL"
    )
    return frozenset(name for (name,) in rows)
