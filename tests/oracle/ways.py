"""Policies that change while rows do: what meets while the rules are being built."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from replication.domain.profiles import (
    Assignments,
    Association,
    ProfileDef,
    ProfileItem,
)
from tests.oracle import changes, filter_texts, openings, policies
from tests.oracle.changes import Change
from tests.oracle.policies import Edit

# An edit of the profiles, and changes of one table that happen at the same time.
Drawn = tuple[Edit, list[Change]]


def _only(*items: ProfileItem) -> Edit:
    """Everybody takes these along and nothing else; rights stay as they are."""
    profile = ProfileDef(
        name="Profile 0", items=items, assignments=Assignments(everyone=True)
    )
    return lambda policy: replace(policy, profiles=(profile,))


def _related(table: str, *, can_be_followed: bool = False) -> ProfileItem:
    return ProfileItem(
        table=table, records="related_only", can_be_followed=can_be_followed
    )


def _chosen(table: str) -> st.SearchStrategy[ProfileItem]:
    """Some rows of the table, and all associations that lead from it."""
    associations = _leading(table)
    return st.one_of(
        st.just(ProfileItem(table=table, associations=associations)),
        st.builds(
            ProfileItem,
            table=st.just(table),
            records=st.just("filtered"),
            owned_by_me=st.just(True),
            owned_by_my_business_unit=st.booleans(),
            associations=st.just(associations),
        ),
        filter_texts.texts(table).map(
            lambda text: ProfileItem(
                table=table, records="custom", filter=text, associations=associations
            )
        ),
    )


def _leading(table: str) -> tuple[Association, ...]:
    return tuple(
        one
        for one in policies.ASSOCIATIONS[table]
        if one.table != "price" and one.intersect is None
    )


def _some(drawn: st.SearchStrategy[Change]) -> st.SearchStrategy[list[Change]]:
    return st.lists(drawn, min_size=1, max_size=3)


_followed: st.SearchStrategy[Drawn] = st.sampled_from(
    ("account", "account", "contact", "task")
).flatmap(
    lambda table: st.tuples(
        st.just(_only(_related(table, can_be_followed=True))),
        _some(openings.follows_of(table)),
    )
)
_named_by_tasks: st.SearchStrategy[Drawn] = st.tuples(
    _chosen("task").map(
        lambda task: _only(task, _related("account"), _related("contact"))
    ),
    _some(openings.regards | changes.task_changes),
)
_of_accounts: st.SearchStrategy[Drawn] = st.tuples(
    _chosen("account").map(
        lambda account: _only(account, _related("contact"), _related("task"))
    ),
    _some(changes.account_changes),
)
_shared: st.SearchStrategy[Drawn] = st.tuples(
    filter_texts.texts("account").map(
        lambda text: _only(ProfileItem(table="account", records="custom", filter=text))
    ),
    _some(openings.shares_of_accounts),
)
_any: st.SearchStrategy[Drawn] = st.tuples(
    policies.edits, st.lists(openings.tracked_changes, min_size=1, max_size=1)
)
# The edit asks for rules that come to their rows through those that change.
ways: st.SearchStrategy[Drawn] = st.one_of(
    *(_followed, _followed, _named_by_tasks, _named_by_tasks, _of_accounts, _shared)
)
drawn: st.SearchStrategy[Drawn] = st.one_of(_any, _any, _any, _any, ways)
