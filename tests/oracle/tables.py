"""The tables of the machine's small world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from tests import fake_dataverse
from tests.fake_dataverse import lookup, plain, table_def


def _regarding() -> tuple[ColumnDef, ColumnDef]:
    """A lookup that names rows of several tables."""
    companion = ColumnDef(
        name="regardingobjectid__type",
        type=ColumnType.STRING,
        source_name="_regardingobjectid_value",
        from_annotation=True,
    )
    return lookup("regardingobjectid"), companion


def _links(name: str, key: str, *columns: str) -> TableDef:
    """Rows that connect two others; compared as a whole at every pull."""
    return table_def(
        name,
        *(plain(column, ColumnType.GUID) for column in columns),
        entity_set=f"{name}collection",
        key=key,
        ownership="none",
        tracked=False,
    )


ACCOUNT = table_def(
    "account",
    plain("name"),
    replace(plain("revenue", ColumnType.DECIMAL), secured=True),
    plain("employees", ColumnType.INT),
    plain("isopen", ColumnType.BOOL),
    plain("visitedon", ColumnType.DATETIME),
    lookup("inspectorid"),
)
# Compared as a whole at every pull, with a sweep at the end.
CONTACT = replace(
    table_def(
        "contact", plain("fullname"), lookup("parentcustomerid"), plain("pricecode")
    ),
    tracked=False,
)
TASK = table_def("task", plain("subject"), *_regarding())
STAKEHOLDER = _links("stakeholder", "stakeholderid", "accountid", "contactid")
FOLLOW = table_def("postfollow", *_regarding())


def _price() -> TableDef:
    """A table that belongs to the organization and whose key is no GUID."""
    table = table_def(
        "price",
        ColumnDef(
            name="amount", type=ColumnType.DECIMAL, source_name="amount", scale=2
        ),
        plain("seasons", ColumnType.CHOICES),
        key="code",
        ownership="organization",
    )
    key, *others = table.columns
    return replace(table, columns=(replace(key, type=ColumnType.STRING), *others))


def _with_superiors(table: TableDef) -> TableDef:
    if table.name != "systemuser":
        return table
    more = (lookup("parentsystemuserid"), lookup("positionid"))
    return replace(table, columns=(*table.columns, *more))


PRICE = _price()
SHARE = table_def(
    "principalobjectaccess",
    plain("objectid", ColumnType.GUID),
    plain("objecttypecode"),
    plain("principalid", ColumnType.GUID),
    plain("accessrightsmask", ColumnType.INT),
    plain("inheritedaccessrightsmask", ColumnType.INT),
    entity_set="principalobjectaccessset",
    ownership="none",
)
POSITION = table_def(
    "position", plain("name"), lookup("parentpositionid"), ownership="organization"
)
FIELD_PERMISSION = table_def(
    "fieldpermission",
    lookup("fieldsecurityprofileid"),
    plain("entityname"),
    plain("attributelogicalname"),
    plain("canread", ColumnType.INT),
    ownership="none",
)
SETTINGS = table_def(
    "usersettings",
    plain("uilanguageid", ColumnType.INT),
    entity_set="usersettingscollection",
    key="systemuserid",
    ownership="none",
)
SECURITY = (
    *map(_with_superiors, fake_dataverse.SECURITY),
    SHARE,
    POSITION,
    FIELD_PERMISSION,
    _links(
        "systemuserprofiles",
        "systemuserprofileid",
        "systemuserid",
        "fieldsecurityprofileid",
    ),
    _links("teamprofiles", "teamprofileid", "teamid", "fieldsecurityprofileid"),
    SETTINGS,
)
BUSINESS = (ACCOUNT, CONTACT, PRICE, TASK, STAKEHOLDER, FOLLOW)
TABLES = (*SECURITY, *BUSINESS)
BY_NAME: Mapping[str, TableDef] = {table.name: table for table in TABLES}
