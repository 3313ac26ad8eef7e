"""What the section says of people, profiles and tables."""

from __future__ import annotations

from replication.domain.profiles import (
    Assignments,
    FilterText,
    ProfileDef,
    ProfileItem,
)
from replication.take_along import markdown
from tests.replication.take_along.factories import found, person, taken
from tests.staged import guid


def section(*people, **more):
    return markdown.section(found(*people, **more), picture="picture.svg")


def row(text, name):
    """The last line of a table that begins with the person's name."""
    return [line for line in text.splitlines() if line.startswith(f"| **{name}**")][-1]


def test_columns_that_are_kept_from_a_person_are_named():
    masked = {"account": taken("account", 12, masked=("creditlimit", "revenue"))}

    text = section(person("Ada", tables=masked))

    assert row(text, "Ada") == (
        "| **Ada** | 12 rows, 7 columns, without `creditlimit`, `revenue` |"
    )


def test_a_table_outside_of_a_persons_model_is_a_dash():
    assert row(section(person("Ada", tables={})), "Ada") == (
        "| **Ada** | \N{EN DASH} |"
    )


def test_people_who_may_not_go_offline_stand_below_with_the_reason():
    text = section(person("Ada"), person("Niels", refused="The user holds no role."))

    assert text.endswith("- **Niels**: The user holds no role.\n")


def test_people_beyond_the_most_are_counted():
    assert section(person("Ada"), more_people=1_300).endswith(
        "\nAnd 1,300 more people.\n"
    )


def test_a_name_cannot_break_out_of_its_cell():
    assert r"| **A\|B C** |" in section(person("A|B\nC"))


def test_a_profile_says_whom_it_is_for_and_what_it_takes():
    items = (
        ProfileItem(
            table="account",
            records="custom",
            filter=FilterText(language="odata", text="statecode eq 0"),
            can_be_followed=True,
            writable=True,
        ),
        ProfileItem(table="task", records="filtered", owned_by_my_team=True),
    )
    whose = Assignments(roles=(guid("Sales"),), users=(guid("gone"),))
    profile = ProfileDef(name="Field", items=items, assignments=whose, is_default=True)

    text = section(profiles=(profile,), names={guid("Sales"): "Sales"})

    assert (
        f"**Field**, for the role Sales, {guid('gone')}, whoever has no other:\n"
        "\n"
        "- `account`: rows that the filter accepts; rows that they follow;"
        " may be edited\n"
        "\n"
        "  ```text\n"
        "  statecode eq 0\n"
        "  ```\n"
        "- `task`: their teams'\n"
    ) in text
