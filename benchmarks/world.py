"""Servers, a source and organizations for benchmarks; nothing here is measured."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import requests

from benchmarks import cpu
from project import embedded
from project.stack import local_session
from replication.domain.tables import SECURITY_TABLES, TableDef

if TYPE_CHECKING:
    import psycopg

    from replication.odata.client import ODataSource
    from replication.services.pull import Progress

ROOT = Path(__file__).resolve().parent.parent
SANDBOX_PORT = 8643
_EDITED_AT_ONCE = 1_000
# 27 columns of the account, of every type that a CRM row has.
ACCOUNT_COLUMNS = [
    "accountid",
    "accountnumber",
    "name",
    "ownerid",
    "owningbusinessunit",
    "statecode",
    "statuscode",
    "createdon",
    "modifiedon",
    "telephone1",
    "emailaddress1",
    "websiteurl",
    "address1_line1",
    "address1_city",
    "address1_postalcode",
    "address1_country",
    "address1_latitude",
    "address1_longitude",
    "revenue",
    "numberofemployees",
    "industrycode",
    "customertypecode",
    "creditonhold",
    "donotemail",
    "description",
    "primarycontactid",
    "versionnumber",
]


@dataclass
class World:
    """One embedded PostgreSQL and Redis, and the sandbox at some scale."""

    data: Path
    postgres: int
    redis: int
    sandbox_url: str
    ca: Path = Path()
    _epochs: int = 0

    def cpu_seconds(self, *processes: int) -> float:
        """Of this process, PostgreSQL, Redis and the given ones.

        The source does not count: it is somebody else's machine.
        """
        return time.process_time() + cpu.seconds(self.postgres, self.redis, *processes)

    @contextlib.contextmanager
    def sandbox(self, scale: int) -> Iterator[None]:
        """Serve Contoso with so many accounts, from a process of its own."""
        folder = self.data / f"sandbox-{scale}"
        folder.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sandbox"),
                *("--port", str(SANDBOX_PORT), "--data", str(folder)),
                *("--scale", str(scale)),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        ca = folder / "sandbox-ca.pem"
        try:
            self._await_sandbox(process, ca)
            self.ca = ca
            yield
        finally:
            process.terminate()
            process.wait()

    def _await_sandbox(self, process: subprocess.Popen[bytes], ca: Path) -> None:
        while process.poll() is None:
            with (
                contextlib.suppress(requests.RequestException, OSError),
                local_session(ca=ca) as session,
            ):
                if session.get(f"{self.sandbox_url}/healthz", timeout=5).ok:
                    return
            time.sleep(0.2)
        raise RuntimeError("The sandbox did not start.")

    def edit_accounts(self, count: int) -> None:
        """Change so many accounts at the source, a thousand a request."""
        accounts = f"{self.sandbox_url}/api/data/v9.2/accounts"
        with local_session(ca=self.ca) as session:
            session.headers["Authorization"] = f"Bearer {self._source_token(session)}"
            session.headers["Prefer"] = f"odata.maxpagesize={_EDITED_AT_ONCE}"
            url, left = f"{accounts}?$select=accountid", count
            while left > 0:
                page = session.get(url, timeout=60).json()
                targets = [
                    {
                        "@odata.type": "Microsoft.Dynamics.CRM.account",
                        "accountid": row["accountid"],
                        "description": f"Seen {time.time_ns()}",
                    }
                    for row in page["value"][:left]
                ]
                answer = session.post(
                    f"{accounts}/Microsoft.Dynamics.CRM.UpdateMultiple",
                    json={"Targets": targets},
                    timeout=600,
                )
                answer.raise_for_status()
                left -= len(targets)
                url = page.get("@odata.nextLink", "")

    def _source_token(self, session: requests.Session) -> str:
        answer = session.post(
            f"{self.sandbox_url}/contoso/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": "waystation",
                "client_secret": "sandbox",
                "scope": f"{self.sandbox_url}/.default",
            },
            timeout=30,
        )
        return str(answer.json()["access_token"])

    def source(self) -> ODataSource:
        from replication.odata.client import open_source

        return open_source(
            endpoint=f"{self.sandbox_url}/api/data/v9.2",
            kind="dataverse",
            credential={
                "type": "client_secret",
                "tenant_id": "contoso",
                "client_id": "waystation",
                "client_secret": "sandbox",
                "scope": f"{self.sandbox_url}/.default",
                "authority": self.sandbox_url,
            },
            ca_certificate=self.ca.read_text(encoding="ascii"),
            allow_loopback=True,
        )

    def organization(self, name: str) -> UUID:
        from provisioning.models import Organization
        from provisioning.services import staging_databases

        made = Organization.objects.create(
            id=uuid4(),
            unique_name=name,
            display_name=name,
            endpoint=self.sandbox_url,
            kind="dataverse",
            state=Organization.State.ACTIVE,
        )
        staging_databases.assign(made)
        staging_databases.create(made)
        return made.id

    def pull(
        self, conn: psycopg.Connection, source: ODataSource, table: str, **more: bool
    ) -> Progress:
        from replication.services.pull import PullOrder, pull_table

        self._epochs += 1
        return pull_table(
            conn,
            source,
            PullOrder(
                table=table,
                epoch=self._epochs,
                time_slice=timedelta(hours=1),
                renew=lambda: None,
                wants_resync=more.get("resync", False),
            ),
        )


def definitions(source: ODataSource) -> list[TableDef]:
    """Security tables whole, the account with 27 columns."""
    loaded = source.load_tables((*SECURITY_TABLES, "account"))
    return [_narrowed(d) if d.name == "account" else d for d in loaded]


def _narrowed(table: TableDef) -> TableDef:
    kept = tuple(c for c in table.columns if c.name in ACCOUNT_COLUMNS)
    return replace(table, columns=kept)


@contextlib.contextmanager
def running() -> Iterator[World]:
    """Start the servers on an empty folder and prepare Django."""
    with tempfile.TemporaryDirectory(prefix="waystation-bench-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        os.environ |= {"WAYSTATION_EMBEDDED": "on", "WAYSTATION_DATA": folder}
        with embedded.running(data) as (postgres, redis):
            urls = embedded.urls(data)
            os.environ |= {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis}
            os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
            os.environ["WAYSTATION_LOG_LEVEL"] = "WARNING"
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0)
            yield World(
                data=data,
                postgres=postgres.process.pid,
                redis=redis.process.pid,
                sandbox_url=f"https://127.0.0.1:{SANDBOX_PORT}",
            )
