"""Who may see what at the source, computed the naive way: row by row.

It shares nothing with the engine, so that the closing table compares two answers.
It knows the rule that applies to the person of the demo and no other: a role that
lets read one's own rows, which includes those of one's teams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from project.demo.source import Contoso

# Table, its entity set and its key.
TABLES: Mapping[str, tuple[str, str]] = {
    "account": ("accounts", "accountid"),
    "contact": ("contacts", "contactid"),
    "task": ("tasks", "activityid"),
}


@dataclass(frozen=True, slots=True)
class Person:
    user_id: str
    name: str


def person(contoso: Contoso, *, domain_name: str) -> Person:
    for row in contoso.rows("systemusers", select="systemuserid,fullname,domainname"):
        if row["domainname"] == domain_name:
            return Person(user_id=str(row["systemuserid"]), name=str(row["fullname"]))
    raise LookupError(f"Nobody at the source is called {domain_name}.")


def keys_by_table(contoso: Contoso, *, owner: Person) -> dict[str, set[str]]:
    """Return the keys of all rows that this person owns, alone or with a team."""
    owners = {owner.user_id, *_teams_of(contoso, owner)}
    return {
        table: {
            str(row[key])
            for row in contoso.rows(entity_set, select=f"{key},_ownerid_value")
            if row["_ownerid_value"] in owners
        }
        for table, (entity_set, key) in TABLES.items()
    }


def _teams_of(contoso: Contoso, owner: Person) -> set[str]:
    rows = contoso.rows("teammemberships", select="systemuserid,teamid")
    return {str(row["teamid"]) for row in rows if row["systemuserid"] == owner.user_id}
