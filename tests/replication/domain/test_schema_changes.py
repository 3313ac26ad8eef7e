"""Which steps bring a stored definition to the one that the source has now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replication.domain.schema_changes import (
    AddColumn,
    ChangeType,
    Describe,
    RefillColumn,
    Reload,
    RenameColumn,
    Repull,
    RetireColumn,
    Widen,
    plan,
)
from replication.domain.tables import ColumnDef, ColumnType
from tests.fake_dataverse import plain, table_def

PHONE = replace(plain("phone"), source_id="1")
REVENUE = replace(plain("revenue", ColumnType.DECIMAL), scale=2)
STORED = table_def("account", plain("name"), PHONE, REVENUE)


def with_columns(*columns: ColumnDef, table=STORED):
    """The table with these columns changed or added."""
    after = {c.name: c for c in table.columns} | {c.name: c for c in columns}
    return replace(table, columns=tuple(after.values()))


def without(*names: str, table=STORED):
    return replace(
        table, columns=tuple(c for c in table.columns if c.name not in names)
    )


CASES = {
    "nothing": (STORED, (), "none"),
    "a column is added": (with_columns(plain("fax")), (AddColumn("fax"),), "fill"),
    "a column is gone": (without("phone"), (RetireColumn("phone"),), "none"),
    "a label": (replace(STORED, label="Firm"), (Describe(("label",)),), "none"),
    "a length": (
        with_columns(replace(PHONE, max_length=400)),
        (Describe(("phone.max_length",)),),
        "none",
    ),
    "a column is secured": (
        with_columns(replace(PHONE, secured=True)),
        (Describe(("phone.secured",)),),
        "none",
    ),
    "a column is closed": (
        with_columns(replace(PHONE, creatable=False, updatable=False)),
        (Describe(("phone.creatable", "phone.updatable")),),
        "none",
    ),
    "another privilege": (
        replace(STORED, read_privilege="prvReadActivity"),
        (Describe(("read_privilege",)),),
        "none",
    ),
    "more digits": (
        with_columns(replace(REVENUE, scale=4)),
        (Widen("revenue"), Describe(("revenue.scale",))),
        "none",
    ),
    "another type": (
        with_columns(replace(PHONE, type=ColumnType.BIGINT)),
        (ChangeType("phone", ColumnType.STRING, ColumnType.BIGINT),),
        "replace",
    ),
    "a name that the source's id tells": (
        with_columns(
            replace(PHONE, name="tel", source_name="tel"), table=without("phone")
        ),
        (RenameColumn("phone", "tel"),),
        "replace",
    ),
    "a name without an id": (
        with_columns(plain("tel"), table=without("phone")),
        (RetireColumn("phone"), AddColumn("tel")),
        "fill",
    ),
    "a column made again": (
        with_columns(replace(PHONE, source_id="2")),
        (RefillColumn("phone"), Describe(("phone.source_id",))),
        "fill",
    ),
    "an id that was not known": (
        with_columns(replace(plain("name"), source_id="3")),
        (Describe(("name.source_id",)),),
        "none",
    ),
    "another key": (replace(STORED, key=("phone",)), (Reload(("key",)),), "replace"),
    "another owner": (
        replace(STORED, ownership="organization"),
        (Reload(("ownership",)),),
        "replace",
    ),
    "another address": (
        replace(STORED, entity_set="firms"),
        (Repull(("entity_set",)),),
        "none",
    ),
    "tracking was switched off": (
        replace(STORED, tracked=False),
        (Repull(("tracked",)),),
        "none",
    ),
}


@pytest.mark.parametrize(("wanted", "steps", "way"), CASES.values(), ids=CASES)
def test_a_change_at_the_source_becomes_steps_and_a_way_to_load_them(
    wanted, steps, way
):
    planned = plan(STORED, wanted)

    assert (planned.steps, planned.way) == (steps, way)


@pytest.mark.parametrize("wanted", [case[0] for case in CASES.values()], ids=CASES)
def test_a_plan_that_is_loaded_leaves_nothing_to_do(wanted):
    planned = plan(STORED, wanted)

    assert plan(planned.coming or planned.served, wanted).is_empty


@pytest.mark.parametrize("wanted", [case[0] for case in CASES.values()], ids=CASES)
def test_a_plan_under_way_is_made_again_as_it_was(wanted):
    first = plan(STORED, wanted)

    again = plan(first.served, wanted)

    assert (again.served, again.coming) == (first.served, first.coming)


def test_devices_keep_the_former_columns_until_the_new_ones_are_loaded():
    planned = plan(STORED, with_columns(plain("fax"), table=without("phone")))

    served = [column.name for column in planned.served.columns]
    assert "fax" not in served
    assert "phone" not in served
    assert planned.served.column("phone") == PHONE


def test_a_column_is_secured_at_once_whatever_else_is_loaded():
    wanted = with_columns(replace(PHONE, secured=True), plain("fax"))

    assert plan(STORED, wanted).served.column("phone").secured


def test_rows_of_another_form_are_handed_out_again():
    wanted = [with_columns(replace(REVENUE, scale=4)), with_columns(plain("fax"))]

    forms = [(p.coming or p.served).form for p in (plan(STORED, w) for w in wanted)]

    assert forms == [2, 1]


def test_a_name_whose_old_column_has_another_type_takes_a_new_relation():
    wanted = with_columns(plain("fax"))

    planned = plan(STORED, wanted, left_over={"fax": ColumnType.INT})

    assert planned.way == "replace"


SECURITY = table_def("team", plain("name"), plain("size"), ownership="business")


def test_a_security_table_loses_a_column_whose_type_changes_and_gets_it_later():
    wanted = with_columns(plain("size", ColumnType.INT), table=SECURITY)

    planned = plan(SECURITY, wanted)
    waiting = plan(planned.served, wanted, left_over={"size": ColumnType.STRING})
    later = plan(planned.served, wanted)

    assert planned.steps == (RetireColumn("size"),)
    assert waiting.is_empty
    assert later.steps == (AddColumn("size"),)


def test_a_security_table_with_another_key_is_refused():
    planned = plan(SECURITY, replace(SECURITY, key=("name",)))

    assert planned.is_refused == ("key",)
    assert planned.is_empty
