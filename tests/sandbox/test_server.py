"""The process: it starts with one line, keeps its data, and ends when told."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from contextlib import closing, suppress
from http.client import HTTPSConnection

import pytest

from sandbox.contoso.business import sites
from sandbox.contoso.data import OtherDataError
from tests.sandbox.running import Client, as_application, start


def command(folder, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox", *options],
        env={**os.environ, "WAYSTATION_DATA": str(folder), "SANDBOX_PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_is_and_ends_cleanly(tmp_path, number):
    with command(tmp_path, "--scale", "5") as process:
        line = process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)

    assert line.startswith("The sandbox is at https://127.0.0.1:")
    assert (process.returncode, errors) == (0, "")


def test_a_taken_port_gives_one_clear_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with command(tmp_path, "--port", port) as process:
            _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert f"cannot start on port {port}" in errors
    assert list(tmp_path.iterdir()) == []


def test_a_second_start_finds_data_keys_and_certificates(tmp_path):
    first = start(tmp_path, scale=5)
    port = int(first.url.rpartition(":")[2])
    client = as_application(first)
    row = client.created("accounts", name="Kept")
    authority = first.ca_file.read_bytes()
    first.stop()

    second = start(tmp_path, scale=5, port=port)
    again = Client(second, client.headers)
    answer = again.get(f"accounts({row['accountid']})")
    second.stop()

    assert answer.json()["name"] == "Kept"
    assert second.ca_file.read_bytes() == authority


def test_data_of_another_scale_is_not_mistaken_for_the_one_asked_for(tmp_path):
    start(tmp_path, scale=5).stop()

    with pytest.raises(OtherDataError, match="scale 5, not 6"):
        start(tmp_path, scale=6)


def test_data_of_an_older_form_is_made_anew(tmp_path):
    start(tmp_path, scale=5).stop()
    with closing(sqlite3.connect(tmp_path / "sandbox" / "contoso.db")) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'form'")
        connection.execute("DROP TABLE rows_product")
        connection.commit()

    running = start(tmp_path, scale=5)
    rows = as_application(running).rows("products")
    running.stop()

    assert rows


def test_the_same_seed_makes_the_same_rows(tmp_path):
    bodies = []
    for name in ("one", "two"):
        running = start(tmp_path / name, scale=20)
        client = as_application(running)
        bodies.append(client.rows("contacts"))
        running.stop()

    assert bodies[0] == bodies[1]


def test_more_accounts_than_places_are_numbered_copies():
    places = len(sites(28_000))

    many = sites(places + 5_000)

    assert len({site.id for site in many}) == places + 5_000
    assert any(site.name.endswith(" 2") for site in many)


def test_a_connection_is_kept_alive_and_health_needs_no_token(running):
    port = int(running.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(running.ca_file))
    with closing(HTTPSConnection("localhost", port, context=context)) as connection:
        connection.request("GET", "/healthz")
        first = connection.getresponse().read()
        kept = connection.sock
        connection.request("GET", "/healthz")
        second = connection.getresponse().read()

        assert (first, second) == (b"ok\n", b"ok\n")
        assert connection.sock is kept


def test_nonsense_instead_of_tls_disturbs_nobody(running):
    port = int(running.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        plain.settimeout(10)
        with suppress(ConnectionResetError):
            plain.recv(1024)

    assert Client(running).request("GET", "/healthz").status_code == 200
