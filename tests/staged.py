"""An organization with a staging database, a source and devices, for tests.

Everything on our side is real: PostgreSQL, the pull, the engine, the protocol's
lines and the reference device's SQLite. Only the source is played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import psycopg

from provisioning.models import Organization
from provisioning.services import staging_databases
from replication.domain.profiles import Policy, ProfileDef
from replication.domain.tables import TableDef
from replication.services import serving
from replication.services.pull import Progress, PullOrder, pull_table
from replication.services.serving import ChangesRequest, Limits, NothingNew
from replication.staging import connections, schema
from replication.visibility import policy
from replication.visibility.checkpoints import Checkpoint
from sandbox.device.results import ApplyResult
from sandbox.device.store import Store
from syncapi import ndjson
from tests.fake_dataverse import ALL_TABLES, FakeDataverse

TIME_SLICE = timedelta(minutes=1)


def guid(name: str) -> UUID:
    """A stable id for a readable name."""
    return uuid5(NAMESPACE_URL, name)


def organization(name: str = "contoso") -> Organization:
    """An active organization whose staging database is empty but seeded."""
    created = Organization.objects.create(
        id=uuid4(),
        unique_name=name,
        display_name=name,
        endpoint="https://contoso.example/api/data/v9.2",
        kind="dataverse",
        state=Organization.State.ACTIVE,
    )
    staging_databases.assign(created)
    staging_databases.create(created)
    return created


class Staged:
    """One organization's source and staging."""

    def __init__(
        self,
        owner: Organization,
        *,
        tables: tuple[TableDef, ...] = ALL_TABLES,
        page_size: int = 5000,
    ) -> None:
        self.organization = owner
        self.tables = tables
        self.source = FakeDataverse(tables)
        self.page_size = page_size
        self._epochs = 0
        with self.staging() as conn:
            schema.create_missing(conn, tables)

    @property
    def id(self) -> UUID:
        return self.organization.id

    def staging(self) -> psycopg.Connection:
        return connections.connect(self.id)

    def order(self, table: str, **changes: Any) -> PullOrder:
        """The next lease on the table, with a higher epoch than all before."""
        self._epochs += 1
        values: dict[str, Any] = {
            "table": table,
            "epoch": self._epochs,
            "time_slice": TIME_SLICE,
            "renew": lambda: None,
        }
        return PullOrder(**values | changes)

    def pull(self, table: str, **changes: Any) -> Progress:
        with self.staging() as conn:
            source = self.source.source(page_size=self.page_size)
            return pull_table(conn, source, self.order(table, **changes))

    def pull_all(self) -> None:
        for table in self.tables:
            self.pull(table.name)

    def publish(self, *profiles: ProfileDef) -> None:
        with self.staging() as conn:
            policy.publish(conn, Policy(profiles=profiles))

    def values(self, query: str, *parameters: object) -> list[Any]:
        """First column of a query on staging."""
        with self.staging() as conn:
            return [row[0] for row in conn.execute(query, parameters)]

    # The world that most tests need: people, units, roles.

    def add_unit(self, name: str, *, parent: str | None = None) -> UUID:
        key = guid(name)
        above = str(guid(parent)) if parent else None
        self.source.put("businessunit", key, name=name, parentbusinessunitid=above)
        return key

    def add_role(
        self, name: str, *, unit: str, inherited: bool = False, **depths: int
    ) -> UUID:
        """`depths`: table name to privilege depth mask."""
        key = guid(name)
        self.source.put(
            "role",
            key,
            name=name,
            businessunitid=str(guid(unit)),
            isinherited=int(inherited),
        )
        for table, depth in depths.items():
            self.set_depth(name, table, depth)
        return key

    def set_depth(self, role: str, table: str, depth: int) -> None:
        privilege = guid(f"prvRead{table}")
        if str(privilege) not in self.source.rows("privilege"):
            self.source.put("privilege", privilege, name=f"prvRead{table.capitalize()}")
        self.source.put(
            "roleprivileges",
            guid(f"{role}/{table}"),
            roleid=str(guid(role)),
            privilegeid=str(privilege),
            privilegedepthmask=depth,
        )

    def add_user(self, name: str, *, unit: str, roles: Iterable[str] = ()) -> UUID:
        key = guid(name)
        self.source.put(
            "systemuser",
            key,
            fullname=name,
            businessunitid=str(guid(unit)),
            azureactivedirectoryobjectid=str(guid(f"{name}@entra")),
            isdisabled=False,
        )
        for role in roles:
            self.grant(name, role)
        return key

    def grant(self, user: str, role: str) -> None:
        self.source.put(
            "systemuserroles",
            guid(f"{user}/{role}"),
            systemuserid=str(guid(user)),
            roleid=str(guid(role)),
        )

    def revoke(self, user: str, role: str) -> None:
        self.source.delete("systemuserroles", guid(f"{user}/{role}"))

    def add_team(self, name: str, *, unit: str, roles: Iterable[str] = ()) -> UUID:
        key = guid(name)
        self.source.put("team", key, name=name, businessunitid=str(guid(unit)))
        for role in roles:
            self.source.put(
                "teamroles",
                guid(f"{name}/{role}"),
                teamid=str(key),
                roleid=str(guid(role)),
            )
        return key

    def join(self, user: str, team: str) -> None:
        self.source.put(
            "teammembership",
            guid(f"{user} in {team}"),
            systemuserid=str(guid(user)),
            teamid=str(guid(team)),
        )

    def leave(self, user: str, team: str) -> None:
        self.source.delete("teammembership", guid(f"{user} in {team}"))

    def add_account(self, name: str, *, owner: str, unit: str, **values: Any) -> UUID:
        key = guid(name)
        self.source.put(
            "account",
            key,
            name=name,
            ownerid=str(guid(owner)),
            owningbusinessunit=str(guid(unit)),
            **values,
        )
        return key


class TestDevice:
    """The reference device's store, fed by the engine without HTTP."""

    __test__ = False

    def __init__(
        self, staged: Staged, user: UUID, *, limits: Limits | None = None
    ) -> None:
        self._staged = staged
        self.user = user
        self.id = uuid4()
        self.store = Store(":memory:")
        # Ask for checksums of what the tables ought to hold.
        self.wants_digest = False
        self._limits = limits
        self._issued: dict[str, Checkpoint] = {}

    def sync(
        self,
        *,
        cut_after: int | None = None,
        before_line: Callable[[int], object] | None = None,
    ) -> ApplyResult | None:
        """Ask until everything is said; None when there was nothing new.

        With `cut_after`, the first answer breaks off after so many lines and
        nothing more is asked for. `before_line` is called before each line of an
        answer is computed, with its number.
        """
        result = None
        while True:
            answer = self._ask()
            if isinstance(answer, NothingNew):
                self.store.advance(self._sign(answer.checkpoint))
                return result
            heard = _announced(answer, before_line) if before_line else answer
            lines = (ndjson.line(m, sign=self._sign).content for m in heard)
            if cut_after is not None:
                return self.store.apply(_first(lines, cut_after), model=self._document)
            result = self.store.apply(lines, model=self._document)
            if result.complete:
                return result

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What the device has stored last."""
        return self._issued.get(self.store.checkpoint or "")

    def unheard(self) -> list[Any]:
        """The messages of an answer that never arrives; empty if it has none."""
        answer = self._ask()
        return [] if isinstance(answer, NothingNew) else list(answer)

    def names(self, table: str = "account") -> set[str]:
        """Names of the rows on the device."""
        column = "fullname" if table == "contact" else "name"
        if table not in self.store.tables():
            return set()
        return {str(row[column]) for row in self.store.rows(table).values()}

    def ask(self, *, model: str) -> NothingNew | Iterator[Any]:
        """Ask for changes by the model of that version."""
        request = ChangesRequest(
            user_id=self.user,
            device_id=self.id,
            model=model,
            checkpoint=self.checkpoint,
        )
        return serving.changes(self._staged.id, request=request, head_age=timedelta(0))

    def _ask(self) -> NothingNew | Iterator[Any]:
        model = serving.client_model(self._staged.id, user_id=self.user)
        self._document = model.document
        asked = self.store.next_request(model=model.document)
        request = ChangesRequest(
            user_id=self.user,
            device_id=self.id,
            model=asked.model,
            checkpoint=self._issued[asked.checkpoint] if asked.checkpoint else None,
            reset=frozenset(asked.resets),
            digest=self.wants_digest,
        )
        return serving.changes(
            self._staged.id,
            request=request,
            limits=self._limits,
            head_age=timedelta(0),
        )

    def _sign(self, checkpoint: Checkpoint) -> str:
        # Payloads go through JSON, as they do on the wire.
        token = str(hash(str(checkpoint.to_payload())))
        self._issued[token] = Checkpoint.from_payload(checkpoint.to_payload())
        return token


def _first(lines: Iterator[bytes], count: int) -> Iterator[bytes]:
    for _ in range(count):
        line = next(lines, None)
        if line is None:
            return
        yield line


def _announced(
    messages: Iterator[Any], before_line: Callable[[int], object]
) -> Iterator[Any]:
    for number in count():
        before_line(number)
        message = next(messages, None)
        if message is None:
            return
        yield message
