"""Shops of a source that has no users: whoever comes is known by a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from replication.domain.profiles import (
    Assignments,
    Association,
    FilterText,
    ProfileDef,
    ProfileItem,
    ServedRows,
)
from replication.domain.tables import ColumnType, TableDef
from replication.domain.token_users import SignIn, claims_of, elsewhere_of, user_id
from replication.visibility import token_users
from tests.fake_dataverse import lookup, plain, table_def
from tests.replication.worlds import EVERYONE, World
from tests.staged import TestDevice, guid

ISSUER = "https://login.example/tenant/v2.0"
A_DAY = date(2026, 11, 22)


def _unowned(name: str, *columns: Any) -> TableDef:
    made = table_def(name, *columns, ownership="none")
    return replace(made, read_privilege=None)


TABLES = (
    _unowned(
        "shop",
        plain("name"),
        plain("region"),
        plain("number", ColumnType.INT),
        plain("code", ColumnType.GUID),
        plain("open", ColumnType.BOOL),
        plain("price", ColumnType.DECIMAL),
    ),
    _unowned("visit", plain("name"), lookup("shop")),
)


class Shops(World):
    """People sign in, and publish as the service does for such an organization."""

    def publish(self, *profiles: ProfileDef, **changes: Any) -> None:
        super().publish(*profiles, people="tokens", **changes)

    def sign_in(
        self, name: str, *, issued_at: int = 1_000, today: date = A_DAY, **claims: Any
    ) -> UUID:
        """What the service does with a person's token."""
        conn = self.database.kept("test")
        told = told_by(name, issued_at=issued_at, **claims)
        return token_users.sign_in(conn, told, today=today)[0].id

    def known(self, name: str) -> token_users.TokenUser:
        found = token_users.find(self.database.kept("test"), person(name))
        assert found is not None
        return found

    def set_blocked(self, name: str, *, is_blocked: bool) -> None:
        conn = self.database.kept("test")
        assert token_users.set_blocked(conn, person(name), is_blocked=is_blocked)

    def device_of(self, name: str) -> TestDevice:
        """A device of somebody who has signed in, which has synced once."""
        device = TestDevice(self, person(name))
        device.sync()
        return device

    def add_shop(self, name: str, **columns: Any) -> None:
        self.source.put("shop", guid(name), name=name, **columns)

    @property
    def access_rev(self) -> int:
        rev: int = self.values("SELECT access_rev FROM sync.clock")[0]
        return rev


def person(name: str) -> UUID:
    return user_id(ISSUER, name.lower())


def told_by(name: str, *, issued_at: int = 1_000, **claims: Any) -> SignIn:
    return SignIn(
        issuer=ISSUER,
        subject=name.lower(),
        name=name,
        issued_at=issued_at,
        claims=claims_of(claims),
        elsewhere=elsewhere_of(claims),
    )


def shops_world(new_world: Callable[..., World]) -> Shops:
    """Three shops in two regions, a visit in each, nothing published yet."""
    world = new_world(*TABLES, kind=Shops)
    assert isinstance(world, Shops)
    world.add_shop("Lima 1", region="Lima", number=7)
    world.add_shop("Lima 2", region="lima", number=8)
    world.add_shop("Quito", region="Quito", number=9)
    world.add_shop("Nowhere")
    for shop in ("Lima 1", "Quito"):
        key = guid(f"visit {shop}")
        world.source.put("visit", key, name=f"At {shop}", shop=str(guid(shop)))
    world.pull_these("shop", "visit")
    return world


def by_filter(
    text: str, *, assignments: Assignments = EVERYONE, name: str = "Field"
) -> ProfileDef:
    """A profile that takes the shops that an OData filter accepts."""
    item = ProfileItem(
        table="shop",
        records="custom",
        filter=FilterText(language="odata", text=text),
        associations=(Association(table="visit", kind="one_to_many", column="shop"),),
    )
    visits = ProfileItem(table="visit", records="related_only")
    return ProfileDef(name=name, items=(item, visits), assignments=assignments)


def all_shops(**assignments: Any) -> ProfileDef:
    return ProfileDef(
        name="All",
        items=(ProfileItem(table="shop"),),
        assignments=Assignments(**assignments),
    )


def only_served(text: str) -> ServedRows:
    return ServedRows(table="shop", filter=FilterText(language="odata", text=text))
