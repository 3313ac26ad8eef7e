"""Forms that the account table takes, and what devices hold of them."""

from __future__ import annotations

from dataclasses import replace

from replication.domain.profiles import FilterText, ProfileItem
from tests.fake_dataverse import ACCOUNT, plain
from tests.replication.worlds import profile

PHONE = plain("phone")
WITH_PHONE = replace(ACCOUNT, columns=(*ACCOUNT.columns, PHONE))
REVENUE = "revenue"


def with_column(changed, table=ACCOUNT):
    return replace(
        table,
        columns=tuple(changed if c.name == changed.name else c for c in table.columns),
    )


def without_column(name, table=ACCOUNT):
    return replace(table, columns=tuple(c for c in table.columns if c.name != name))


def held(device, column):
    """Values of a column on the device, by the row's name."""
    return {r["name"]: r.get(column) for r in device.store.rows("account").values()}


def columns_of(world, user="Ada"):
    (table,) = (t for t in world.model(user) if t["name"] == "account")
    return [column["name"] for column in table["columns"]]


def fill_in(world, **values):
    """Give rows values without a new version, as a default of a new column does."""
    for row in world.source.rows("account").values():
        row.update(values)


def is_consistent(world, device):
    """The device holds what a new one of the same user gets."""
    fresh = world.device("Ada")
    return device.store.rows("account") == fresh.store.rows("account")


def rich(name="revenue"):
    return profile(
        ProfileItem(
            table="account",
            records="custom",
            filter=FilterText(language="odata", text=f"{name} gt 1"),
        )
    )


def physical(world, relation="account"):
    return world.values(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'data' AND table_name = %s",
        relation,
    )
