"""Which claims of tokens published profiles name; no others are kept of anybody. Pure."""

from __future__ import annotations

from functools import lru_cache

from replication.domain import filters
from replication.domain.filter_operators import CLAIMS
from replication.domain.filters import FilterError
from replication.domain.profiles import FilterText, Policy
from replication.domain.token_users import GROUPS, ROLES
from replication.visibility import fetchxml, odata_filter


# The policy in effect and the published one, of the organizations that are busy.
@lru_cache(maxsize=64)
def claims_named(policy: Policy) -> frozenset[str]:
    """By assignments and by filters, whether or not the tables are known."""
    if policy.people != "tokens":
        return frozenset()
    found: set[str] = set()
    for profile in policy.profiles:
        if profile.assignments.token_roles:
            found.add(ROLES)
        if profile.assignments.token_groups:
            found.add(GROUPS)
        for item in profile.items:
            if item.filter is not None:
                found |= _of_filter(item.filter)
    return frozenset(found)


def _of_filter(text: FilterText) -> set[str]:
    parse = fetchxml.parse if text.language == "fetchxml" else odata_filter.parse
    try:
        expression = parse(text.text)
    except FilterError:
        # Its item is suspended, with the reason.
        return set()
    return {
        str(one.values[0])
        for one in filters.conditions(expression)
        if one.operator in CLAIMS and one.values
    }
