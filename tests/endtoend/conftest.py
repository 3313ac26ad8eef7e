"""One running stack for the whole module, with Contoso provisioned by an event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from project import stack
from project.demo.administration import Administration
from project.demo.source import Contoso
from project.stack import AUDIENCE, Plan
from sandbox.device.client import Device
from sandbox.device.sign_in import PasswordSignIn
from tests.project.processes import eventually, python
from tests.project.test_stack import free_port

ORGANIZATION = "contoso"
PROFILE = {
    "items": [{"table": t, "records": "all"} for t in ("account", "contact", "task")],
    "assignments": {"everyone": True},
}


class Service:
    """The stack, seen from outside: its source, its administrators, its devices."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.contoso = Contoso(plan)
        self.administration = Administration(
            plan.web_url,
            token=lambda: self.contoso.token(scope=f"{AUDIENCE}/.default"),
        )

    def provision(self) -> None:
        self.administration.report_event(
            self.contoso.provision_event(
                event_id=str(uuid4()), occurred_at=datetime.now(UTC).isoformat()
            )
        )

    def state(self) -> str:
        found = self.administration.organization(ORGANIZATION) or {}
        return str(found.get("state", ""))

    def rows(self) -> dict[str, int]:
        """Rows in staging, per table."""
        found = self.administration.organization(ORGANIZATION) or {}
        return {table["table"]: table["rows"] or 0 for table in found.get("tables", [])}

    def publish(self) -> None:
        self.administration.save_profile(ORGANIZATION, name="Field", document=PROFILE)
        self.administration.publish_profiles(ORGANIZATION)

    def sandbox(self, path: str, *, body: object = None) -> dict[str, object]:
        """Ask the sandbox's own controls."""
        with stack.local_session(ca=self.plan.sandbox_ca) as session:
            answer = session.request(
                "GET" if body is None else "POST",
                f"{self.plan.sandbox_url}/_sandbox/{path}",
                json=body,
                headers={"Authorization": "Bearer sandbox"},
                timeout=30,
            )
        answer.raise_for_status()
        found: dict[str, object] = answer.json()
        return found

    def visible(self, person: str, table: str) -> set[str]:
        """Ids that the source itself says this person may read."""
        query = f"visible?person={person}@contoso.example&table={table}&ids=true"
        ids = self.sandbox(query)["ids"]
        assert isinstance(ids, list)
        return set(ids)

    def device(self, person: str, folder: Path) -> Device:
        ca = str(self.plan.sandbox_ca)
        device = Device(
            folder / f"{person}.sqlite",
            self.plan.web_url,
            ORGANIZATION,
            str(uuid4()),
            PasswordSignIn(
                authority=self.contoso.issuer,
                username=f"{person}@contoso.example",
                password="sandbox",
                scope=f"{AUDIENCE}/.default",
                ca=ca,
            ),
        )
        device.register(name=person, platform="test", app_version="1")
        return device


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    plan = Plan(
        data=tmp_path_factory.mktemp("service"),
        web_port=int(free_port()),
        sandbox_port=int(free_port()),
    )
    process = python(
        *("-m", "project.stack"),
        DATABASE_URL="",
        REDIS_URL="",
        WAYSTATION_DATA=str(plan.data),
        WAYSTATION_PORT=str(plan.web_port),
        SANDBOX_PORT=str(plan.sandbox_port),
        WAYSTATION_INTERVAL_SECONDS="2",
    )
    with process:
        try:
            eventually(lambda: _is_ready(plan, process))
            made = Service(plan)
            with closing(made.contoso), closing(made.administration):
                yield made
        finally:
            process.terminate()


def _is_ready(plan: Plan, process: object) -> bool:
    try:
        with stack.local_session(ca=None) as session:
            return bool(session.get(f"{plan.web_url}/readyz", timeout=5).ok)
    except requests.RequestException:
        return False
