"""One device's odd edits are its own: they get outcomes, and others' edits go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.domain.upload_order import HOPELESS_AFTER
from replication.odata.writing import EditFailedError, WriteRefusedError
from replication.services import upload_oversight, upload_verbs
from replication.services.upload_oversight import Filter
from replication.services.upload_verbs import MutationStateError
from replication.services.write_back_plan import is_key_of
from tests.replication.write_back.played import Uploading
from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)

ROW = str(guid("Airport"))


@pytest.mark.parametrize(
    "values",
    [
        {"x\0y": 1},
        {"ownerid": "\0"},
        {"name": "a\0b"},
        {"name": ["\\\0"]},
        {"y" * 100_000: 1},
    ],
)
def test_what_staging_cannot_hold_is_refused_and_others_go_on(
    world: Uploading, device: UUID, values: dict[str, Any]
) -> None:
    other = uuid4()
    world.edit("Airport", device=device, **values)
    world.edit("Depot", device=other, name="Yard")

    world.carry()

    ((status, outcome),) = world.outcomes(device)
    assert status == "rejected"
    assert outcome["reason"] in ("not_writable", "invalid")
    assert len(outcome["message"]) < 200
    assert world.statuses(other) == ["applied"]


def test_a_backslash_before_digits_is_no_nul(world: Uploading, device: UUID) -> None:
    world.edit("Airport", device=device, name="\\u0000")

    world.carry()

    assert world.statuses(device) == ["applied"]


def test_a_merge_of_what_staging_cannot_hold_is_refused(
    uploading: Callable[..., Uploading], device: UUID
) -> None:
    world = uploading(conflicts="merge")
    before = world.version("Airport")
    world.source.put("account", ROW, revenue=7)
    world.accept(
        "update",
        ROW,
        device=device,
        base_version=before,
        values={"name": "a\0b"},
        base_values={"name": "Airport"},
    )

    world.carry()

    assert world.statuses(device) == ["rejected"]


def test_operators_see_edits_that_postgresql_cannot_read(
    world: Uploading, device: UUID
) -> None:
    world.edit("Airport", device=device, **{"name": "a\0b", "x\0y": 1})
    mutation = world.edit("Depot", device=device)
    body = b'{"op":"update","values":{"revenue":1E+400000,"credit":1.5}}'
    world.execute("UPDATE sync.mutation SET body = %s WHERE id = %s", body, mutation)
    olga = User.objects.create(username="olga", is_staff=True)
    olga.user_permissions.set(
        Permission.objects.filter(
            codename__in=["view_organization", "view_uploaded_values"]
        )
    )
    client = Client()
    client.force_login(olga)

    page = client.get(
        reverse("admin:provisioning_organization_mutations", args=[world.id])
    )
    listed = client.get("/admin-api/v1/organizations/contoso/mutations?values=true")

    assert page.status_code == 200
    first, second = listed.json()["items"]
    assert first["columns"] == ["name", "x\0y"]
    assert second["values"] == {"credit": 1.5, "revenue": "1E+400000"}


def test_corrected_values_leave_the_others_as_they_were(
    world: Uploading, device: UUID
) -> None:
    mutation = world.edit("Airport", device=device, revenue=2)
    body = b'{"base_values":{"revenue":1.234567890123456789,"x":1E+400},"values":{}}'
    world.execute(
        "UPDATE sync.mutation SET body = %s, op = 'update' WHERE id = %s",
        body,
        mutation,
    )

    upload_verbs.retry(world.id, mutation, operator="olga", values={"revenue": 3})

    (kept,) = world.values("SELECT body FROM sync.mutation WHERE id = %s", mutation)
    raw = msgspec.json.decode(bytes(kept), type=dict[str, msgspec.Raw])
    assert bytes(raw["base_values"]) == b'{"revenue":1.234567890123456789,"x":1E+400}'


def test_what_an_operator_does_to_one_devices_edit_leaves_anothers_with_that_id_alone(
    world: Uploading, device: UUID
) -> None:
    other, shared = uuid4(), uuid4()
    world.edit("Depot", device=other, name="Yard")
    for of in (device, other):
        world.accept(
            "update", ROW, device=of, id_=shared, base_version="1", values={"name": "A"}
        )

    with pytest.raises(MutationStateError):
        upload_verbs.discard(world.id, shared, operator="olga")
    upload_verbs.discard(world.id, shared, operator="olga", device_id=device)

    assert world.statuses(device) == ["rejected"]
    assert world.statuses(other) == ["accepted", "accepted"]


def test_an_edit_of_nobody_is_not_made_with_the_services_own_rights(
    world: Uploading, device: UUID
) -> None:
    world.edit("Airport", device=device, name="Mine")
    world.execute("UPDATE sync.mutation SET object_id = NULL")

    world.carry()

    ((status, outcome),) = world.outcomes(device)
    assert (status, outcome["reason"]) == ("rejected", "not_permitted")
    assert world.written == []


def test_an_edit_that_always_breaks_a_change_set_holds_its_device_up_for_a_while_only(
    world: Uploading, device: UUID
) -> None:
    world.edit("Airport", device=device, revenue=-1)
    world.edit("Depot", device=device, revenue=2)

    def break_down(writes: list[Any]) -> None:
        if writes[0].values.get("revenue") == -1:
            raise EditFailedError("A plug-in broke down.")

    world.sink.before = break_down
    for _ in range(HOPELESS_AFTER):
        assert world.statuses(device) == ["accepted", "accepted"]
        world.carry()
        world.try_again_now()

    world.carry()

    assert world.statuses(device) == ["rejected", "applied"]


def test_what_is_tried_again_is_no_answer_to_what_the_device_did_since(
    world: Uploading, device: UUID
) -> None:
    def plug_in(writes: list[Any]) -> None:
        if writes[0].values.get("revenue") == 1:
            raise WriteRefusedError("Too little.", reason="invalid")

    world.sink.before = plug_in
    refused = world.edit("Airport", device=device, revenue=1)
    world.carry()
    world.execute("UPDATE sync.mutation SET delivered_at = now() - interval '1 minute'")
    world.edit("Airport", device=device, revenue=2)
    world.carry()
    world.sink.before = lambda _writes: None

    upload_verbs.retry(world.id, refused, operator="olga")
    world.carry()

    assert world.statuses(device) == ["conflict", "applied"]
    assert world.source.rows("account")[ROW]["revenue"] == 2


def test_a_void_of_a_group_leaves_the_others_to_be_done(
    world: Uploading, device: UUID
) -> None:
    group = uuid4()
    world.accept(
        "update",
        ROW,
        device=device,
        group=group,
        base_version=world.version("Airport"),
        values={"revenue": 2},
    )
    world.accept("void", device=device, group=group)

    world.carry()

    assert world.statuses(device) == ["applied", "applied"]


def test_lists_of_edits_page_as_before(world: Uploading, device: UUID) -> None:
    world.edit("Airport", device=device, revenue=2)

    (line,) = upload_oversight.mutations(world.id, Filter())

    assert (line.columns, line.values, line.may_discard) == (["revenue"], None, True)


@pytest.mark.parametrize(
    ("kind", "key", "is_one"),
    [
        ("int", 7, True),
        ("int", "1 or 1 eq 1", False),
        ("int", "abc", False),
        ("bigint", "7", True),
        ("bigint", "7 or true", False),
        ("string", "1' or 1 eq 1", True),
        ("string", 7, False),
        ("guid", ROW, True),
        ("guid", ROW + " or true", False),
        ("guid", None, False),
        ("datetime", "2026-11-22T00:00:00Z or true", False),
    ],
)
def test_only_values_of_its_columns_are_a_key(
    kind: str, key: object, is_one: bool
) -> None:
    column = ColumnDef(name="id", type=ColumnType(kind), source_name="Id")
    lines = TableDef(name="lines", entity_set="Lines", key=("id",), columns=(column,))

    assert is_key_of(lines, (key,)) is is_one
    assert not is_key_of(lines, (key, key))
