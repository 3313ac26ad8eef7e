"""What the organization says of itself: CSDL and the metadata API."""

from __future__ import annotations

import pytest
from defusedxml import ElementTree

from tests.sandbox.running import where

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
CAST = "Microsoft.Dynamics.CRM"


@pytest.fixture
def csdl(contoso):
    return ElementTree.fromstring(contoso.get("$metadata").content)


def entity(csdl, name):
    return csdl.find(f".//{EDM}EntityType[@Name='{name}']")


def names(element, kind):
    return {child.get("Name") for child in element.findall(f"{EDM}{kind}")}


def columns(contoso, path):
    return {row["LogicalName"]: row for row in contoso.rows(path)}


def test_users_and_teams_inherit_their_key_from_principal(csdl):
    assert entity(csdl, "systemuser").get("BaseType") == "mscrm.principal"
    assert entity(csdl, "systemuser").find(f"{EDM}Key") is None
    key = entity(csdl, "principal").find(f"{EDM}Key/{EDM}PropertyRef")
    assert key.get("Name") == "ownerid"


def test_a_task_has_what_all_activities_have_by_inheritance(csdl):
    assert entity(csdl, "task").get("BaseType") == "mscrm.activitypointer"
    assert "percentcomplete" in names(entity(csdl, "task"), "Property")
    assert "subject" not in names(entity(csdl, "task"), "Property")
    assert {"subject", "activityid"} <= names(
        entity(csdl, "activitypointer"), "Property"
    )


def test_rows_have_exactly_the_properties_of_the_document(contoso, csdl):
    row = contoso.rows("accounts?$top=1")[0]

    assert set(row) - {"@odata.etag"} == names(entity(csdl, "account"), "Property")


def test_a_lookup_of_many_tables_has_a_navigation_for_each(csdl):
    navigations = {
        navigation.get("Name"): navigation.find(f"{EDM}ReferentialConstraint")
        for navigation in entity(csdl, "contact").findall(f"{EDM}NavigationProperty")
    }

    for name in ("parentcustomerid_account", "parentcustomerid_contact"):
        assert navigations[name].get("Property") == "_parentcustomerid_value"


def test_entity_sets_say_whether_they_track_changes(csdl):
    tracked = {
        entity_set.get("Name"): entity_set.find(f"{EDM}Annotation") is not None
        for entity_set in csdl.iter(f"{EDM}EntitySet")
    }

    assert tracked["accounts"]
    assert tracked["roles"]
    assert not tracked["teammemberships"]


def test_annotations_come_when_asked_for(contoso):
    text = contoso.get("$metadata?annotations=true").text

    assert "Org.OData.Core.V1.Computed" in text
    assert "Org.OData.Core.V1.Computed" not in contoso.get("$metadata").text


def test_tables_are_filtered_by_flags_names_enums_and_managed_properties(contoso):
    def found(expression):
        query = f"EntityDefinitions?$select=LogicalName&{where(expression)}"
        return {row["LogicalName"] for row in contoso.rows(query)}

    assert found("LogicalName eq 'account' or LogicalName eq 'task'") == {
        "account",
        "task",
    }
    assert "teammembership" in found("IsIntersect eq true")
    assert found("ChangeTrackingEnabled eq false and IsIntersect eq false") == {
        "organization",
        "privilege",
    }
    owned = "OwnershipType eq Microsoft.Dynamics.CRM.OwnershipTypes'UserOwned'"
    assert found(f"{owned} and IsActivity eq false") == {
        "account",
        "annotation",
        "contact",
        "postfollow",
        "syncerror",
    }
    assert "role" in found("CanChangeTrackingBeEnabled/Value eq true")


def test_a_table_tells_its_names_and_privileges(contoso):
    table = contoso.get(
        "EntityDefinitions(LogicalName='task')?$select=LogicalName,EntitySetName,"
        "PrimaryIdAttribute,ObjectTypeCode,Privileges,IsActivity"
    ).json()

    assert table["EntitySetName"] == "tasks"
    assert table["PrimaryIdAttribute"] == "activityid"
    assert table["ObjectTypeCode"] == 4212
    assert "prvReadActivity" in {row["Name"] for row in table["Privileges"]}
    assert table["MetadataId"]


def test_columns_that_shadow_another_say_so(contoso):
    account = columns(
        contoso,
        "EntityDefinitions(LogicalName='account')/Attributes"
        "?$select=LogicalName,AttributeType,AttributeOf,IsValidForRead",
    )

    assert account["owneridtype"]["AttributeOf"] == "ownerid"
    assert account["statecodename"]["AttributeOf"] == "statecode"
    assert account["ownerid"]["AttributeType"] == "Owner"
    assert account["revenue"]["AttributeOf"] is None


@pytest.mark.parametrize(
    ("cast", "query", "column", "member", "value"),
    [
        ("String", "$select=LogicalName,MaxLength", "name", "MaxLength", 160),
        ("Memo", "$select=LogicalName,MaxLength", "description", "MaxLength", 2000),
        ("Money", "$select=LogicalName,Precision", "revenue", "Precision", 4),
        ("Decimal", "$select=LogicalName,Precision", "exchangerate", "Precision", 10),
        ("Integer", "$select=LogicalName,MinValue", "numberofemployees", "MinValue", 0),
        (
            "Lookup",
            "$select=LogicalName,Targets",
            "ownerid",
            "Targets",
            ["systemuser", "team"],
        ),
        (
            "DateTime",
            "$select=LogicalName,Format,DateTimeBehavior",
            "overriddencreatedon",
            "DateTimeBehavior",
            {"Value": "DateOnly"},
        ),
    ],
)
def test_members_of_one_kind_are_behind_a_cast(
    contoso, cast, query, column, member, value
):
    path = "EntityDefinitions(LogicalName='account')/Attributes"

    found = columns(contoso, f"{path}/{CAST}.{cast}AttributeMetadata?{query}")
    one = where(f"LogicalName eq '{column}'")
    uncast = contoso.get(f"{path}?{query}&{one}")

    assert found[column][member] == value
    assert uncast.status_code == 400


@pytest.mark.parametrize(
    ("cast", "column", "option"),
    [
        ("Picklist", "prioritycode", (2, "High")),
        ("State", "statecode", (1, "Completed")),
        ("Status", "statuscode", (7, "Deferred")),
    ],
)
def test_options_come_by_expanding_the_option_set(contoso, cast, column, option):
    found = columns(
        contoso,
        f"EntityDefinitions(LogicalName='task')/Attributes/{CAST}"
        f".{cast}AttributeMetadata?$select=LogicalName&$expand=OptionSet,GlobalOptionSet",
    )

    options = {
        row["Value"]: row["Label"]["UserLocalizedLabel"]["Label"]
        for row in found[column]["OptionSet"]["Options"]
    }
    assert options[option[0]] == option[1]


def test_one_column_can_be_addressed_with_a_cast(contoso):
    path = "EntityDefinitions(LogicalName='account')/Attributes(LogicalName='name')"

    column = contoso.get(f"{path}/{CAST}.StringAttributeMetadata?$select=MaxLength")
    other = contoso.get(f"{path}/{CAST}.MoneyAttributeMetadata")

    assert column.json()["MaxLength"] == 160
    assert other.status_code == 404


def test_columns_can_be_expanded_from_the_table(contoso):
    table = contoso.get(
        "EntityDefinitions(LogicalName='team')?$select=LogicalName"
        "&$expand=Attributes($select=LogicalName,AttributeType),Keys"
    ).json()

    found = {row["LogicalName"]: row["AttributeType"] for row in table["Attributes"]}
    assert found["businessunitid"] == "Lookup"
    assert "ownerid" not in found


def test_an_unknown_table_is_404_and_an_unknown_member_400(contoso):
    table = contoso.get("EntityDefinitions(LogicalName='unicorn')")
    member = contoso.get("EntityDefinitions?$select=Nosuch")

    assert (table.status_code, member.status_code) == (404, 400)


def test_secured_columns_say_so_and_their_permissions_are_rows(contoso):
    account = columns(
        contoso,
        "EntityDefinitions(LogicalName='account')/Attributes"
        "?$select=LogicalName,IsSecured",
    )
    permissions = contoso.rows("fieldpermissions")
    holders = contoso.rows("systemuserprofilescollection")

    secured = {name for name, column in account.items() if column["IsSecured"]}
    allowed = {
        row["attributelogicalname"] for row in permissions if row["canread"] == 4
    }
    assert secured == allowed == {"creditlimit", "creditlimit_base"}
    assert {row["fieldsecurityprofileid"] for row in holders} == {
        row["_fieldsecurityprofileid_value"] for row in permissions
    }
    assert contoso.rows("teamprofilescollection")
