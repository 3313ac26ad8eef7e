"""Makes the marker table in a Dataverse organization, and lets users write to it.

Edits are made in the name of their users, and markers with them. So whoever may go
offline has to be able to create markers; nobody has to read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct, field

from project.errors import MisconfiguredError
from replication.odata import markers
from replication.odata.client import ODataSource
from replication.odata.errors import LoopingLinkError

# Whoever has it may use the mobile app, and so go offline.
_OFFLINE_PRIVILEGE = "prvGoMobile"

# Every organization has fewer roles, times business units, than these pages hold.
_MOST_PAGES = 200


class NoMarkersError(MisconfiguredError):
    """The source cannot have a marker table."""

    code = "no_markers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was missing, and is there now."""

    is_new: bool
    # Names of roles that were given the right to create markers.
    roles: tuple[str, ...]


class _Privilege(Struct):
    id: str = field(name="PrivilegeId")
    kind: str = field(name="PrivilegeType")


class _Table(Struct):
    privileges: list[_Privilege] = field(name="Privileges")


class _Tables(Struct):
    value: list[_Table]


class _Page(Struct):
    value: list[dict[str, Any]]
    next_link: str | None = field(default=None, name="@odata.nextLink")


def install(source: ODataSource) -> Installed:
    """Make the table unless it is there, and grant what is missing. Repeatable.

    :raises NoMarkersError: the source is no Dataverse organization.
    :raises SyncError: it refused; changing metadata takes a customizer's rights.
    """
    writer = source.writer()
    if not writer.impersonates:
        raise NoMarkersError("Only Dataverse organizations have a marker table.")
    found = _marker_table(source)
    if found is None:
        writer.post("EntityDefinitions", msgspec.json.encode(markers.definition()))
    table = found or _marker_table(source)
    privileges = () if table is None else table.privileges
    create = next((p.id for p in privileges if p.kind == "Create"), None)
    if create is None:
        raise NoMarkersError("The marker table has no privilege to create rows.")
    granted = tuple(_grant(source, create))
    return Installed(is_new=found is None, roles=granted)


def _marker_table(source: ODataSource) -> _Table | None:
    path = (
        "EntityDefinitions?$select=LogicalName,Privileges"
        f"&$filter=LogicalName eq '{markers.TABLE}'"
    )
    found = source.document(path, shape=_Tables).value
    return found[0] if found else None


def _grant(source: ODataSource, privilege: str) -> Iterator[str]:
    """Give the privilege to every role that lets its holders go offline."""
    path = f"privileges?$select=privilegeid&$filter=name eq '{_OFFLINE_PRIVILEGE}'"
    offline = [str(row["privilegeid"]) for row in _rows(source, path)]
    if not offline:
        return
    wanted = _holders(source, offline[0]) - _holders(source, privilege)
    path = "roles?$select=roleid,name,_parentrootroleid_value"
    for role in _rows(source, path):
        role_id = str(role["roleid"])
        # What a root role is given, its copies in other business units have too.
        is_root = role.get("_parentrootroleid_value") in {None, role_id}
        if is_root and role_id in wanted:
            body = {"Privileges": [{"Depth": "Global", "PrivilegeId": privilege}]}
            action = "Microsoft.Dynamics.CRM.AddPrivilegesRole"
            source.writer().post(
                f"roles({role_id})/{action}", msgspec.json.encode(body)
            )
            yield str(role["name"])


def _holders(source: ODataSource, privilege: str) -> set[str]:
    path = (
        "roleprivilegescollection?$select=roleid,privilegeid"
        f"&$filter=privilegeid eq {privilege}"
    )
    return {str(row["roleid"]) for row in _rows(source, path)}


def _rows(source: ODataSource, path: str) -> Iterator[dict[str, Any]]:
    entity_set = path.partition("?")[0]
    for _ in range(_MOST_PAGES):
        page = source.document(path, shape=_Page)
        yield from page.value
        if not page.next_link:
            return
        # Of the link only the query counts: nobody leads us to another place.
        path = f"{entity_set}?{page.next_link.partition('?')[2]}"
    raise LoopingLinkError("The source's list of roles does not end.")
