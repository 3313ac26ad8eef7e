"""Contoso with all that decides what comes along with what: lookups of every kind,
shares, follows, superiors, secured columns.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from replication.domain.profiles import (
    Association,
    FilterText,
    Language,
    ProfileDef,
    ProfileItem,
    ServedRows,
)
from replication.domain.tables import ColumnDef, ColumnType
from replication.staging import schema
from replication.visibility import dependants, rules, stale
from replication.visibility.rules import Rule
from tests.fake_dataverse import (
    SECURITY,
    FakeDataverse,
    lookup,
    plain,
    polymorphic,
    table_def,
)
from tests.replication.checks import assert_sound
from tests.replication.databases import SharedDatabase
from tests.replication.worlds import EVERYONE, SavedWorld, World
from tests.staged import TestDevice, guid

READ = 1

_GUID, _INT = ColumnType.GUID, ColumnType.INT

_SYSTEMUSER = table_def(
    "systemuser",
    plain("fullname"),
    plain("azureactivedirectoryobjectid", _GUID),
    plain("isdisabled", ColumnType.BOOL),
    lookup("parentsystemuserid"),
    lookup("positionid"),
    ownership="business",
)
_MORE_SECURITY = (
    table_def(
        "principalobjectaccess",
        plain("principalid", _GUID),
        plain("objectid", _GUID),
        plain("objecttypecode"),
        plain("accessrightsmask", _INT),
        plain("inheritedaccessrightsmask", _INT),
        ownership="none",
    ),
    table_def("position", lookup("parentpositionid"), ownership="organization"),
    table_def(
        "fieldpermission",
        plain("entityname"),
        plain("attributelogicalname"),
        plain("canread", _INT),
        lookup("fieldsecurityprofileid"),
        ownership="none",
    ),
    table_def(
        "systemuserprofiles",
        plain("systemuserid", _GUID),
        plain("fieldsecurityprofileid", _GUID),
        key="systemuserprofileid",
        ownership="none",
        tracked=False,
    ),
    table_def(
        "teamprofiles",
        plain("teamid", _GUID),
        plain("fieldsecurityprofileid", _GUID),
        key="teamprofileid",
        ownership="none",
        tracked=False,
    ),
    table_def(
        "usersettings",
        plain("uilanguageid", _INT),
        key="systemuserid",
        ownership="none",
    ),
)
_FIELD = (
    table_def(
        "account",
        plain("name"),
        plain("city"),
        plain("language", _INT),
        plain("opened", ColumnType.DATETIME),
        lookup("createdby"),
        lookup("primarycontactid"),
        ColumnDef(
            name="creditlimit",
            type=ColumnType.DECIMAL,
            source_name="creditlimit",
            secured=True,
        ),
    ),
    table_def("contact", plain("fullname"), *polymorphic("parentcustomerid")),
    table_def("task", plain("name"), *polymorphic("regardingobjectid")),
    table_def("annotation", plain("name"), *polymorphic("objectid")),
    table_def("lead", plain("name")),
    table_def(
        "accountleads",
        plain("accountid", _GUID),
        plain("leadid", _GUID),
        key="accountleadid",
        ownership="none",
        tracked=False,
    ),
    table_def("postfollow", *polymorphic("regardingobjectid")),
)
_READABLE = tuple(t.name for t in _FIELD if t.ownership == "user")

RELATED_TABLES = (
    _SYSTEMUSER,
    *(table for table in SECURITY if table.name != "systemuser"),
    *_MORE_SECURITY,
    *_FIELD,
)

CONTACTS_OF_ACCOUNTS = Association(
    table="contact", kind="one_to_many", column="parentcustomerid"
)
PRIMARY_CONTACTS = Association(
    table="contact", kind="many_to_one", column="primarycontactid"
)
TASKS = Association(table="task", kind="one_to_many", column="regardingobjectid")
NOTES = Association(table="annotation", kind="one_to_many", column="objectid")
LEADS = Association(
    table="lead",
    kind="many_to_many",
    column="accountid",
    intersect="accountleads",
    other_column="leadid",
)


def mine(table: str, *associations: Association, **changes: Any) -> ProfileItem:
    """Rows that the user owns, with what comes along."""
    return ProfileItem(
        table=table,
        records="filtered",
        owned_by_me=True,
        associations=associations,
        **changes,
    )


def related(table: str, *associations: Association, **changes: Any) -> ProfileItem:
    return ProfileItem(
        table=table, records="related_only", associations=associations, **changes
    )


def written(text: str) -> FilterText:
    """A filter in either language."""
    language: Language = "fetchxml" if text.startswith("<") else "odata"
    return FilterText(language=language, text=text)


def filtered(
    table: str, text: str, *associations: Association, **changes: Any
) -> ProfileItem:
    """Rows that a filter accepts."""
    return ProfileItem(
        table=table,
        records="custom",
        filter=written(text),
        associations=associations,
        **changes,
    )


def served(table: str, text: str) -> dict[str, Any]:
    """The organization filter of one table, for `World.publish`."""
    return {"served": (ServedRows(table=table, filter=written(text)),)}


def fetch(attribute: str, operator: str, value: str | None = None) -> str:
    """A filter of one condition in FetchXML."""
    said = "" if value is None else f' value="{value}"'
    condition = f'<condition attribute="{attribute}" operator="{operator}"{said}/>'
    return f"<filter>{condition}</filter>"


def about_user(function: str, column: str) -> str:
    """A filter of one condition about the user, in OData."""
    return f"Microsoft.Dynamics.CRM.{function}(PropertyName='{column}')"


def profile_of(*items: ProfileItem, **changes: Any) -> ProfileDef:
    """A profile of everybody's."""
    values: dict[str, Any] = {"name": "Field", "assignments": EVERYONE}
    return ProfileDef(items=items, **values | changes)


CONTACTS_OF_OWN = profile_of(mine("account", CONTACTS_OF_ACCOUNTS), related("contact"))
PRIMARIES_OF_OWN = profile_of(mine("account", PRIMARY_CONTACTS), related("contact"))


class RelatedWorld(World):
    """Its rows go by name; whatever is put at the source has still to be pulled."""

    def add(
        self, table: str, name: str, *, owner: str = "Nobody", **values: Any
    ) -> UUID:
        """A row; values that are names of rows are given as ids."""
        key = guid(name)
        label = "fullname" if table == "contact" else "name"
        self.source.put(
            table,
            key,
            **{label: name},
            ownerid=str(guid(owner)),
            owningbusinessunit=str(guid("North")),
            **values,
        )
        return key

    def change(self, table: str, name: str, **values: Any) -> None:
        self.source.put(table, guid(name), **values)
        self.pull(table)

    def remove(self, table: str, name: str) -> None:
        self.source.delete(table, guid(name))
        self.pull(table)

    def link(self, account: str, lead: str) -> None:
        self.source.put(
            "accountleads",
            guid(f"{account}/{lead}"),
            accountid=str(guid(account)),
            leadid=str(guid(lead)),
        )

    def follow(self, user: str, table: str, name: str) -> None:
        self.source.put(
            "postfollow",
            guid(f"{user} follows {name}"),
            ownerid=str(guid(user)),
            owningbusinessunit=str(guid("North")),
            **naming("regardingobjectid", table, name),
        )

    def share(
        self, table: str, name: str, *, to: str, mask: int = READ, inherited: int = 0
    ) -> None:
        """Share a row, or change how it is shared."""
        self.source.put(
            "principalobjectaccess",
            guid(f"{name} for {to}"),
            principalid=str(guid(to)),
            objectid=str(guid(name)),
            objecttypecode=table,
            accessrightsmask=mask,
            inheritedaccessrightsmask=inherited,
        )
        self.pull("principalobjectaccess")

    def unshare(self, name: str, *, to: str) -> None:
        self.remove("principalobjectaccess", f"{name} for {to}")


def naming(lookup_column: str, table: str, name: str) -> dict[str, str]:
    """The values of a polymorphic lookup that names a row."""
    return {lookup_column: str(guid(name)), f"{lookup_column}__type": table}


def of_accounts(text: str, **changes: Any) -> ProfileDef:
    """A profile of the accounts that a filter accepts."""
    return profile_of(filtered("account", text), **changes)


def cities_of(device: TestDevice) -> set[Any]:
    return {row["city"] for row in device.store.rows("account").values()}


def living(world: World) -> tuple[Rule, ...]:
    return rules.living(world.database.kept("test"))


def assert_holds(
    world: World, device: TestDevice, names: set[str], table: str = "contact"
) -> None:
    """After one more sync the device has the rows of these names."""
    device.sync()
    assert device.names(table) == names
    assert_sound(world)


def in_small_pieces(monkeypatch: Any, *, most_at_once: int, chunk: int) -> None:
    """Let few rows be many."""
    monkeypatch.setattr(dependants, "MOST_AT_ONCE", most_at_once)
    monkeypatch.setattr(stale, "CHUNK_ROWS", chunk)


def saved_related(database: SharedDatabase) -> SavedWorld:
    """Contoso with North, South and Port below North; all tables are loaded.

    Ada of North reads every row of every field table; Grace of South, and Alan and
    Joan of Port, read only what belongs to them. Nothing is published.
    """
    made = RelatedWorld(
        database,
        organization=database.organization,
        tables=RELATED_TABLES,
        source=FakeDataverse(RELATED_TABLES),
    )
    schema.create_missing(database.kept("test"), RELATED_TABLES)
    made.add_unit("Contoso")
    made.add_unit("North", parent="Contoso")
    made.add_unit("South", parent="Contoso")
    made.add_unit("Port", parent="North")
    for role, depth in (("Reader", 8), ("Salesperson", 1)):
        made.add_role(role, unit="Contoso")
        for table in _READABLE:
            made.set_depth(role, table, depth)
    made.add_user("Ada", unit="North", roles=["Reader"])
    made.add_user("Grace", unit="South", roles=["Salesperson"])
    made.add_user("Alan", unit="Port", roles=["Salesperson"])
    made.add_user("Joan", unit="Port", roles=["Salesperson"])
    made.pull_all()
    return SavedWorld(made, name="related")


def add_two_accounts(world: RelatedWorld) -> None:
    """Airport of Ada's with the contact Kay, Harbour of Grace's with Lin."""
    world.add("account", "Airport", owner="Ada")
    world.add("account", "Harbour", owner="Grace")
    for name, account in (("Kay", "Airport"), ("Lin", "Harbour")):
        world.add("contact", name, **naming("parentcustomerid", "account", account))
    world.add("contact", "Nobody's")
    world.pull_these("account", "contact")
