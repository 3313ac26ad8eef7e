"""The story that the demo tells: from a source to a device, and what changes later."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from project.demo import visible
from project.demo.administration import Administration
from project.demo.source import Contoso
from project.demo.visible import Person
from project.errors import MisconfiguredError
from project.stack import AUDIENCE, Stack
from sandbox.device.bars import SyncBar
from sandbox.device.client import Device, SyncResult, discover
from sandbox.device.sign_in import PasswordSignIn
from sandbox.device.store import Store

ORGANIZATION = "contoso"
SALESPERSON = "ada@contoso.example"
COLLEAGUE = "linus@contoso.example"
PASSWORD = "sandbox"  # noqa: S105 - everybody's at Contoso, published in its manual
PROFILE = {
    "name": "Field sales",
    "items": [
        {"table": table, "records": "all", "sync_interval_minutes": 5}
        for table in visible.TABLES
    ],
    "assignments": {"everyone": True, "users": [], "teams": [], "roles": []},
}
LOAD_LIMIT = 600.0
DELTA_LIMIT = 120.0
POLL_INTERVAL = 0.5


class DemoError(MisconfiguredError):
    code = "demo"


@dataclass(frozen=True, slots=True)
class Account:
    key: str
    name: str
    etag: str


class Story:
    def __init__(self, stack: Stack, *, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._contoso = Contoso(stack.plan)
        self._administration = Administration(
            stack.plan.web_url,
            token=lambda: self._contoso.token(scope=f"{AUDIENCE}/.default"),
        )

    def tell(self) -> None:
        """Tell all of it.

        :raises DemoError: device and source differ in the end, or a step never came.
        """
        with closing(self._contoso), closing(self._administration):
            self._provision()
            self._load()
            person = visible.person(self._contoso, domain_name=SALESPERSON)
            self._publish(person)
            with self._signed_in(person) as device:
                self._download(device)
                self._edit_at_the_source(device, person)
                self._hand_over(device, person)
                self._compare(device, person)

    def _provision(self) -> None:
        self._chapter("An organization comes: Contoso sends a provisioning event")
        known = self._administration.organization(ORGANIZATION)
        event = self._contoso.provision_event(
            event_id=str(uuid4()), occurred_at=datetime.now(UTC).isoformat()
        )
        if known is not None and known["state"] != "deprovisioned":
            # From an earlier run, whose source may have had another address.
            event = self._contoso.as_update(event)
        self._administration.report_event(event)
        self._say(f"{event['type']} {event['id']} was accepted.")

    def _load(self) -> None:
        self._chapter("Replication: every table is copied into Contoso's own database")
        started = time.monotonic()
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[more]}"),
            console=self._console,
        ) as bar:
            task = bar.add_task("tables", total=None, more="")
            at_start: list[int] = []

            def is_active() -> bool:
                found = self._administration.organization(ORGANIZATION) or {}
                progress = found.get("progress", {})
                rows = int(progress.get("rows") or 0)
                at_start.append(rows)
                rate = (rows - at_start[0]) / (time.monotonic() - started)
                bar.update(
                    task,
                    completed=progress.get("completed", 0),
                    total=progress.get("tables") or None,
                    more=f"{rows:,} rows  {rate:,.0f} rows/s  {found.get('state', '')}",
                )
                if found.get("state") == "failed":
                    raise DemoError(
                        f"Provisioning failed at {found['failed_step']}: {found['last_error']}"
                    )
                return found.get("state") == "active"

            self._until(is_active, limit=LOAD_LIMIT, what="The first load")

    def _publish(self, person: Person) -> None:
        self._chapter("The administrator publishes the profile “Field sales”")
        self._administration.save_profile(
            ORGANIZATION, name=str(PROFILE["name"]), document=PROFILE
        )
        self._administration.publish_profiles(ORGANIZATION)
        started = time.monotonic()
        self._until(
            lambda: (
                self._administration.tables_offered(
                    ORGANIZATION, user_id=person.user_id
                )
                >= visible.TABLES.keys()
            ),
            limit=LOAD_LIMIT,
            what="The profile's rules",
        )
        self._say(
            "Everybody may take along what their roles let them read; "
            f"worked out in {time.monotonic() - started:.1f} s."
        )

    @contextmanager
    def _signed_in(self, person: Person) -> Iterator[Device]:
        self._chapter(f"{person.name}, in field sales, signs a device in")
        folder = self._stack.plan.data / "demo"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        plan, ca = self._stack.plan, str(self._stack.plan.sandbox_ca)
        found = discover(plan.web_url, org=ORGANIZATION, ca=ca)
        sign_in = PasswordSignIn(
            authority=found.authority,
            username=SALESPERSON,
            password=PASSWORD,
            scope=f"{found.audience}/.default",
            ca=ca,
        )
        device_id = str(uuid4())
        with (
            Store(folder / "device.sqlite") as store,
            closing(sign_in),
            Device(
                store, found.endpoint, ORGANIZATION, device_id, sign_in, ca=ca
            ) as device,
        ):
            device.register(name="Demo", platform="Linux", app_version="1")
            self._say(f"Device {device_id}, database {store.path}")
            yield device

    def _download(self, device: Device) -> None:
        self._chapter("The first download")
        with SyncBar(self._console) as bar:
            result = device.sync(progress=bar.show)
        self._say(_summary(result))

    def _edit_at_the_source(self, device: Device, person: Person) -> None:
        account = self._account_of(device, person)
        new_name = f"{account.name.partition(' (')[0]} ({datetime.now(UTC):%H:%M:%S})"
        self._chapter(f"At the source, “{account.name}” becomes “{new_name}”")
        self._contoso.edit(
            "accounts", key=account.key, etag=account.etag, changes={"name": new_name}
        )
        self._sync_until(
            device,
            lambda: device.store.rows("account")[account.key]["name"] == new_name,
            what="The new name on the device",
        )

    def _hand_over(self, device: Device, person: Person) -> None:
        account = self._account_of(device, person)
        colleague = visible.person(self._contoso, domain_name=COLLEAGUE)
        self._chapter(f"“{account.name}” is handed over to {colleague.name}")
        self._contoso.edit(
            "accounts",
            key=account.key,
            etag=account.etag,
            changes={"ownerid@odata.bind": f"/systemusers({colleague.user_id})"},
        )
        self._sync_until(
            device,
            lambda: account.key not in device.store.rows("account"),
            what="The account's leaving the device",
        )

    def _compare(self, device: Device, person: Person) -> None:
        self._chapter(f"What {person.name} may see, and what is on the device")
        result = device.sync()
        table = Table("table", "rows at the source", "rows on the device", "the same")
        all_same = True
        for name, at_source in visible.keys_by_table(
            self._contoso, owner=person
        ).items():
            on_device = set(device.store.rows(name))
            same = at_source == on_device
            all_same = all_same and same
            table.add_row(
                name, f"{len(at_source):,}", f"{len(on_device):,}", _yes(same)
            )
        self._console.print(table)
        self._say(
            f"Digests of service and device are equal: {_yes(result.digest_equal)}"
        )
        if not (all_same and result.digest_equal):
            raise DemoError("The device does not hold what its user may see.")

    def _account_of(self, device: Device, person: Person) -> Account:
        """Return an account that this person owns alone and has on the device."""
        rows = self._contoso.rows(
            "accounts",
            select="accountid,name",
            filter=f"_ownerid_value eq {person.user_id}",
            top="1",
        )
        row = next(rows, None)
        if row is None or row["accountid"] not in device.store.rows("account"):
            raise DemoError(f"No account of {person.name} is on the device.")
        return Account(
            key=str(row["accountid"]), name=str(row["name"]), etag=row["@odata.etag"]
        )

    def _sync_until(
        self, device: Device, condition: Callable[[], bool], *, what: str
    ) -> None:
        started = time.monotonic()

        results: list[SyncResult] = []

        def has_come() -> bool:
            results.append(device.sync())
            return condition()

        self._until(has_come, limit=DELTA_LIMIT, what=what)
        self._say(
            f"On the device after {time.monotonic() - started:.1f} s: {_summary(results[-1])}"
        )

    def _until(self, condition: Callable[[], bool], *, limit: float, what: str) -> None:
        deadline = time.monotonic() + limit
        while not condition():
            self._stack.check()
            if time.monotonic() > deadline:
                raise DemoError(f"{what} did not come within {limit:.0f} s.")
            time.sleep(POLL_INTERVAL)

    def _chapter(self, title: str) -> None:
        self._console.print(f"\n{title}", style="bold cyan", markup=False)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)


def _summary(result: SyncResult) -> str:
    return (
        f"rows {result.rows:,}, deletes {result.deletes + result.swept:,}, "
        f"{result.bytes / 1e6:,.2f} MB in {result.seconds:.2f} s "
        f"({result.rows_per_second:,.0f} rows/s)"
    )


def _yes(answer: bool | None) -> str:
    return "yes" if answer else "NO"
