"""Give privileges to roles, as the message AddPrivilegesRole does."""

from __future__ import annotations

from typing import Any

from sandbox.contoso import security
from sandbox.contoso.addresses import find_by, read_key, split_key
from sandbox.contoso.errors import bad_payload, no_such_row
from sandbox.contoso.people import BASIC, DEEP, GLOBAL, LOCAL
from sandbox.contoso.requests import Call
from sandbox.contoso.store import find
from sandbox.contoso.writes import Edit

_DEPTHS = {"Basic": BASIC, "Local": LOCAL, "Deep": DEEP, "Global": GLOBAL}


def add(call: Call, edit: Edit) -> None:
    """Grant what the body of a call on `roles(id)` lists.

    :raises WebApiError: no such role or privilege, or the caller may not; 400 to 404.
    """
    roles = edit.schema.tables["role"]
    keyed = split_key(call.segments[0])
    if keyed is None or keyed[0] != roles.entity_set:
        raise bad_payload("The message is bound to a role.")
    role = find_by(edit.connection, roles, read_key(roles, keyed[1]))
    if role is None:
        raise no_such_row(roles.name, keyed[1])
    security.insist_on_row(
        edit.connection, call.caller, table=roles, row=role, verb="Write"
    )
    asked: Any = call.body().get("Privileges")
    if not isinstance(asked, list) or not asked:
        raise bad_payload("Privileges is a list of privileges with their depth.")
    for one in asked:
        _add(edit, str(role[roles.key]), one)


def _add(edit: Edit, role_id: str, asked: Any) -> None:
    privilege_id = str(asked.get("PrivilegeId", "")).lower()
    privileges = edit.schema.tables["privilege"]
    if find(edit.connection, privileges, privilege_id) is None:
        raise no_such_row(privileges.name, privilege_id)
    depth = _DEPTHS.get(str(asked.get("Depth")))
    if depth is None:
        raise bad_payload("The depth is Basic, Local, Deep or Global.")
    edit.set_depth(role_id=role_id, privilege_id=privilege_id, depth=depth)
