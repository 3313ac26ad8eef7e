"""A source in memory that answers as Dataverse does (SOURCE §1.7 to §2.6).

It speaks JSON over `replication.odata.transport.Transport`, so that everything on
our side of the socket is the real thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.answers import Reply
from replication.odata.client import ODataSource
from replication.odata.rows import wire_name

ENDPOINT = "https://contoso.example/api/data/v9.2"


def table_def(
    name: str,
    *columns: ColumnDef,
    entity_set: str | None = None,
    key: str | None = None,
    ownership: Any = "user",
    tracked: bool = True,
) -> TableDef:
    """A table as `EntityDefinitions` would describe it."""
    key = key or f"{name}id"
    owned = {
        "user": (lookup("ownerid"), lookup("owningbusinessunit")),
        "business": (lookup("businessunitid"),),
    }.get(ownership, ())
    return TableDef(
        name=name,
        entity_set=entity_set or f"{name}s",
        key=(key,),
        columns=(
            ColumnDef(name=key, type=ColumnType.GUID, source_name=key, required=True),
            *owned,
            *columns,
            ColumnDef(
                name="versionnumber",
                type=ColumnType.BIGINT,
                source_name="versionnumber",
            ),
        ),
        version_column="versionnumber",
        ownership=ownership,
        tracked=tracked,
        read_privilege=f"prvRead{name.capitalize()}",
        primary_name="name",
    )


def plain(name: str, kind: ColumnType = ColumnType.STRING) -> ColumnDef:
    return ColumnDef(name=name, type=kind, source_name=name)


def lookup(name: str) -> ColumnDef:
    return ColumnDef(name=name, type=ColumnType.GUID, source_name=f"_{name}_value")


def polymorphic(name: str) -> tuple[ColumnDef, ColumnDef]:
    """A lookup that may name rows of several tables, and what says of which."""
    companion = ColumnDef(
        name=f"{name}__type",
        type=ColumnType.STRING,
        source_name=f"_{name}_value",
        from_annotation=True,
    )
    return lookup(name), companion


ACCOUNT = table_def("account", plain("name"), plain("revenue", ColumnType.DECIMAL))
CONTACT = table_def("contact", plain("fullname"), lookup("parentcustomerid"))
SECURITY = (
    table_def(
        "systemuser",
        plain("fullname"),
        plain("azureactivedirectoryobjectid", ColumnType.GUID),
        plain("isdisabled", ColumnType.BOOL),
        ownership="business",
    ),
    table_def("team", plain("name"), ownership="business"),
    table_def(
        "businessunit",
        plain("name"),
        lookup("parentbusinessunitid"),
        ownership="organization",
    ),
    table_def(
        "role",
        plain("name"),
        lookup("parentrootroleid"),
        plain("isinherited", ColumnType.INT),
        ownership="business",
    ),
    table_def("privilege", plain("name"), ownership="none"),
    table_def(
        "teammembership",
        plain("systemuserid", ColumnType.GUID),
        plain("teamid", ColumnType.GUID),
        ownership="none",
        tracked=False,
    ),
    table_def(
        "systemuserroles",
        plain("systemuserid", ColumnType.GUID),
        plain("roleid", ColumnType.GUID),
        entity_set="systemuserrolescollection",
        key="systemuserroleid",
        ownership="none",
        tracked=False,
    ),
    table_def(
        "teamroles",
        plain("teamid", ColumnType.GUID),
        plain("roleid", ColumnType.GUID),
        entity_set="teamrolescollection",
        key="teamroleid",
        ownership="none",
        tracked=False,
    ),
    table_def(
        "roleprivileges",
        plain("roleid", ColumnType.GUID),
        plain("privilegeid", ColumnType.GUID),
        plain("privilegedepthmask", ColumnType.INT),
        entity_set="roleprivilegescollection",
        key="roleprivilegeid",
        ownership="none",
        tracked=False,
    ),
)
ALL_TABLES = (*SECURITY, ACCOUNT, CONTACT)


@dataclass
class _Rows:
    definition: TableDef
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Key and the version at which it was deleted.
    deleted: list[tuple[str, int]] = field(default_factory=list)


class FakeDataverse:
    """Tables of rows by staging column name; every write takes a new version."""

    def __init__(self, tables: tuple[TableDef, ...] = ALL_TABLES) -> None:
        self.version = 1000
        self.oldest_token = 0
        self._tables = {table.name: _Rows(table) for table in tables}
        # Answers given instead of the next ones, oldest first.
        self.scripted: list[Reply] = []
        self.requests: list[str] = []
        # Conditions on versions are answered with all rows.
        self.ignores_ranges = False

    def source(self, *, page_size: int = 5000) -> ODataSource:
        return ODataSource(
            self, endpoint=ENDPOINT, kind="dataverse", page_size=page_size
        )

    def add_table(self, table: TableDef) -> None:
        self._tables[table.name] = _Rows(table)

    def redefine(self, table: TableDef) -> None:
        """Change what the table looks like; rows keep their versions."""
        self._tables[table.name].definition = table
        self.expire_tokens()

    def put(self, table: str, key: object, **values: Any) -> None:
        """Create the row, or change the given columns of it."""
        rows = self._tables[table].rows
        self.version += 1
        definition = self._tables[table].definition
        row = rows.setdefault(str(key), {definition.key[0]: str(key)})
        row.update(values)
        row["versionnumber"] = self.version

    def delete(self, table: str, key: object) -> None:
        self.version += 1
        del self._tables[table].rows[str(key)]
        self._tables[table].deleted.append((str(key), self.version))

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        return self._tables[table].rows

    def expire_tokens(self) -> None:
        self.oldest_token = self.version + 1

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """The transport's one call."""
        self.requests.append(url)
        if self.scripted:
            return self.scripted.pop(0)
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/$count"):
            return self._count(parts.path.split("/")[-2])
        entity_set, _, key = parts.path.rsplit("/", 1)[1].rstrip(")").partition("(")
        table = next(
            t for t in self._tables.values() if t.definition.entity_set == entity_set
        )
        if key:
            return _row(table, key)
        size = int(headers["Prefer"].split("maxpagesize=")[1].split(",")[0])
        if "versionnumber" in query.get("$orderby", ""):
            return _json(self._ordered(table, url, query, size))
        if "$filter" in query:
            return _json({"value": self._named(table, query["$filter"])})
        if "$deltatoken" in query and int(query["$deltatoken"]) < self.oldest_token:
            return _expired()
        return _json(self._page(table, url, query, size))

    def _count(self, entity_set: str) -> Reply:
        (rows,) = (
            table.rows
            for table in self._tables.values()
            if table.definition.entity_set == entity_set
        )
        headers = {"Content-Type": "text/plain"}
        return Reply(status=200, headers=headers, body=str(len(rows)).encode())

    def _ordered(
        self, table: _Rows, url: str, query: dict[str, str], size: int
    ) -> dict[str, Any]:
        """Rows by version, of a range if one is asked for."""
        after, upto = _range("" if self.ignores_ranges else query.get("$filter", ""))
        found = [
            (row["versionnumber"], self._wire(table.definition, row))
            for row in table.rows.values()
            if after < row["versionnumber"] <= upto
        ]
        found.sort(key=lambda one: one[0], reverse="desc" in query["$orderby"])
        size = min(size, int(query.get("$top", size)))
        answer: dict[str, Any] = {"value": [wire for _, wire in found[:size]]}
        if len(found) > size and "$top" not in query:
            answer["@odata.nextLink"] = f"{url}&$skiptoken={size}"
        return answer

    def _named(self, table: _Rows, condition: str) -> list[dict[str, Any]]:
        """The rows that a condition names by their GUIDs."""
        keys = re.findall(r" eq ([0-9a-f-]{36})", condition)
        found = [table.rows[key] for key in keys if key in table.rows]
        return [self._wire(table.definition, row) for row in found]

    def _page(
        self, table: _Rows, url: str, query: dict[str, str], size: int
    ) -> dict[str, Any]:
        # A skip token says where the run began, what it reads and how far it came.
        since, upto, after = _place(query, now=self.version)
        items = self._items(table, since, upto, after)
        page, rest = items[:size], items[size:]
        base = url.split("?")[0]
        answer: dict[str, Any] = {"value": [item for _, item in page]}
        select = f"$select={query['$select']}&" if "$select" in query else ""
        if rest:
            place = f"{since}!{upto}!{page[-1][0]}"
            answer["@odata.nextLink"] = f"{base}?{select}$skiptoken={place}"
        elif table.definition.tracked:
            answer["@odata.deltaLink"] = f"{base}?{select}$deltatoken={upto}"
        return answer

    def _items(
        self, table: _Rows, since: int, upto: int, after: str
    ) -> list[tuple[str, dict[str, Any]]]:
        """Rows by version, then deletes, each with its place in the order."""
        changed = [
            (f"a{row['versionnumber']:012}", self._wire(table.definition, row))
            for row in table.rows.values()
            if row["versionnumber"] > since
        ]
        gone = [
            (f"b{version:012}", _deleted(table.definition, key))
            for key, version in table.deleted
            # A row that was created again is listed as deleted all the same.
            if since and version > since
        ]
        return [item for item in sorted(changed + gone, key=_first) if item[0] > after]

    @staticmethod
    def _wire(definition: TableDef, row: dict[str, Any]) -> dict[str, Any]:
        wire = {
            wire_name(column): row.get(column.name) for column in definition.columns
        }
        return {"@odata.etag": f'W/"{row["versionnumber"]}"', **wire}


def _range(condition: str) -> tuple[int, int]:
    """The bounds of `versionnumber gt … and versionnumber le …`."""
    found = re.fullmatch(
        r"versionnumber gt (-?\d+) and versionnumber le (\d+)", condition
    )
    return (int(found[1]), int(found[2])) if found else (-1, 2**63)


def _wire_name(column: ColumnDef) -> str:
    if column.from_annotation:
        return f"{column.source_name}@Microsoft.Dynamics.CRM.lookuplogicalname"
    return column.source_name


def _first(item: tuple[str, dict[str, Any]]) -> str:
    return item[0]


def _place(query: dict[str, str], *, now: int) -> tuple[int, int, str]:
    if "$skiptoken" in query:
        since, upto, after = unquote(query["$skiptoken"]).split("!")
        return int(since), int(upto), after
    return int(query.get("$deltatoken", "0")), now, ""


def _deleted(definition: TableDef, key: str) -> dict[str, Any]:
    context = f"{ENDPOINT}/$metadata#{definition.entity_set}/$deletedEntity"
    return {"@odata.context": context, "id": key, "reason": "deleted"}


def _json(document: dict[str, Any], *, status: int = 200) -> Reply:
    return Reply(
        status=status,
        headers={"Content-Type": "application/json; odata.metadata=minimal"},
        body=json.dumps(document).encode(),
    )


def _row(table: _Rows, key: str) -> Reply:
    if key not in table.rows:
        message = f"{table.definition.name} With Id = {key} Does Not Exist"
        return _json({"error": {"code": "0x80040217", "message": message}}, status=404)
    return _json(table.rows[key])


def _expired() -> Reply:
    message = (
        "Version stamp associated with the client has expired."
        " Please perform a full sync."
    )
    return _json({"error": {"code": "0x80044352", "message": message}}, status=400)
