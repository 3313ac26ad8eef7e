"""A scripted service, and devices that talk to it without really waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sandbox.device.client import Device
from sandbox.device.store import Store
from tests.sandbox.device.scripted import ScriptedService

DEVICE_ID = "00000000-0000-0000-0000-0000000000d1"


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    with ScriptedService() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """The seconds that devices would have slept."""
    return []


@pytest.fixture
def make_device(service, waits):
    """Return a function that makes devices, each with a store in memory."""
    with ExitStack() as opened:

        def make(*, store=None, url=service.url, token=lambda: "token", **options):
            own = store or opened.enter_context(Store())
            device = Device(
                own, url, "contoso", DEVICE_ID, token, sleep=waits.append, **options
            )
            return opened.enter_context(device)

        yield make


@pytest.fixture
def device(make_device):
    return make_device()
