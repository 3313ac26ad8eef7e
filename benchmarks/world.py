"""Servers, a source and organizations for benchmarks; nothing here is measured."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from benchmarks import cpu
from benchmarks.source import ROOT, Editor, served
from project import embedded
from replication.domain.tables import SECURITY_TABLES, TableDef

if TYPE_CHECKING:
    import psycopg

    from provisioning.models import Organization
    from replication.odata.client import ODataSource
    from replication.services.pull import Progress

SANDBOX_PORT = 8643
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
    # Where generated sandboxes stay from run to run.
    kept: Path
    wanted: frozenset[str] = frozenset()
    ca: Path = Path()
    # Beyond the epochs of any work item that a worker may have run before.
    _epochs: int = 1_000

    def wants(self, figure: str) -> bool:
        """Whether anybody asked for the figure."""
        return not self.wanted or figure in self.wanted

    def cpu_seconds(self, *processes: int) -> float:
        """Of this process, PostgreSQL, Redis and the given ones.

        The source does not count: it is somebody else's machine.
        """
        return time.process_time() + cpu.seconds(self.postgres, self.redis, *processes)

    @contextlib.contextmanager
    def sandbox(self, scale: int) -> Iterator[None]:
        """Serve Contoso with so many accounts, from a process of its own."""
        folder = self.kept / f"sandbox-{scale}"
        with served(folder, port=SANDBOX_PORT, scale=scale) as ca:
            self.ca = ca
            yield

    def edit_accounts(self, count: int) -> None:
        """Change so many accounts at the source."""
        Editor(self.sandbox_url, self.ca).edit_first(count)

    def edit_these(self, ids: Sequence[str]) -> None:
        """Change the accounts with these ids at the source."""
        Editor(self.sandbox_url, self.ca).edit(ids)

    @property
    def endpoint(self) -> str:
        return f"{self.sandbox_url}/api/data/v9.2"

    @property
    def credential(self) -> dict[str, str]:
        return {
            "type": "client_secret",
            "tenant_id": "contoso",
            "client_id": "waystation",
            "client_secret": "sandbox",
            "scope": f"{self.sandbox_url}/.default",
            "authority": self.sandbox_url,
        }

    def source(self) -> ODataSource:
        from replication.odata.client import open_source

        return open_source(
            endpoint=self.endpoint,
            kind="dataverse",
            credential=self.credential,
            ca_certificate=self.ca.read_text(encoding="ascii"),
            allow_loopback=True,
        )

    def organization(self, name: str) -> UUID:
        """An organization of the served sandbox, with an empty staging database."""
        from provisioning.services import staging_databases

        made = self.described(name)
        made.save(force_insert=True)
        staging_databases.assign(made)
        staging_databases.create(made)
        return made.id

    def described(self, name: str) -> Organization:
        """An organization that is not saved yet."""
        from provisioning.models import Organization
        from provisioning.secrets import seal

        made = Organization(
            id=uuid4(),
            unique_name=name,
            display_name=name,
            endpoint=self.endpoint,
            kind="dataverse",
            credential_type=self.credential["type"],
            ca_certificate=self.ca.read_text(encoding="ascii"),
            state=Organization.State.ACTIVE,
        )
        made.credential_sealed = seal(
            json.dumps(self.credential).encode(), identity=made.credential_identity
        )
        return made

    def next_epoch(self) -> int:
        """An epoch higher than those of all leases before."""
        self._epochs += 1
        return self._epochs

    def pull(
        self, conn: psycopg.Connection, source: ODataSource, table: str, **more: bool
    ) -> Progress:
        from replication.services.pull import PullOrder, pull_table

        return pull_table(
            conn,
            source,
            PullOrder(
                table=table,
                epoch=self.next_epoch(),
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
def running(*, wanted: frozenset[str] = frozenset()) -> Iterator[World]:
    """Start the servers on an empty folder and prepare Django."""
    kept = Path(os.environ.get("WAYSTATION_DATA") or ROOT / ".data") / "benchmarks"
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
                kept=kept.resolve(),
                wanted=wanted,
            )
