"""What is wrong with a profile, or worth knowing before it is published. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from replication.domain import filters
from replication.domain.filter_operators import Operator
from replication.domain.filters import Expr, Or
from replication.domain.profiles import (
    LONGEST_INTERVAL_MINUTES,
    SHORTEST_INTERVAL_MINUTES,
    CommonSettings,
    People,
    ProfileDef,
    ProfileItem,
)
from replication.domain.token_users import LONGEST_VALUE

# What Microsoft recommends for one device (SOURCE §5.4).
RECOMMENDED_ROWS = 200_000
SUPPORTED_ROWS = 3_000_000
MOST_TABLES = 100
MOST_RELATIONSHIPS = 10
# Beyond this, a filter is rather a list of rows than a rule.
MANY_ALTERNATIVES = 10

CIRCULAR = "0x80071141"
NO_RELATIONSHIP = "0x80071140"
NO_CHOICE = "0x80071138"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A member of a document that cannot stay as it is."""

    member: str
    message: str
    # Where in a filter's text, if it is about one.
    place: str = ""
    dynamics_code: str | None = None

    @property
    def document(self) -> dict[str, str]:
        told = {"member": self.member, "message": self.message}
        if self.place:
            told["place"] = self.place
        if self.dynamics_code:
            told["dynamics_code"] = self.dynamics_code
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something that may be published, but should be meant."""

    message: str
    profile: str = ""
    table: str = ""


def faults_of_members(profile: ProfileDef) -> Iterator[Fault]:
    """What can be told without knowing the organization's tables."""
    items = Counter(item.table for item in profile.items)
    for number, item in enumerate(profile.items):
        place = f"items[{number}]"
        if items[item.table] > 1:
            message = "The table stands in two items."
            yield Fault(member=f"{place}.table", message=message)
        if not _is_valid_interval(item):
            message = (
                f"Choose {SHORTEST_INTERVAL_MINUTES} to"
                f" {LONGEST_INTERVAL_MINUTES} minutes."
            )
            yield Fault(member=f"{place}.sync_interval_minutes", message=message)
        if (item.records == "custom") is not (item.filter is not None):
            message = 'A filter belongs to records "custom", and only to them.'
            yield Fault(member=f"{place}.filter", message=message)


def faults_of_people(profile: ProfileDef, people: People) -> Iterator[Fault]:
    """What asks for owners, teams and roles where the source has none, or for claims of
    tokens where users are rows of the source."""
    assigned = profile.assignments
    of_source = {"teams": assigned.teams, "roles": assigned.roles}
    of_tokens = {
        "token_roles": assigned.token_roles,
        "token_groups": assigned.token_groups,
    }
    for name, values in (of_tokens if people == "source" else of_source).items():
        if values:
            yield Fault(member=f"assignments.{name}", message=_NO_SUCH[people])
    for name, texts in of_tokens.items():
        if any(not 1 <= len(text) <= LONGEST_VALUE for text in texts):
            message = f"A value of a claim has 1 to {LONGEST_VALUE} characters."
            yield Fault(member=f"assignments.{name}", message=message)
    if people == "tokens":
        for number, item in enumerate(profile.items):
            yield from _faults_of_owned(f"items[{number}]", item)


def _faults_of_owned(place: str, item: ProfileItem) -> Iterator[Fault]:
    if item.records == "filtered":
        message = (
            "Rows of this source belong to no user, team or business unit: choose all,"
            " related rows, or a filter with @user.claim."
        )
        yield Fault(member=f"{place}.records", message=message)
    for name in ("owned_by_me", "owned_by_my_team", "owned_by_my_business_unit"):
        if getattr(item, name):
            message = "Rows of this source belong to nobody."
            yield Fault(member=f"{place}.{name}", message=message)
    if item.can_be_followed:
        message = "Nobody follows rows of this source."
        yield Fault(member=f"{place}.can_be_followed", message=message)


def faults_of_common(settings: CommonSettings, people: People) -> Iterator[Fault]:
    """What of the settings needs tables that only Dataverse has."""
    if people == "source":
        return
    if settings.origin == "source":
        message = "This source has no profiles of its own."
        yield Fault(member="origin", message=message)
    if settings.hierarchy is not None:
        message = "This source has no users, hence no superiors."
        yield Fault(member="hierarchy", message=message)


_NO_SUCH: Mapping[People, str] = {
    "source": (
        "Users of this organization are rows of its source: name roles and teams of it,"
        " not claims of tokens."
    ),
    "tokens": (
        "This source has no roles and teams: name values of the claims roles and"
        " groups, in token_roles and token_groups."
    ),
}


def cautions_of(profile: ProfileDef, parsed: Mapping[str, Expr]) -> tuple[Caution, ...]:
    """`parsed`: the items' filters by table, as they were written."""
    found = []
    if len(profile.items) > MOST_TABLES:
        message = f"More than {MOST_TABLES} tables make every sync slow."
        found.append(Caution(profile=profile.name, message=message))
    for item in profile.items:
        texts = [*_of_item(item)]
        if item.table in parsed:
            texts += _of_filter(parsed[item.table])
        found += [
            Caution(profile=profile.name, table=item.table, message=text)
            for text in texts
        ]
    return tuple(found)


def cautions_of_size(profile: str, rows: int) -> tuple[Caution, ...]:
    """`rows` of one user, as estimated."""
    if rows > SUPPORTED_ROWS:
        text = f"A user would take {rows:,} rows; above {SUPPORTED_ROWS:,} syncs fail."
    elif rows > RECOMMENDED_ROWS:
        text = (
            f"A user would take {rows:,} rows; at most {RECOMMENDED_ROWS:,}"
            " are recommended."
        )
    else:
        return ()
    return (Caution(profile=profile, message=text),)


def _of_item(item: ProfileItem) -> Iterator[str]:
    if len(item.associations) > MOST_RELATIONSHIPS:
        yield f"It has more than {MOST_RELATIONSHIPS} relationships."
    owned = (
        item.owned_by_me,
        item.owned_by_my_team,
        item.owned_by_my_business_unit,
    )
    if item.records == "filtered" and not any(owned):
        yield f"It is filtered, but no choice is made: it takes no rows ({NO_CHOICE})."


def _of_filter(expression: Expr) -> Iterator[str]:
    if _widest_or(expression) > MANY_ALTERNATIVES:
        yield f"Its filter has an “or” of more than {MANY_ALTERNATIVES} alternatives."
    if any(_begins_openly(condition) for condition in filters.conditions(expression)):
        yield "Its filter has a pattern that begins with a wildcard."


def _begins_openly(condition: filters.Condition) -> bool:
    if condition.operator in {Operator.ENDS_WITH, Operator.NOT_END_WITH}:
        return True
    if condition.operator not in {
        Operator.LIKE,
        Operator.NOT_LIKE,
        Operator.BEGINS_WITH,
        Operator.NOT_BEGIN_WITH,
    }:
        return False
    return re.match(r"[%_]", str(condition.values[0])) is not None


def _widest_or(expression: Expr) -> int:
    match expression:
        case filters.Condition():
            return 0
        case filters.Not():
            return _widest_or(expression.child)
        case _:
            own = len(expression.children) if isinstance(expression, Or) else 0
            return max([own, *map(_widest_or, expression.children)])


def _is_valid_interval(item: ProfileItem) -> bool:
    return (
        SHORTEST_INTERVAL_MINUTES
        <= item.sync_interval_minutes
        <= LONGEST_INTERVAL_MINUTES
    )


def documents(faults: Sequence[Fault]) -> list[dict[str, str]]:
    return [fault.document for fault in faults]
