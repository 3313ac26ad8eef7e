"""Answer functions and actions: WhoAmI, access, bulk writes, sharing, publishing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
from werkzeug.wrappers import Response

from sandbox.contoso import note_messages, paging, role_privileges, security
from sandbox.contoso.addresses import find_by, read_key, resolve, split_key
from sandbox.contoso.definitions import column_definitions, table_definition
from sandbox.contoso.errors import WebApiError, bad_payload, bad_query, no_such_row
from sandbox.contoso.filters import EVERYTHING
from sandbox.contoso.organization import ACCESS_RIGHTS
from sandbox.contoso.people import BASIC, DEEP, GLOBAL, LOCAL
from sandbox.contoso.requests import Call, json_response, no_content
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.settings import organization_id
from sandbox.contoso.store import Row, find, rows_where
from sandbox.contoso.writing import Writing

# How many requests at once a client may usefully make.
DEGREE_OF_PARALLELISM = 4

_TYPE = "Microsoft.Dynamics.CRM"
_NAMED = re.compile(r"(?:Microsoft\.Dynamics\.CRM\.)?(\w+)(?:\((.*)\))?")
_DEPTHS = {BASIC: "Basic", LOCAL: "Local", DEEP: "Deep", GLOBAL: "Global"}
_NOTHING = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Asked:
    """A function that is called, which changes nothing."""

    call: Call
    connection: sqlite3.Connection
    schema: Schema

    def parameter(self, name: str) -> Any:
        """Return a parameter's value, given by an alias such as `@p1`, as JSON."""
        match = _NAMED.fullmatch(self.call.segments[-1])
        found = re.search(rf"{name}=(@\w+)", match[2] or "") if match else None
        text = self.call.options.get(found[1]) if found else None
        if text is None:
            raise bad_query(f"The parameter '{name}' is missing.")
        try:
            return msgspec.json.decode(text.replace("'", '"'))
        except msgspec.DecodeError:
            raise bad_query(f"The parameter '{name}' cannot be read.") from None


@dataclass(frozen=True, slots=True)
class Told:
    """An action that is called, in one transaction."""

    call: Call
    writing: Writing

    @property
    def schema(self) -> Schema:
        return self.writing.edit.schema

    @property
    def connection(self) -> sqlite3.Connection:
        return self.writing.edit.connection

    def table(self) -> Table:
        """Return the table to whose set the action is bound."""
        table = self.schema.by_set.get(self.call.segments[0])
        if table is None:
            raise bad_query(f"There is no set '{self.call.segments[0]}'.")
        return table

    def targets(self) -> Sequence[Row]:
        targets = self.call.body().get("Targets")
        if not isinstance(targets, list) or not targets:
            raise bad_payload("Targets is a list of rows.")
        return targets


Function = Callable[[Asked], Response]
Action = Callable[[Told], Response]


def function_named(segment: str) -> Function | None:
    match = _NAMED.fullmatch(segment)
    return _FUNCTIONS.get(match[1]) if match else None


def action_named(segment: str) -> Action | None:
    match = _NAMED.fullmatch(segment)
    return _ACTIONS.get(match[1]) if match else None


def _context(call: Call, name: str) -> dict[str, object]:
    return {"@odata.context": f"{call.base}/$metadata#{_TYPE}.{name}"}


def _who_am_i(asked: Asked) -> Response:
    call = asked.call
    return json_response(
        {
            **_context(call, "WhoAmIResponse"),
            "BusinessUnitId": call.caller.unit,
            "UserId": call.caller.id,
            "OrganizationId": organization_id(asked.connection),
        },
        headers={"x-ms-dop-hint": str(DEGREE_OF_PARALLELISM)},
    )


def _principal(asked: Asked) -> security.Caller:
    """Return the user whom `systemusers(id)/…` asks about."""
    keyed = split_key(asked.call.segments[0])
    users = asked.schema.tables["systemuser"]
    if keyed is None or keyed[0] != users.entity_set:
        raise bad_query("The function is bound to systemusers.")
    row = find_by(asked.connection, users, read_key(users, keyed[1]))
    if row is None:
        raise no_such_row(users.name, keyed[1])
    return security.caller_of(row)


def _principal_access(asked: Asked) -> Response:
    user, target = _principal(asked), asked.parameter("Target")
    table, row_id = resolve(asked.connection, asked.schema, target.get("@odata.id"))
    row = find(asked.connection, table, row_id)
    assert row is not None
    rights = []
    for verb in ACCESS_RIGHTS:
        try:
            security.insist_on_row(
                asked.connection, user, table=table, row=row, verb=verb
            )
        except WebApiError:
            continue
        rights.append(f"{verb}Access")
    answer = _context(asked.call, "RetrievePrincipalAccessResponse")
    return json_response({**answer, "AccessRights": ", ".join(rights) or "None"})


def _user_privileges(asked: Asked) -> Response:
    user = _principal(asked)
    held: dict[str, int] = {}
    for name, depth in security.own_privileges(asked.connection, user):
        held[name] = max(depth, held.get(name, 0))
    privileges = [
        {
            "Depth": _DEPTHS[depth],
            "PrivilegeId": rows_where(
                asked.connection, asked.schema.tables["privilege"], name=name
            )[0]["privilegeid"],
            "BusinessUnitId": user.unit,
            "PrivilegeName": name,
            "RecordFilterId": _NOTHING,
            "RecordFilterUniqueName": "",
        }
        for name, depth in sorted(held.items())
    ]
    answer = _context(asked.call, "RetrieveUserPrivilegesResponse")
    return json_response({**answer, "RolePrivileges": privileges})


def _metadata_changes(asked: Asked) -> Response:
    """Answer with the tables and columns of the query that changed, that is all."""
    query, version = asked.parameter("Query"), str(asked.schema.version)
    known = asked.call.options.get("ClientVersionStamp")
    wanted = _named_by(query)
    tables = [
        _described(table, query)
        for table in asked.schema.tables.values()
        if (wanted is None or table.name == wanted) and known != version
    ]
    answer = _context(asked.call, "RetrieveMetadataChangesResponse")
    return json_response(
        {**answer, "EntityMetadata": tables, "ServerVersionStamp": version}
    )


def _described(table: Table, query: Mapping[str, Any]) -> Row:
    columns = query.get("AttributeQuery") or {}
    wanted = _named_by(columns)
    names = {*_properties(columns), "@odata.type", "MetadataId"}
    return {
        "LogicalName": table.name,
        "MetadataId": table_definition(table)["MetadataId"],
        "Attributes": [
            {name: row[name] for name in row if name in names}
            for row in column_definitions(table)
            if wanted is None or row["LogicalName"] == wanted
        ],
    }


def _properties(query: Mapping[str, Any]) -> Sequence[str]:
    names: Sequence[str] = (query.get("Properties") or {}).get("PropertyNames", ())
    return names


def _named_by(query: Mapping[str, Any]) -> str | None:
    for condition in (query.get("Criteria") or {}).get("Conditions", ()):
        if condition["PropertyName"] == "LogicalName":
            return str(condition["Value"]["Value"])
    return None


def _create_multiple(told: Told) -> Response:
    table = told.table()
    ids = [told.writing.created(table, row)[table.key] for row in told.targets()]
    return json_response({**_context(told.call, "CreateMultipleResponse"), "Ids": ids})


def _update_multiple(told: Told) -> Response:
    table = told.table()
    for target in told.targets():
        row = find(told.connection, table, str(target.get(table.key)).lower())
        if row is None:
            raise no_such_row(table.name, str(target.get(table.key)))
        told.writing.updated(table, row, target)
    return no_content()


def _upsert_multiple(told: Told) -> Response:
    table = told.table()
    for target in told.targets():
        keyed = split_key(str(target.get("@odata.id", "")).rpartition("/")[2])
        text = keyed[1] if keyed else str(target.get(table.key))
        key = read_key(table, text)
        row = find_by(told.connection, table, key)
        if row is None:
            told.writing.created(table, {**target, **key.values})
        else:
            told.writing.updated(table, row, target)
    return no_content()


def _bulk_delete(told: Told) -> Response:
    """Delete the rows whose ids the conditions list, at once and not later."""
    for query in told.call.body().get("QuerySet", []):  # type: ignore[attr-defined]  # JSON.
        table = told.schema.tables.get(str(query.get("EntityName")))
        for condition in (query.get("Criteria") or {}).get("Conditions", []):
            if table is None or condition.get("AttributeName") != table.key:
                raise bad_payload("A bulk delete lists ids of a table.")
            for value in condition.get("Values", []):
                row_id = value.get("Value") if isinstance(value, dict) else value
                told.writing.delete(table, read_key(table, str(row_id)))
    answer = _context(told.call, "BulkDeleteResponse")
    return json_response({**answer, "JobId": str(uuid4())})


def _publish(told: Told) -> Response:
    """Publish the mobile offline profiles that the XML names, with what is in them."""
    text = str(told.call.body().get("ParameterXml", ""))
    names = ("mobileofflineprofile", "mobileofflineprofileitem")
    items = told.schema.tables["mobileofflineprofileitem"]
    for profile_id in re.findall(r"<mobileofflineprofile>\{?([\w-]+)\}?<", text):
        parts = [(told.schema.tables[names[0]], profile_id.lower())]
        for item in rows_where(
            told.connection, items, _regardingobjectid_value=profile_id.lower()
        ):
            parts.append((items, str(item[items.key])))
            pairs = told.schema.tables["mobileofflineprofileitemassociation"]
            parts += [
                (pairs, str(row[pairs.key]))
                for row in rows_where(
                    told.connection,
                    pairs,
                    _mobileofflineprofileitemid_value=item[items.key],
                )
            ]
        for table, row_id in parts:
            told.writing.edit.publish(table, row_id)
    return no_content()


def _share(told: Told) -> Response:
    """GrantAccess and ModifyAccess set the mask, RevokeAccess takes it back."""
    body: Mapping[str, Any] = told.call.body()
    table, row_id = _thing(told, body.get("Target"))
    access = body.get("PrincipalAccess", {})
    principal = access.get("Principal", body.get("Revokee"))
    kind, principal_id = _thing(told, principal)
    names = str(access.get("AccessMask", "None")).replace(" ", "").split(",")
    rights = {f"{verb}Access": right for verb, right in ACCESS_RIGHTS.items()}
    row = find(told.connection, table, row_id)
    assert row is not None
    security.insist_on_row(
        told.connection, told.call.caller, table=table, row=row, verb="Share"
    )
    told.writing.edit.share(
        table,
        row_id,
        principal=(kind.name, principal_id),
        mask=sum(rights.get(name, 0) for name in names),
    )
    return no_content()


def _thing(told: Told, document: object) -> tuple[Table, str]:
    """Return the row that `{"@odata.type": …, "accountid": …}` or an @odata.id names."""
    thing: Mapping[str, Any] = document if isinstance(document, dict) else {}
    if "@odata.id" in thing:
        return resolve(told.connection, told.schema, thing["@odata.id"])
    name = str(thing.get("@odata.type", "")).rpartition(".")[2]
    table = told.schema.tables.get(name)
    if table is None:
        raise bad_payload("A row is named by its @odata.type and id.")
    key = thing.get(table.key) or thing.get("ownerid")
    return resolve(told.connection, told.schema, f"{table.entity_set}({key})")


def _total_counts(asked: Asked) -> Response:
    """Count all rows of some tables, beyond what `$count` says."""
    names = re.findall(r"'(\w+)'", asked.call.segments[-1])
    tables = [asked.schema.tables.get(name) for name in names]
    if not tables or None in tables:
        raise bad_query("EntityNames is a list of tables.")
    found = [
        paging.count(asked.connection, table, EVERYTHING, limit=None)
        for table in tables
        if table is not None
    ]
    totals = {"Keys": names, "Values": found, "Count": len(found)}
    return json_response(
        {
            **_context(asked.call, "RetrieveTotalRecordCountResponse"),
            "EntityRecordCountCollection": totals,
        }
    )


_FUNCTIONS: Mapping[str, Function] = {
    "WhoAmI": _who_am_i,
    "RetrievePrincipalAccess": _principal_access,
    "RetrieveUserPrivileges": _user_privileges,
    "RetrieveMetadataChanges": _metadata_changes,
    "RetrieveTotalRecordCount": _total_counts,
}


def _add_privileges(told: Told) -> Response:
    role_privileges.add(told.call, told.writing.edit)
    return no_content()


_ACTIONS: Mapping[str, Action] = {
    "AddPrivilegesRole": _add_privileges,
    "CreateMultiple": _create_multiple,
    "UpdateMultiple": _update_multiple,
    "UpsertMultiple": _upsert_multiple,
    "BulkDelete": _bulk_delete,
    "PublishXml": _publish,
    "PublishAllXml": _publish,
    "GrantAccess": _share,
    "ModifyAccess": _share,
    "RevokeAccess": _share,
    **note_messages.ACTIONS,
}
