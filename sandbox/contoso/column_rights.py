"""Decide who may read and write secured columns.

Administrators and the replicator may. Everybody else needs a permission that a field
security profile gives, directly or through a team; whoever acts on behalf of another
may do what both may.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from sandbox.contoso.errors import WebApiError
from sandbox.contoso.field_security import ALLOWED
from sandbox.contoso.schema import Table
from sandbox.contoso.security import Caller

_EVERYTHING = ("System Administrator", "Waystation Replicator")

_IS_FREE = (
    "SELECT 1 FROM rows_systemuserroles AS held JOIN rows_role AS role"
    " ON role.id = held.roleid WHERE held.systemuserid = ?"
    " AND json_extract(role.body, '$.name') IN (?, ?)"
)
_PERMITTED = """
SELECT json_extract(permission.body, '$.attributelogicalname')
FROM rows_fieldpermission AS permission
WHERE json_extract(permission.body, '$.entityname') = :table
AND json_extract(permission.body, :right) = :allowed
AND json_extract(permission.body, '$._fieldsecurityprofileid_value') IN (
    SELECT fieldsecurityprofileid FROM rows_systemuserprofiles
    WHERE systemuserid = :user
    UNION SELECT held.fieldsecurityprofileid FROM rows_teamprofiles AS held
    JOIN rows_teammembership AS member USING (teamid)
    WHERE member.systemuserid = :user)
"""
_WORDS = {
    "cancreate": "AttributePrivilegeCreateIsMissing",
    "canupdate": "AttributePermissionUpdateIsMissingDuringUpdate",
}


def closed(
    connection: sqlite3.Connection, caller: Caller, *, table: Table, right: str
) -> frozenset[str]:
    """Return the wire names of columns that are closed to the caller.

    :param right: `canread`, `cancreate` or `canupdate`.
    """
    secured = {column.name: column.wire for column in table.columns if column.secured}
    if not secured:
        return frozenset()
    found = _closed_to(connection, caller.id, table, right, secured)
    if caller.sponsor is not None:
        found |= closed(connection, caller.sponsor, table=table, right=right)
    return found


def insist(
    connection: sqlite3.Connection,
    caller: Caller,
    *,
    table: Table,
    right: str,
    written: Iterable[str],
) -> None:
    """:raises WebApiError: one of the properties is closed to the caller; 403."""
    for name in sorted(
        closed(connection, caller, table=table, right=right) & {*written}
    ):
        raise WebApiError(
            403,
            "0x8004f508" if right == "canupdate" else "0x8004f507",
            f"{_WORDS[right]}: caller user id {caller.id} lacks the permission on the"
            f" secured attribute '{name}' of entity '{table.name}'.",
        )


def _closed_to(
    connection: sqlite3.Connection,
    user: str,
    table: Table,
    right: str,
    secured: Mapping[str, str],
) -> frozenset[str]:
    if connection.execute(_IS_FREE, (user, *_EVERYTHING)).fetchone() is not None:
        return frozenset()
    permitted = connection.execute(
        _PERMITTED,
        {"table": table.name, "right": f"$.{right}", "allowed": ALLOWED, "user": user},
    )
    open_names = {name for (name,) in permitted}
    return frozenset(wire for name, wire in secured.items() if name not in open_names)
