"""Control the sandbox itself, below `/_sandbox`.

Every call needs the header `Authorization: Bearer sandbox`; bodies are JSON.

What there is:

- `GET /_sandbox/`: ids of tenant, organization and application, the people with
  their domainnames, ids and roles, the teams, counts of rows by table.
- `GET /_sandbox/journal?after=VERSION`: the writes after a version, oldest first: by
  whom, on behalf of whom, the values, and the marker written in the same transaction.
- `GET /_sandbox/visible?person=NAME&table=TABLE[&ids=true]`: how many rows of a
  table a person may read (which ones, with `ids`), computed from roles and shares:
  the rows of somebody disabled are counted too.

What can be changed:

- `POST /_sandbox/expire-tokens {"tables": [...]}`: delta tokens and tracking
  pages handed out so far expire; without tables, all do.
- `POST /_sandbox/metadata-changed {"table": …}`: the global metadata version
  rises, and the delta tokens of the table expire, though nothing else changes.
- `POST /_sandbox/metadata {"kind": …, "table": …, …}`: a real change, with the same
  two effects. The kinds are
  `add_column` with `column` {name, type, max_length, minimum, maximum, precision,
  options, targets, date_only, default};
  `change_column` with `name` and any of max_length, minimum, maximum, precision,
  label, options, `type` (to a wider one: Integer to BigInt, Decimal or Double,
  BigInt to Decimal, Decimal to Double, String to Memo);
  `rename_column` with `name` and `to`; `remove_column` with `name`;
  `add_table` with any of entity_set, schema_name, label, primary_name, ownership,
  tracked, columns; `change_table` with any of entity_set, label, tracked,
  is_offline; `remove_table`.
- `POST /_sandbox/settings` with any of `token_life_seconds` (age at which delta
  tokens expire), `expiry_status` (400, 410 or 500), `access_token_seconds`, and
  the limits of service protection, by user: `limit_requests`,
  `limit_execution_seconds`, `limit_concurrent` (0 is off, as all are at first) and
  `limit_window_seconds`. `{"limits": "real"}` sets 6,000 requests, 1,200 seconds
  and 52 at once in 300 seconds; `{"limits": "off"}` ends them.
- `POST /_sandbox/role-privileges {"role": name, "privilege": name, "depth": 0|1|2|4|8}`:
  what `AddPrivilegesRole` and `RemovePrivilegeRole` do; 0 takes away.
- `POST /_sandbox/snapshot {"name": …}` keeps the organization as it is, and
  `POST /_sandbox/restore {"name": …, "new_organization": true, "expire_tokens":
  true}` brings it back: rows, versions, metadata and settings. Its id stays unless
  another is asked for. Tokens from before the snapshot live on unless they are to
  expire; those from after it are refused until versions have risen as far again.
- `POST /_sandbox/objections` with the members of `sandbox.contoso.objections.Objection`:
  a plug-in that rejects writes from then on; `DELETE` ends all of them.
- `POST /_sandbox/writer {"edits_per_second": n, "seconds": s, "seed": k}`: people
  edit, create, delete and hand over rows in several tables meanwhile; `GET` tells
  how far they are, `DELETE` stops them.
- `POST /_sandbox/faults` with the members of `sandbox.faults.Fault`: `path` (a
  regular expression searched in path and query), `times`, `method`, `status`,
  `headers`, `body`, `delay_seconds`, `cut_after` (bytes of the body after which the
  connection ends), `hang_up`, `applied` (the request is carried out, only its answer
  goes wrong) and `lie`, a wrong but well-meant answer, see `sandbox.lies`.
  `GET` lists what is waiting, `DELETE` forgets it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict
from uuid import uuid4

import msgspec
from werkzeug.wrappers import Request, Response

from sandbox.contoso import objections, people, security
from sandbox.contoso.journal import writes_after
from sandbox.contoso.metadata_writes import remodel
from sandbox.contoso.objections import InvalidObjectionError
from sandbox.contoso.organization import privilege_id, role_id
from sandbox.contoso.paging import count
from sandbox.contoso.remodelling import InvalidChangeError
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.settings import (
    EXPIRY_STATUSES,
    NAMES,
    REAL_LIMITS,
    organization_id,
)
from sandbox.contoso.snapshots import UnknownSnapshotError, keep, restore
from sandbox.contoso.store import (
    Row,
    Store,
    current_version,
    decode,
    encode,
    expire,
    meta,
    rows_where,
    set_meta,
    sql_name,
)
from sandbox.contoso.writer import BusyWriter, InvalidWriterError
from sandbox.contoso.writes import Edit
from sandbox.faults import Faults, InvalidFaultError, read_fault

PREFIX = "/_sandbox"
TOKEN = "sandbox"  # noqa: S105  # Printed in the documentation.

_ADMINISTRATOR = people.PEOPLE_BY_KEY["hedy"].id


class _RefusedError(Exception):
    """The call cannot be carried out as it stands."""


_REFUSALS = (
    _RefusedError,
    InvalidChangeError,
    InvalidFaultError,
    InvalidObjectionError,
    InvalidWriterError,
    UnknownSnapshotError,
)


class Controls:
    def __init__(self, store: Store, *, faults: Faults, root: str) -> None:
        self._store = store
        self._faults = faults
        self._root = root
        self.writer = BusyWriter(store)

    def __call__(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _json(
                {"error": "Send the header Authorization: Bearer sandbox."}, 401
            )
        name = request.path.removeprefix(PREFIX).strip("/")
        answer = _CALLS.get((request.method, name))
        if answer is None:
            return _json({"error": f"There is no {request.method} of '{name}'."}, 404)
        try:
            return _json(answer(self, request), 200)
        except _REFUSALS as error:
            return _json({"error": str(error)}, 400)

    def overview(self, _request: Request) -> Mapping[str, object]:
        schema = self._store.schema
        with self._store.read() as connection:
            rows = {
                table.name: _size(connection, table) for table in schema.tables.values()
            }
            version = current_version(connection)
            organization = organization_id(connection)
        return {
            "url": self._root,
            "endpoint": f"{self._root}/api/data/v9.2",
            "tenant_id": people.TENANT_ID,
            "organization_id": organization,
            "application_id": people.APPLICATION_ID,
            "authority": f"{self._root}/{people.TENANT_ID}/v2.0",
            "version": version,
            "metadata_version": schema.version,
            "rows": rows,
            "people": [_person(person) for person in people.PEOPLE],
            "teams": [_team(team) for team in people.TEAMS],
        }

    def journal(self, request: Request) -> Mapping[str, object]:
        after = request.args.get("after", 0, type=int)
        with self._store.read() as connection:
            return {"writes": writes_after(connection, after)}

    def visible(self, request: Request) -> Mapping[str, object]:
        table = _table(self._store.schema, request.args.get("table"))
        with self._store.read() as connection:
            user = _find_person(connection, self._store.schema, request)
            caller = security.Caller(
                id=str(user["systemuserid"]), unit=str(user["_businessunitid_value"])
            )
            condition = security.visible_rows(connection, caller, table=table)
            answer: dict[str, object] = {
                "count": count(connection, table, condition, limit=None)
            }
            if request.args.get("ids") == "true":
                found = connection.execute(
                    f"SELECT id FROM {sql_name(table)} WHERE {condition.sql}",
                    condition.parameters,
                )
                answer["ids"] = sorted(row_id for (row_id,) in found)
        return answer

    def expire_tokens(self, request: Request) -> Mapping[str, object]:
        names = _document(request).get("tables", ())
        if not isinstance(names, list | tuple):
            raise _RefusedError("tables is a list of names.")
        tables = [_table(self._store.schema, name).name for name in names]
        with self._store.write() as connection:
            return {"expired_through": expire(connection, *tables)}

    def metadata_changed(self, request: Request) -> Mapping[str, object]:
        schema = self._store.schema
        table = _table(schema, _document(request).get("table"))
        changed = Schema(tables=schema.tables, version=schema.version + 1)
        with self._store.write() as connection:
            expire(connection, table.name)
            set_meta(connection, "metadata_version", changed.version)
        self._store.schema = changed
        return {"metadata_version": changed.version}

    def change_metadata(self, request: Request) -> Mapping[str, object]:
        with self._store.write() as connection:
            changed = remodel(self._store, self._edit(connection), _document(request))
        return {"metadata_version": changed.version}

    def settings(self, request: Request) -> Mapping[str, object]:
        document = _with_limits(_document(request))
        for name, value in document.items():
            if name not in NAMES or not isinstance(value, int) or value < 0:
                raise _RefusedError(f"'{name}' is no setting, or has no such value.")
        if document.get("expiry_status", 400) not in EXPIRY_STATUSES:
            raise _RefusedError("expiry_status is 400, 410 or 500.")
        with self._store.write() as connection:
            for name, value in document.items():
                set_meta(connection, NAMES[name], value)
            return {name: meta(connection, key) for name, key in sorted(NAMES.items())}

    def role_privileges(self, request: Request) -> Mapping[str, object]:
        document = _document(request)
        role, privilege = str(document.get("role")), str(document.get("privilege"))
        depth = document.get("depth")
        if depth not in {0, 1, 2, 4, 8} or not isinstance(depth, int):
            raise _RefusedError("depth is 0, 1, 2, 4 or 8.")
        with self._store.write() as connection:
            edit = self._edit(connection)
            known = rows_where(
                connection, edit.schema.tables["privilege"], name=privilege
            )
            if not known:
                raise _RefusedError(f"There is no privilege '{privilege}'.")
            if role not in {known.name for known in people.ROLES}:
                raise _RefusedError(f"There is no role '{role}'.")
            edit.set_depth(
                role_id=role_id(role, unit=people.ROOT),
                privilege_id=privilege_id(privilege),
                depth=depth,
            )
        return {"role": role, "privilege": privilege, "depth": depth}

    def keep_snapshot(self, request: Request) -> Mapping[str, object]:
        name = str(_document(request).get("name", "snapshot"))
        return {"name": name, "version": keep(self._store, name)}

    def restore_snapshot(self, request: Request) -> Mapping[str, object]:
        document = _document(request)
        name = str(document.get("name", "snapshot"))
        self.writer.stop()
        restore(self._store, name)
        with self._store.write() as connection:
            if document.get("new_organization"):
                set_meta(connection, "organization_id", uuid4())
            if document.get("expire_tokens"):
                expire(connection)
            return {
                "name": name,
                "version": current_version(connection),
                "metadata_version": self._store.schema.version,
                "organization_id": organization_id(connection),
            }

    def start_writer(self, request: Request) -> Mapping[str, object]:
        self.writer.start(_document(request))
        return self.writer.report()

    def report_writer(self, _request: Request) -> Mapping[str, object]:
        return self.writer.report()

    def stop_writer(self, _request: Request) -> Mapping[str, object]:
        self.writer.stop()
        return self.writer.report()

    def add_objection(self, request: Request) -> Mapping[str, object]:
        document = _document(request)
        _table(self._store.schema, document.get("table"))
        with self._store.write() as connection:
            objections.add(connection, document)
        return {}

    def clear_objections(self, _request: Request) -> Mapping[str, object]:
        with self._store.write() as connection:
            objections.clear(connection)
        return {}

    def add_fault(self, request: Request) -> Mapping[str, object]:
        self._faults.add(read_fault(_document(request)))
        return self.list_faults(request)

    def list_faults(self, _request: Request) -> Mapping[str, object]:
        return {"faults": [asdict(fault) for fault in self._faults.waiting()]}

    def clear_faults(self, request: Request) -> Mapping[str, object]:
        self._faults.clear()
        return self.list_faults(request)

    def _edit(self, connection: sqlite3.Connection) -> Edit:
        now = self._store.clock()
        return Edit(connection, self._store.schema, now, _ADMINISTRATOR)


def _with_limits(document: Row) -> Row:
    """Return the settings with the word `limits` spelt out."""
    word = document.pop("limits", None)
    if word is None:
        return document
    if word not in {"real", "off"}:
        raise _RefusedError("limits is 'real' or 'off'.")
    off = {name: 0 for name in REAL_LIMITS if name != "limit_window_seconds"}
    return {**(REAL_LIMITS if word == "real" else off), **document}


def _size(connection: sqlite3.Connection, table: Table) -> int:
    found = connection.execute(f"SELECT count(*) FROM {sql_name(table)}").fetchone()
    return int(found[0])


def _person(person: people.Person) -> Row:
    return {
        "domainname": person.domain_name,
        "name": f"{person.first_name} {person.last_name}",
        "systemuserid": person.id,
        "object_id": person.object_id,
        "business_unit": person.unit,
        "roles": list(person.roles),
        "is_disabled": person.is_disabled,
    }


def _team(team: people.Team) -> Row:
    return {
        "name": team.name,
        "teamid": team.id,
        "business_unit": team.unit,
        "members": [f"{key}@contoso.example" for key in team.members],
        "roles": list(team.roles),
        "teamtype": team.kind,
    }


def _find_person(
    connection: sqlite3.Connection, schema: Schema, request: Request
) -> Row:
    name = request.args.get("person", "")
    found = rows_where(connection, schema.tables["systemuser"], domainname=name)
    if not found:
        raise _RefusedError(f"There is no person '{name}'.")
    return found[0]


def _table(schema: Schema, name: object) -> Table:
    table = schema.tables.get(str(name))
    if table is None:
        raise _RefusedError(f"There is no table '{name}'.")
    return table


def _document(request: Request) -> Row:
    try:
        return decode(request.get_data() or b"{}")
    except msgspec.DecodeError:
        raise _RefusedError("The body is not a JSON object.") from None


def _json(content: Mapping[str, object], status: int) -> Response:
    return Response(encode(content), status=status, mimetype="application/json")


_CALLS: Mapping[
    tuple[str, str], Callable[[Controls, Request], Mapping[str, object]]
] = {
    ("GET", ""): Controls.overview,
    ("GET", "journal"): Controls.journal,
    ("GET", "visible"): Controls.visible,
    ("POST", "expire-tokens"): Controls.expire_tokens,
    ("POST", "metadata-changed"): Controls.metadata_changed,
    ("POST", "metadata"): Controls.change_metadata,
    ("POST", "settings"): Controls.settings,
    ("POST", "role-privileges"): Controls.role_privileges,
    ("POST", "snapshot"): Controls.keep_snapshot,
    ("POST", "restore"): Controls.restore_snapshot,
    ("POST", "writer"): Controls.start_writer,
    ("GET", "writer"): Controls.report_writer,
    ("DELETE", "writer"): Controls.stop_writer,
    ("POST", "objections"): Controls.add_objection,
    ("DELETE", "objections"): Controls.clear_objections,
    ("POST", "faults"): Controls.add_fault,
    ("GET", "faults"): Controls.list_faults,
    ("DELETE", "faults"): Controls.clear_faults,
}
