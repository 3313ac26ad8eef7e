"""Tables, rows and pages for tests of the OData border."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from replication.domain.tables import ColumnDef, ColumnType, TableDef

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)

ADA = "2e451703-c686-e711-80e5-00155db19e6d"
GRACE = "60c4e274-0d87-e711-80e5-00155db19e6d"


def column(name, kind=ColumnType.STRING, **members):
    return ColumnDef(name=name, type=kind, **{"source_name": name} | members)


def contacts(*columns, **members):
    """A tracked Dataverse table with key, name and version, and what is added."""
    own = (
        column("contactid", ColumnType.GUID),
        column("fullname"),
        column("versionnumber", ColumnType.BIGINT),
    )
    settings: dict[str, Any] = {
        "name": "contact",
        "entity_set": "contacts",
        "key": ("contactid",),
        "version_column": "versionnumber",
        "tracked": True,
    }
    return TableDef(columns=own + columns, **settings | members)


def table(*columns, key, **members):
    """A table of another OData service."""
    settings: dict[str, Any] = {
        "name": "customers",
        "entity_set": "Customers",
        "tracked": True,
    }
    return TableDef(columns=columns, key=key, **settings | members)


def person(key=ADA, *, version=1, name="Ada", **members):
    return {
        "@odata.etag": f'W/"{version}"',
        "contactid": key,
        "fullname": name,
        "versionnumber": version,
    } | members


def removed(key=ADA, **members):
    """A deleted row as Dataverse writes it."""
    context = "https://contoso.example/api/data/v9.2/$metadata#contacts/$deletedEntity"
    return {"@odata.context": context, "id": key, "reason": "deleted"} | members


def page(*items, next_link=None, delta_link=None, **members):
    links = {"@odata.nextLink": next_link, "@odata.deltaLink": delta_link}
    given = {name: link for name, link in links.items() if link is not None}
    return {"@odata.context": "#contacts/$delta"} | given | members | {"value": items}


def body(*items, **members):
    return json.dumps(page(*items, **members)).encode()
