"""Changes over a real socket: a client can store each piece before the next is made."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import zstandard
from django.db import connection

from tests.syncapi import factories
from tests.syncapi.authority import ADA
from tests.syncapi.engines import DEVICE
from tests.syncapi.paced import CLOSED, GATE

PATIENCE_SECONDS = 20.0
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.django_db(transaction=True)


def wait_for(condition):
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "It did not happen in time."
        time.sleep(0.02)


def database_url() -> str:
    named = connection.settings_dict
    user, password = quote(named["USER"]), quote(named["PASSWORD"])
    host, port = named["HOST"], named["PORT"] or "5432"
    if host.startswith("/"):
        return f"postgresql://{user}:{password}@:{port}/{named['NAME']}?host={host}"
    return f"postgresql://{user}:{password}@{host}:{port}/{named['NAME']}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=2).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def server(tmp_path):
    """The address of a granian of this test's own."""
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PACED_BY": str(tmp_path),
        "PACED_USER": str(ADA),
    }
    command = [sys.executable, "-m", "granian", "--interface", "wsgi"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--blocking-threads", "2"]
    process = subprocess.Popen(
        [*command, "tests.syncapi.paced:application"], cwd=ROOT, env=environment
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: is_up(url) or process.poll() is not None)
        assert process.poll() is None
        yield url
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


@pytest.fixture
def ask(server, contoso, authority):
    factories.device(contoso)

    def get(coding: str) -> requests.Response:
        return requests.get(
            f"{server}/sync/v1/orgs/contoso/changes?device={DEVICE}&model=7f3c",
            headers={
                "Authorization": f"Bearer {authority.token()}",
                "Accept-Encoding": coding,
            },
            stream=True,
            timeout=PATIENCE_SECONDS,
        )

    return get


def decoder_of(coding):
    if coding == "gzip":
        return zlib.decompressobj(31)
    return zstandard.ZstdDecompressor().decompressobj()


def test_each_checkpoint_arrives_before_the_next_piece_is_made(ask, tmp_path):
    for coding in ("gzip", "zstd"):
        # The gate is shut: the engine makes nothing beyond the first checkpoint.
        with ask(coding) as response:
            decoder, received = decoder_of(coding), b""
            while received.count(b"\n") < 3:
                received += decoder.decompress(response.raw.read1(decode_content=False))

        kinds = [json.loads(line)["type"] for line in received.splitlines()]
        assert kinds == ["begin", "rows", "checkpoint"]
        (tmp_path / GATE).touch()
        wait_for((tmp_path / CLOSED).exists)
        (tmp_path / GATE).unlink()
        (tmp_path / CLOSED).unlink()


def test_the_engine_hears_that_the_client_went_away(ask, tmp_path):
    (tmp_path / GATE).touch()
    with ask("identity") as response:
        next(response.iter_lines())

    wait_for((tmp_path / CLOSED).exists)
