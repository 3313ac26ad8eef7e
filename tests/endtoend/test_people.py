"""People of a source that has none: real processes, from the token to the device."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from project import stack
from project.stack import AUDIENCE
from sandbox.device.client import Device
from sandbox.device.errors import OfflineNotAllowedError
from sandbox.server import serve_plain
from sandbox.tokens import signing_key
from tests.project.processes import eventually

pytestmark = [pytest.mark.serial, pytest.mark.xdist_group("stack")]

ORGANIZATION = "shop"
PROFILE = {
    "items": [
        {
            "table": "products",
            "records": "custom",
            "filter": {"language": "odata", "text": "Condition eq @user.condition"},
            "associations": [
                {
                    "table": "orderlines",
                    "kind": "one_to_many",
                    "column": "ProductID",
                }
            ],
        },
        {"table": "orderlines", "records": "related_only"},
    ],
    "assignments": {"token_roles": ["Seller"]},
}


class Shop:
    """The plain source, its organization's administrators, and its people."""

    def __init__(self, service, plain):
        self.service = service
        self.plain = plain
        self._key = signing_key(service.plan.data / "sandbox")

    def call(self, method, path, body=None):
        token = self.service.contoso.token(scope=f"{AUDIENCE}/.default")
        with stack.local_session(ca=None) as session:
            answer = session.request(
                method,
                f"{self.service.plan.web_url}/admin-api/v1/{path}",
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=30,
            )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def of_organization(self, method, path, body=None):
        return self.call(method, f"organizations/{ORGANIZATION}/{path}", body)

    def provision(self):
        contoso = self.service.contoso
        event = contoso.provision_event(
            event_id=str(uuid4()), occurred_at=datetime.now(UTC).isoformat()
        )
        event["organization"] |= {
            "id": str(uuid4()),
            "unique_name": ORGANIZATION,
            "display_name": "Shop",
            "endpoint": f"{self.plain.url}/odata",
            "kind": "odata",
            "credential": {"type": "none"},
        }
        self.call("POST", "events", {**event, "tables": ["products", "orderlines"]})

    def state(self):
        found = self.service.administration.organization(ORGANIZATION) or {}
        return found.get("state")

    def token(self, name, *, issued=0, **claims):
        contoso, now = self.service.contoso, int(time.time())
        return self._key.sign(
            {
                "iss": contoso.issuer,
                "aud": AUDIENCE,
                "tid": contoso.tenant_id,
                "oid": str(uuid4()),
                "sub": f"subject of {name}",
                "name": name,
                "scp": "sync",
                "iat": now + issued,
                "nbf": now - 60,
                "exp": now + 3600,
                **claims,
            }
        )

    def device(self, name, folder, **claims):
        token = [self.token(name, **claims)]
        device = Device(
            folder / f"{uuid4()}.sqlite",
            self.service.plan.web_url,
            ORGANIZATION,
            str(uuid4()),
            lambda: token[0],
        )
        device.register(name=name, platform="test", app_version="1")
        return device, token

    def products(self, *conditions):
        rows = self.plain.rows.all("Products").values()
        return {row["ID"] for row in rows if row["Condition"] in conditions}

    def lines(self, *conditions):
        rows = self.plain.rows.all("OrderLines").values()
        taken = self.products(*conditions)
        return {
            (row["Order"], row["Line"]) for row in rows if row["ProductID"] in taken
        }


@pytest.fixture(scope="module")
def shop(service):
    # The same folder, hence the same certificate authority as the issuer's.
    plain = serve_plain(service.plan.data, port=0, scale=60)
    made = Shop(service, plain)
    made.provision()
    eventually(lambda: made.state() == "active")
    made.of_organization("PUT", "profiles/Sellers", PROFILE)
    made.of_organization("POST", "profiles/publish")
    yield made
    plain.stop()


def held(device, table, *columns):
    rows = device.store.rows(table).values()
    if len(columns) == 1:
        return {row[columns[0]] for row in rows}
    return {tuple(row[name] for name in columns) for row in rows}


def synced(device, *, until):
    def sync():
        try:
            device.sync()
        except OfflineNotAllowedError:
            return False
        return until()

    eventually(sync)


def test_each_person_holds_what_the_claims_of_the_token_say(shop, tmp_path):
    ada, _ = shop.device("Ada", tmp_path, roles=["Seller"], condition="new")
    both = ["Used", "Broken"]
    grace, _ = shop.device("Grace", tmp_path, roles=["Seller"], condition=both)

    with ada, grace:
        synced(ada, until=lambda: held(ada, "products", "ID") == shop.products("New"))
        synced(
            grace, until=lambda: held(grace, "products", "ID") == shop.products(*both)
        )

        lines = {
            (int(order), line)
            for order, line in held(ada, "orderlines", "Order", "Line")
        }
        assert lines == shop.lines("New")


def test_who_lacks_the_role_may_not_go_offline(shop, tmp_path):
    eve, _ = shop.device("Eve", tmp_path, roles=["Buyer"], condition="New")

    with eve, pytest.raises(OfflineNotAllowedError):
        eve.sync()


def test_another_token_and_edits_at_the_source_reach_the_device(shop, tmp_path):
    bob, token = shop.device("Bob", tmp_path, roles=["Seller"], condition="Broken")
    with bob:
        synced(bob, until=lambda: held(bob, "products", "ID"))

        row = next(r for r in shop.plain.rows.all("Products").values())
        shop.plain.rows.put("Products", {"ID": 9_999, **without_id(row, "Broken")})
        synced(bob, until=lambda: 9_999 in held(bob, "products", "ID"))
        token[0] = shop.token("Bob", issued=5, roles=["Seller"], condition="Used")
        bob.sync()

        assert held(bob, "products", "ID") == shop.products("Used")


def test_a_blocked_person_is_refused_and_keeps_the_rows(shop, tmp_path):
    mary, _ = shop.device("Mary", tmp_path, roles=["Seller"], condition="New")
    with mary:
        synced(mary, until=lambda: held(mary, "products", "ID"))
        before = held(mary, "products", "ID")
        listed = shop.of_organization("GET", "users")["items"]
        known = next(user for user in listed if user["name"] == "Mary")

        shop.of_organization("POST", f"users/{known['user']}/block")
        eventually(lambda: is_refused(mary))
        assert held(mary, "products", "ID") == before

        shop.of_organization("POST", f"users/{known['user']}/unblock")
        synced(mary, until=lambda: True)

    assert known["claims"] == {"condition": ["New"], "roles": ["Seller"]}
    done = [entry["verb"] for entry in shop.of_organization("GET", "audit")["items"]]
    assert done[:2] == ["unblock user", "block user"]


def is_refused(device):
    try:
        device.sync()
    except OfflineNotAllowedError:
        return True
    return False


def without_id(row, condition):
    copied = {name: value for name, value in row.items() if name != "ID"}
    return copied | {"Condition": condition}
