"""How tables belong together: relationships, keys, paths along them, `$expand`."""

from __future__ import annotations

import pytest

from tests.sandbox.running import as_person, where

CAST = "Microsoft.Dynamics.CRM"
ONE_TO_MANY = f"{CAST}.OneToManyRelationshipMetadata"


def named(rows):
    return {row["SchemaName"]: row for row in rows}


def test_a_relationship_is_the_same_from_all_sides(contoso):
    name = "contact_customer_accounts"
    one_name = where(f"SchemaName eq '{name}'")
    one = contoso.rows(f"RelationshipDefinitions/{ONE_TO_MANY}?{one_name}")[0]

    account, contact = (
        f"EntityDefinitions(LogicalName='{table}')" for table in ("account", "contact")
    )
    below = named(contoso.rows(f"{account}/OneToManyRelationships"))
    above = named(contoso.rows(f"{contact}/ManyToOneRelationships"))
    alone = contoso.get(f"RelationshipDefinitions({one['MetadataId']})").json()

    assert below[name] == above[name] == one
    assert alone["SchemaName"] == name
    assert (one["ReferencedEntity"], one["ReferencedAttribute"]) == (
        "account",
        "accountid",
    )
    assert (one["ReferencingEntity"], one["ReferencingAttribute"]) == (
        "contact",
        "parentcustomerid",
    )
    assert one["ReferencingEntityNavigationPropertyName"] == "parentcustomerid_account"


def test_many_to_many_relationships_name_their_intersect(contoso):
    found = named(
        contoso.rows("EntityDefinitions(LogicalName='team')/ManyToManyRelationships")
    )

    members = found["teammembership_association"]
    assert members["IntersectEntityName"] == "teammembership"


def test_members_of_one_kind_of_relationship_are_behind_a_cast(contoso):
    query = "$select=SchemaName,ReferencedEntity"

    cast = contoso.get(f"RelationshipDefinitions/{ONE_TO_MANY}?{query}")
    uncast = contoso.get(f"RelationshipDefinitions?{query}")

    assert (cast.status_code, uncast.status_code) == (200, 400)


def test_profiles_name_relationships_by_their_ids(contoso):
    known = {row["MetadataId"] for row in contoso.rows("RelationshipDefinitions")}

    rows = contoso.rows("mobileofflineprofileitemassociations")

    assert rows
    assert {row["relationshipid"] for row in rows} <= known


def test_a_table_expands_to_relationships_and_keys(contoso):
    table = contoso.get(
        "EntityDefinitions(LogicalName='account')?$select=LogicalName"
        "&$expand=Keys($select=KeyAttributes),ManyToOneRelationships"
        "($select=SchemaName;$filter=ReferencedEntity eq 'contact')"
    ).json()

    assert [key["KeyAttributes"] for key in table["Keys"]] == [["accountnumber"]]
    names = {row["SchemaName"] for row in table["ManyToOneRelationships"]}
    assert names == {"account_primary_contact"}


def test_global_choices_are_listed_and_expanded(contoso):
    one = contoso.get("GlobalOptionSetDefinitions(Name='contoso_goods')").json()
    path = "EntityDefinitions(LogicalName='product')/Attributes"
    columns = {
        row["LogicalName"]: row
        for row in contoso.rows(
            f"{path}/{CAST}.PicklistAttributeMetadata?$expand=OptionSet,GlobalOptionSet"
        )
    }
    several = contoso.rows(f"{path}/{CAST}.MultiSelectPicklistAttributeMetadata")

    goods = columns["producttypecode"]["GlobalOptionSet"]
    assert (one["IsGlobal"], goods["MetadataId"]) == (True, one["MetadataId"])
    assert columns["productstructure"]["GlobalOptionSet"] is None
    assert [row["AttributeType"] for row in several] == ["Virtual"]
    assert several[0]["AttributeTypeName"]["Value"] == "MultiSelectPicklistType"


def test_several_options_are_kept_in_order(contoso):
    values = {"name": "Multi", "productnumber": "M-1", "contoso_uses": "3,1"}

    row = contoso.created("products", **values)
    wrong = contoso.api("POST", "products", values | {"contoso_uses": "99"})

    assert row["contoso_uses"] == "1,3"
    assert wrong.status_code == 400


@pytest.fixture(scope="module")
def family(running):
    """An account with a contact and a task of that contact."""
    hedy = as_person(running, "hedy")
    account = hedy.created("accounts", name="Family")
    path = f"accounts({account['accountid']})"
    contact = hedy.created(
        "contacts",
        **{"lastname": "Child", "parentcustomerid_account@odata.bind": path},
    )
    hedy.created(
        "tasks",
        **{
            "subject": "Grandchild",
            "regardingobjectid_contact_task@odata.bind": (
                f"contacts({contact['contactid']})"
            ),
        },
    )
    return path, f"contacts({contact['contactid']})"


def test_paths_lead_along_relationships(contoso, family):
    account, contact = family

    children = contoso.rows(f"{account}/contact_customer_accounts?$select=lastname")
    parent = contoso.get(f"{contact}/parentcustomerid_account?$select=name").json()
    other = contoso.get(f"{contact}/parentcustomerid_contact")
    name = contoso.get(f"{account}/name")

    assert [row["lastname"] for row in children] == ["Child"]
    assert parent["name"] == "Family"
    assert (other.status_code, other.content) == (204, b"")
    assert name.json()["value"] == "Family"
    assert contoso.get(f"{account}/name/$value").text == "Family"


def test_rows_are_expanded_in_depth(contoso, family):
    account, _ = family

    row = contoso.get(
        f"{account}?$select=name&$expand=contact_customer_accounts("
        "$select=lastname;$expand=Contact_Tasks($select=subject)),"
        "owninguser($select=fullname),primarycontactid"
    ).json()

    child = row["contact_customer_accounts"][0]
    assert [task["subject"] for task in child["Contact_Tasks"]] == ["Grandchild"]
    assert row["owninguser"]["fullname"] == "Hedy Keller"
    assert row["primarycontactid"] is None


def test_many_to_many_rows_are_expanded(contoso):
    one_team = where("name eq 'US Key Accounts'")
    rows = contoso.rows(
        "teams?$select=name&$expand=teammembership_association($select=domainname)"
        f"&{one_team}"
    )

    names = {user["domainname"] for user in rows[0]["teammembership_association"]}
    assert names == {"ada@contoso.example", "linus@contoso.example"}


def test_what_is_out_of_reach_is_not_expanded(running, contoso):
    contact = contoso.created("contacts", lastname="Hidden")
    ada = as_person(running, "ada")
    own = ada.created("accounts", name="Ada's")
    path = f"accounts({own['accountid']})"
    bind = {"primarycontactid@odata.bind": f"contacts({contact['contactid']})"}
    contoso.api("PATCH", path, bind)

    row = ada.get(f"{path}?$expand=primarycontactid").json()

    assert row["_primarycontactid_value"] == contact["contactid"]
    assert row["primarycontactid"] is None


def test_an_unknown_navigation_is_refused(contoso):
    assert contoso.get("accounts?$expand=nosuch&$top=1").status_code == 400
    assert contoso.get("accounts?$expand=primarycontactid(").status_code == 400


def test_a_profile_is_authored_and_published(contoso):
    profile = contoso.created("mobileofflineprofiles", name="New profile")
    path = f"mobileofflineprofiles({profile['mobileofflineprofileid']})"
    item = contoso.created(
        "mobileofflineprofileitems",
        **{
            "name": "Accounts",
            "regardingobjectid@odata.bind": f"/{path}",
            "selectedentitytypecode": "account",
            "recorddistributioncriteria": 2,
            "recordsownedbyme": True,
        },
    )
    item_path = f"mobileofflineprofileitems({item['mobileofflineprofileitemid']})"
    contoso.created(
        "mobileofflineprofileitemassociations",
        **{"name": "contacts", "regardingobjectid@odata.bind": f"/{item_path}"},
    )
    names = f"<mobileofflineprofile>{profile['mobileofflineprofileid']}<"
    contoso.api(
        "POST", "PublishXml", {"ParameterXml": f"<publish>{names}/x></publish>"}
    )

    whole = contoso.get(
        f"{path}?$expand=MobileOfflineProfile_MobileOfflineProfileItem($expand="
        "MobileOfflineProfileItem_MobileOfflineProfileItemAssociation)"
    ).json()
    contoso.api("DELETE", path)

    inner = whole["MobileOfflineProfile_MobileOfflineProfileItem"][0]
    related = inner["MobileOfflineProfileItem_MobileOfflineProfileItemAssociation"]
    assert (profile["componentstate"], whole["componentstate"]) == (1, 0)
    assert [one["name"] for one in related] == ["contacts"]
    assert contoso.get(item_path).status_code == 404


def test_every_table_can_be_read_and_tracked_as_it_says(contoso):
    tables = contoso.rows(
        "EntityDefinitions?$select=EntitySetName,ChangeTrackingEnabled"
    )

    for table in tables:
        answer = contoso.get(table["EntitySetName"], Prefer="odata.track-changes")
        is_tracked = table["ChangeTrackingEnabled"]
        assert answer.status_code == (200 if is_tracked else 400), table


@pytest.mark.parametrize(
    "entity_set",
    [
        "appointments", "annotations", "products", "postfollows", "positions",
        "principalobjectaccessset", "activityparties", "mobileofflineprofiles",
        "mobileofflineprofileitems", "usermobileofflineprofilememberships",
        "teammobileofflineprofilememberships", "organizations",
    ],
)  # fmt: skip
def test_every_kind_of_row_is_there_and_whole(contoso, entity_set):
    answer = contoso.get(entity_set, Prefer='odata.include-annotations="*"')

    assert answer.status_code == 200
    assert answer.json()["value"]
