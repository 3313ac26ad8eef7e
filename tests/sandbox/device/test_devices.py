"""What a device does besides syncing: find its service, sign on, off, and wipe."""

from __future__ import annotations

import json

import pytest

from sandbox.device.client import Discovery, Registration
from sandbox.device.errors import (
    DeviceRevokedError,
    OfflineNotAllowedError,
    ProtocolError,
    StoreError,
    UnavailableError,
    UnknownDeviceError,
    UnknownOrganizationError,
    UntrustedError,
)
from sandbox.device.store import Store
from tests.sandbox.device.answers import ADA, download, model, names
from tests.sandbox.device.conftest import DEVICE_ID
from tests.sandbox.device.scripted import (
    Answer,
    Download,
    ScriptedService,
    json_answer,
    ndjson,
    problem,
)

DEVICE = f"/sync/v1/orgs/contoso/devices/{DEVICE_ID}"
MODEL = "GET /sync/v1/orgs/contoso/model"
CHANGES = "GET /sync/v1/orgs/contoso/changes"
DISCOVERY = "GET /discovery/v1/orgs/contoso"
M1 = model()
FOUND = {
    "organization": "contoso",
    "authority": "https://login.example.com/t/v2.0",
    "audience": "api://waystation",
    "state": "active",
}
REGISTERED = {
    "device": DEVICE_ID,
    "user": {"id": ADA, "name": "Ada"},
    "state": "active",
    "next_sequence": 1,
}
TABLET = {"name": "Ada's tablet", "platform": "android", "app_version": "4.2"}


@pytest.fixture
def service():
    with ScriptedService() as running:
        running.answer(f"PUT {DEVICE}", json_answer(REGISTERED, status=201))
        running.answer(f"DELETE {DEVICE}", Answer(status=204))
        running.answer(f"POST {DEVICE}/status", Answer(status=204))
        running.answer(MODEL, json_answer(M1))
        running.answer(CHANGES, ndjson(download(M1, [ADA, "Ada", "1"])))
        yield running


def test_a_device_registers_with_its_user(service, device):
    registration = device.register(**TABLET)

    assert registration == Registration(ADA, "Ada", "active", 1)
    assert json.loads(service.requests(f"PUT {DEVICE}")[0].body) == TABLET
    assert device.store.owner() == {
        "organization": "contoso",
        "device": DEVICE_ID,
        "user": ADA,
        "user_name": "Ada",
    }


def test_data_of_one_user_is_never_shown_to_another(service, device):
    device.register(**TABLET)
    grace = {**REGISTERED, "user": {"id": "grace", "name": "Grace"}}
    service.answer(f"PUT {DEVICE}", json_answer(grace))

    with pytest.raises(StoreError, match="belongs to user"):
        device.register(**TABLET)

    assert device.store.owner()["user_name"] == "Ada"


def test_a_store_belongs_to_one_organization(make_device):
    store = Store()
    store.bind(organization="fabrikam")

    with pytest.raises(StoreError, match="belongs to organization fabrikam"):
        make_device(store=store)


def test_a_device_of_somebody_else_is_unknown(service, device):
    service.answer(f"PUT {DEVICE}", problem(404, "unknown_device"))

    with pytest.raises(UnknownDeviceError):
        device.register(**TABLET)


def test_the_operator_hears_how_the_device_is(service, device):
    device.report_status(last_error="disk is slow")

    (told,) = service.requests(f"POST {DEVICE}/status")
    said = json.loads(told.body)
    assert said.pop("free_bytes") > 0
    assert said == {"pending_mutations": 0, "last_error": "disk is slow"}


def test_discovery_needs_no_token_and_leads_to_the_endpoint(service, make_device):
    device = make_device()
    with ScriptedService() as elsewhere:
        elsewhere.answer(f"PUT {DEVICE}", json_answer(REGISTERED))
        service.answer(DISCOVERY, json_answer({**FOUND, "endpoint": elsewhere.url}))

        found = device.discover()
        device.register(**TABLET)

        assert len(elsewhere.seen) == 1
        device.close()
    assert found == Discovery(
        "contoso", elsewhere.url, FOUND["authority"], FOUND["audience"], "active"
    )
    assert "Authorization" not in service.requests(DISCOVERY)[0].headers


def test_an_organization_that_nobody_knows_is_reported(service, device):
    service.answer(DISCOVERY, problem(404, "unknown_organization"))

    with pytest.raises(UnknownOrganizationError):
        device.discover()


@pytest.mark.parametrize("way", ["redirect", "misdirected"])
def test_an_organization_that_moved_is_followed(service, make_device, way):
    device = make_device()
    with ScriptedService() as elsewhere:
        elsewhere.answer(MODEL, json_answer(M1))
        elsewhere.answer(CHANGES, Download(download(M1, [ADA, "Ada", "1"])))

        def moved(seen):
            if way == "misdirected":
                return problem(421, "organization_elsewhere", endpoint=elsewhere.url)
            return Answer(
                status=307, headers={"Location": f"{elsewhere.url}{seen.path}?x=y"}
            )

        service.answer(MODEL, moved)

        device.sync()

        assert len(elsewhere.seen) == 2
        device.close()
    assert names(device.store) == {ADA: "Ada"}
    assert len(service.seen) == 1


def test_an_organization_sent_in_circles_is_reported(service, device):
    service.answer(MODEL, problem(421, "organization_elsewhere", endpoint=service.url))

    with pytest.raises(ProtocolError, match="endpoint to endpoint"):
        device.sync()


def test_a_redirect_to_something_else_is_not_followed(service, device):
    service.answer(MODEL, Answer(status=307, headers={"Location": "/login"}))

    with pytest.raises(ProtocolError, match="something else"):
        device.sync()


def test_a_token_never_follows_to_a_plain_text_address(make_device):
    device = make_device(url="https://sync.example.com")

    with pytest.raises(UntrustedError):
        device.endpoint.move_to("http://sync.example.com")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("offline_not_allowed", OfflineNotAllowedError),
        ("device_revoked", DeviceRevokedError),
    ],
)
def test_a_refusal_stops_downloads_and_keeps_the_data(service, device, code, error):
    device.sync()
    service.answer(CHANGES, problem(403, code))

    with pytest.raises(error) as caught:
        device.sync()

    assert not caught.value.wiped
    assert names(device.store) == {ADA: "Ada"}
    assert service.requests(f"DELETE {DEVICE}") == []


def test_an_ordered_wipe_deletes_the_data_then_confirms(service, make_device, tmp_path):
    path = tmp_path / "ada.sqlite"
    secret = "The merger is called Analytical Engine"
    service.answer(CHANGES, ndjson(download(M1, [ADA, secret, "1"])))
    with Store(path) as store:
        device = make_device(store=store)
        device.register(**TABLET)
        device.sync()
        service.answer(CHANGES, problem(403, "device_revoked", wipe=True))

        with pytest.raises(DeviceRevokedError) as caught:
            device.sync()

        left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert secret.encode() not in left
        assert (store.tables(), store.checkpoint, store.owner()) == ((), None, {})
    assert caught.value.wiped
    assert len(service.requests(f"DELETE {DEVICE}")) == 1


def test_a_wipe_that_could_not_be_confirmed_is_confirmed_at_the_next_start(
    service, make_device, tmp_path
):
    path = tmp_path / "ada.sqlite"
    service.answer(f"DELETE {DEVICE}", problem(503, "unavailable"))
    service.answer(CHANGES, problem(403, "offline_not_allowed", wipe=True))
    with Store(path) as store, pytest.raises(OfflineNotAllowedError):
        make_device(store=store, retries=1).sync()
    confirmed_while_down = len(service.requests(f"DELETE {DEVICE}"))
    service.answer(f"DELETE {DEVICE}", Answer(status=204))
    service.answer(CHANGES, problem(403, "offline_not_allowed"))

    with Store(path) as store:
        unconfirmed = store.wipe_unconfirmed
        with pytest.raises(OfflineNotAllowedError):
            make_device(store=store).sync()

        assert (unconfirmed, store.wipe_unconfirmed) == (True, False)
    assert len(service.requests(f"DELETE {DEVICE}")) == confirmed_while_down + 1


def test_only_the_word_true_orders_a_wipe(service, device):
    device.sync()
    service.answer(CHANGES, problem(403, "offline_not_allowed", wipe="no"))

    with pytest.raises(OfflineNotAllowedError):
        device.sync()

    assert names(device.store) == {ADA: "Ada"}


def test_a_device_can_sync_again_after_a_wipe(service, device):
    service.answer(
        CHANGES,
        problem(403, "device_revoked", wipe=True),
        ndjson(download(M1, [ADA, "Ada", "1"])),
    )
    with pytest.raises(DeviceRevokedError):
        device.sync()

    device.register(**TABLET)
    device.sync()

    assert names(device.store) == {ADA: "Ada"}
    assert device.store.owner()["organization"] == "contoso"


def test_signing_off_leaves_the_service_and_deletes_the_data(service, device):
    device.register(**TABLET)
    device.sync()

    device.sign_off()

    assert (device.store.tables(), device.store.owner()) == ((), {})
    assert len(service.requests(f"DELETE {DEVICE}")) == 1


def test_signing_off_twice_is_no_error(service, device):
    service.answer(f"DELETE {DEVICE}", problem(404, "unknown_device"))

    device.sign_off()

    assert device.store.owner() == {}


def test_data_stays_when_signing_off_fails(service, make_device):
    device = make_device(retries=1)
    device.sync()
    service.answer(f"DELETE {DEVICE}", problem(503, "unavailable"))

    with pytest.raises(UnavailableError):
        device.sign_off()

    assert names(device.store) == {ADA: "Ada"}
