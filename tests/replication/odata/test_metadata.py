"""What Dataverse's metadata says a table is, and what replication takes of it."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from replication.domain.tables import ColumnDef, ColumnType
from replication.odata.errors import (
    MalformedAnswerError,
    RequestRefusedError,
    UnusableMetadataError,
)
from tests.replication.odata.servers import Answer, json_answer


def attribute(name, kind, **members):
    """A column as `Attributes` lists it, with what casts add under `details`."""
    defaults = {
        "LogicalName": name,
        "AttributeType": kind,
        "AttributeTypeName": {"Value": f"{kind}Type"},
        "AttributeOf": None,
        "IsValidForRead": True,
        "RequiredLevel": {"Value": "None", "CanBeChanged": True},
    }
    return defaults | members


def label(text):
    localized = {"Label": text, "LanguageCode": 1033}
    return {"LocalizedLabels": [localized], "UserLocalizedLabel": localized}


def options(*pairs):
    listed = [{"Value": value, "Label": label(text)} for value, text in pairs]
    return {"OptionSet": {"IsGlobal": False, "Options": listed}}


def entity(name="account", **members):
    defaults = {
        "LogicalName": name,
        "EntitySetName": f"{name}s",
        "PrimaryIdAttribute": f"{name}id",
        "PrimaryNameAttribute": "name",
        "OwnershipType": "UserOwned",
        "IsActivity": False,
        "ChangeTrackingEnabled": True,
        "DisplayName": label(name.title()),
        "Privileges": [
            {"Name": f"prvCreate{name.title()}", "PrivilegeType": "Create"},
            {"Name": f"prvRead{name.title()}", "PrivilegeType": "Read"},
        ],
    }
    return defaults | members


ID = attribute(
    "accountid", "Uniqueidentifier", RequiredLevel={"Value": "SystemRequired"}
)
OWNER = attribute("ownerid", "Owner", Targets=["systemuser", "team"])


class Dataverse:
    """Answers metadata requests; a member comes only where it was selected."""

    def __init__(self, *attributes, entities=None):
        self.attributes = attributes or (ID,)
        self.entities = entities or [entity()]
        self.paths = []

    def __call__(self, request):
        path, _, query = unquote(request.target).partition("?")
        path = path.removeprefix("/api/data/v9.2/")
        self.paths.append(path)
        assert request.header("Consistency") == "Strong"
        parts = dict(part.split("=", 1) for part in query.split("&"))
        wanted = parts["$select"].split(",") + parts.get("$expand", "").split(",")
        return json_answer({"value": [*self.rows(path, parts, set(wanted))]})

    def rows(self, path, parts, wanted):
        if path == "EntityDefinitions":
            rows = [
                e for e in self.entities if f"'{e['LogicalName']}'" in parts["$filter"]
            ]
        else:
            cast = re.search(r"CRM\.(\w+)AttributeMetadata$", path)
            rows = [a for a in self.attributes if not cast or self.is_a(a, cast[1])]
        for row in rows:
            yield {name: value for name, value in row.items() if name in wanted}

    def is_a(self, row, cast):
        kind = row["AttributeTypeName"]["Value"].removesuffix("Type")
        return cast == ("Lookup" if kind in {"Customer", "Owner"} else kind)


@pytest.fixture
def load(start, source_at):
    """Load tables from a Dataverse that knows these attributes."""

    def load_from(dataverse, names=("account",)):
        return source_at(start(dataverse)).load_tables(names)

    return load_from


@pytest.fixture
def columns_of(load):
    def load_columns(*attributes):
        [table] = load(Dataverse(ID, *attributes))
        return table.columns[1:]

    return load_columns


def test_a_table_is_what_its_definition_says(load):
    version = attribute("versionnumber", "BigInt")
    [account] = load(Dataverse(version, attribute("name", "String"), ID))

    assert (account.name, account.entity_set) == ("account", "accounts")
    assert account.key == ("accountid",)
    assert account.primary_name == "name"
    assert account.version_column == "versionnumber"
    assert account.ownership == "user"
    assert account.tracked
    assert account.read_privilege == "prvReadAccount"
    assert account.label == "Account"
    assert [c.name for c in account.columns] == ["accountid", "name", "versionnumber"]
    assert account.columns[0].required


def test_tables_come_in_the_order_asked_for_and_unknown_names_are_left_out(load):
    known = [
        entity(name, PrimaryIdAttribute="accountid") for name in ("account", "contact")
    ]
    names = ("contact", "nothing", "account", "contact", "x' or 'a' eq 'a")

    tables = load(Dataverse(entities=known), names)

    assert [table.name for table in tables] == ["contact", "account"]


def test_a_table_without_entity_set_is_left_out(load):
    assert load(Dataverse(entities=[entity(EntitySetName=None)])) == ()


@pytest.mark.parametrize(
    ("kind", "ownership"),
    [
        ("UserOwned", "user"),
        ("TeamOwned", "user"),
        ("BusinessOwned", "business"),
        ("OrganizationOwned", "organization"),
        ("None", "none"),
        (None, "none"),
    ],
)
def test_ownership_decides_how_rows_are_handed_out(load, kind, ownership):
    [account] = load(Dataverse(entities=[entity(OwnershipType=kind)]))

    assert account.ownership == ownership


def test_activities_share_one_privilege(load):
    task = entity(
        "task", PrimaryIdAttribute="accountid", Privileges=[], IsActivity=True
    )

    [table] = load(Dataverse(entities=[task]), ("task",))

    assert table.read_privilege == "prvReadActivity"


def test_a_table_without_change_tracking_or_version_is_read_in_full(load):
    [roles] = load(Dataverse(entities=[entity(ChangeTrackingEnabled=False)]))

    assert not roles.tracked
    assert roles.version_column is None


@pytest.mark.parametrize(
    ("kind", "column_type"),
    [
        ("Uniqueidentifier", ColumnType.GUID),
        ("String", ColumnType.STRING),
        ("Memo", ColumnType.STRING),
        ("EntityName", ColumnType.STRING),
        ("Integer", ColumnType.INT),
        ("Picklist", ColumnType.INT),
        ("State", ColumnType.INT),
        ("Status", ColumnType.INT),
        ("BigInt", ColumnType.BIGINT),
        ("Decimal", ColumnType.DECIMAL),
        ("Money", ColumnType.DECIMAL),
        ("Double", ColumnType.DOUBLE),
        ("Boolean", ColumnType.BOOL),
        ("DateTime", ColumnType.DATETIME),
    ],
)
def test_every_kind_of_column_has_its_type(columns_of, kind, column_type):
    [column] = columns_of(attribute("x", kind))

    assert (column.name, column.source_name, column.type) == ("x", "x", column_type)


def test_what_is_particular_to_a_kind_is_known(columns_of):
    columns = columns_of(
        attribute("a", "String", MaxLength=160),
        attribute("b", "Memo", MaxLength=2000),
        attribute("c", "Money", Precision=4),
        attribute("d", "Decimal", Precision=10),
        attribute("e", "DateTime", DateTimeBehavior={"Value": "DateOnly"}),
        attribute("f", "Picklist", **options((1, "Any"), (2, "Email"))),
        attribute("g", "State", **options((0, "Active"))),
    )

    assert [c.max_length for c in columns[:2]] == [160, 2000]
    assert [c.scale for c in columns[2:4]] == [4, 10]
    assert columns[4].type is ColumnType.DATE
    assert columns[5].options == ((1, "Any"), (2, "Email"))
    assert columns[6].options == ((0, "Active"),)


def test_a_choice_of_many_is_told_by_the_name_of_its_type(columns_of):
    [hobbies] = columns_of(
        attribute(
            "hobbies",
            "Virtual",
            AttributeTypeName={"Value": "MultiSelectPicklistType"},
            OptionSet=None,
            GlobalOptionSet=options((1, "Hiking"))["OptionSet"],
        )
    )

    assert hobbies.type is ColumnType.CHOICES
    assert hobbies.options == ((1, "Hiking"),)


def test_columns_that_no_row_carries_are_left_out(columns_of):
    assert not columns_of(
        attribute("ownerididtype", "EntityName", AttributeOf="ownerid"),
        attribute("secret", "String", IsValidForRead=False),
        attribute("statecodename", "Virtual"),
        attribute("image", "Virtual", AttributeTypeName={"Value": "ImageType"}),
        attribute("file", "Virtual", AttributeTypeName={"Value": "FileType"}),
        attribute("to", "PartyList"),
        attribute("rules", "CalendarRules"),
        attribute("iscustomizable", "ManagedProperty"),
    )


def test_what_may_be_written_is_known_for_creations_and_for_updates(columns_of):
    columns = columns_of(
        attribute("createdon", "DateTime", IsValidForCreate=False),
        attribute("taskid", "Uniqueidentifier", IsValidForUpdate=False),
        attribute("customerid", "Customer", IsValidForUpdate=False),
        attribute("name", "String"),
    )

    closed = {c.name: (c.creatable, c.updatable) for c in columns}
    assert closed["createdon"] == (False, True)
    assert closed["taskid"] == closed["customerid"] == (True, False)
    assert closed["customerid__type"] == (True, False)
    assert closed["name"] == (True, True)


def test_a_secured_column_is_known_as_such_and_so_is_its_companion(columns_of):
    columns = columns_of(
        attribute("creditlimit", "Money", IsSecured=True),
        attribute("customerid", "Customer", IsSecured=True),
        attribute("name", "String", IsSecured=False),
    )

    assert {column.name for column in columns if column.secured} == {
        "creditlimit",
        "customerid",
        "customerid__type",
    }


def test_a_lookup_with_one_target_is_one_column(columns_of):
    columns = columns_of(attribute("primarycontactid", "Lookup", Targets=["contact"]))

    assert columns == (
        ColumnDef(
            name="primarycontactid",
            type=ColumnType.GUID,
            source_name="_primarycontactid_value",
            references=("contact",),
        ),
    )


@pytest.mark.parametrize(
    "lookup",
    [
        OWNER,
        attribute("ownerid", "Owner", Targets=[]),
        attribute("ownerid", "Lookup", Targets=["systemuser", "team"]),
    ],
)
def test_a_lookup_with_more_targets_has_a_companion_for_the_table(columns_of, lookup):
    owner, companion = columns_of(lookup)

    assert owner.references == ("systemuser", "team")
    assert companion == ColumnDef(
        name="ownerid__type",
        type=ColumnType.STRING,
        source_name="_ownerid_value",
        from_annotation=True,
    )


def test_a_column_keeps_its_name_and_the_companion_gives_way(columns_of):
    columns = columns_of(
        OWNER, attribute("ownerid__type", "String"), attribute("_version", "Integer")
    )

    assert {column.name: column.source_name for column in columns} == {
        "_version_2": "_version",
        "ownerid": "_ownerid_value",
        "ownerid__type": "ownerid__type",
        "ownerid__type_2": "_ownerid_value",
    }


def test_only_the_casts_that_a_table_needs_are_requested(load):
    dataverse = Dataverse(ID, OWNER)

    load(dataverse)

    address = "EntityDefinitions(LogicalName='account')/Attributes"
    assert dataverse.paths == [
        "EntityDefinitions",
        address,
        f"{address}/Microsoft.Dynamics.CRM.LookupAttributeMetadata",
    ]


def test_many_tables_are_asked_for_in_several_requests(load):
    dataverse = Dataverse()

    load(dataverse, tuple(f"table{number}" for number in range(60)))

    assert dataverse.paths == ["EntityDefinitions"] * 3


def test_a_table_whose_key_cannot_be_read_is_the_operators_to_mend(load):
    with pytest.raises(UnusableMetadataError, match="account"):
        load(Dataverse(attribute("name", "String")))


def test_metadata_of_another_shape_is_malformed(start, source_at):
    server = start(lambda request: json_answer({"value": [{"LogicalName": 7}]}))

    with pytest.raises(MalformedAnswerError):
        source_at(server).load_tables(("account",))


def test_metadata_that_is_refused_is_the_operators_to_mend(start, source_at):
    server = start(lambda request: Answer(status=404))

    with pytest.raises(RequestRefusedError):
        source_at(server).load_tables(("account",))
