"""Profiles are compiled once for all who are served by them."""

from __future__ import annotations

from dataclasses import replace

from replication.domain.profiles import Policy, ProfileItem
from replication.domain.tables import TableDef
from replication.visibility.compiled import compiled, compiled_once
from tests.fake_dataverse import plain, table_def
from tests.replication.related import filtered, profile_of

ACCOUNT = table_def("account", plain("name"), plain("city"))
TABLES = {"account": ACCOUNT}


def of_city(name: str) -> Policy:
    return Policy(profiles=(profile_of(filtered("account", f"city eq '{name}'")),))


def test_the_same_profiles_over_the_same_tables_are_compiled_once() -> None:
    first = compiled_once(of_city("Lima"), TABLES)

    assert compiled_once(of_city("Lima"), dict(TABLES)) is first
    assert first == compiled(of_city("Lima"), TABLES)


def test_other_profiles_are_compiled_by_themselves() -> None:
    compiled_once(of_city("Lima"), TABLES)

    found = compiled_once(of_city("Quito"), TABLES)

    assert found == compiled(of_city("Quito"), TABLES)


def test_a_changed_definition_is_noticed() -> None:
    compiled_once(of_city("Lima"), TABLES)
    others = tuple(c for c in ACCOUNT.columns if c.name != "city")
    without_city = replace(ACCOUNT, columns=others)

    found = compiled_once(of_city("Lima"), {"account": without_city})

    assert [problem.code for problem in found.problems] == ["unusable_filter"]


def test_a_further_table_is_noticed() -> None:
    published = Policy(profiles=(profile_of(ProfileItem(table="contact")),))
    compiled_once(published, TABLES)
    more: dict[str, TableDef] = {**TABLES, "contact": table_def("contact")}

    found = compiled_once(published, more)

    assert found.problems == ()
