"""Shares open single rows, and access can be asked about."""

from __future__ import annotations

from sandbox.contoso.people import AUDIT_CIRCLE, PEOPLE_BY_KEY
from tests.sandbox.running import as_person

NIELS, LINUS = PEOPLE_BY_KEY["niels"], PEOPLE_BY_KEY["linus"]


def grant(client, account_id, mask, user=LINUS, action="GrantAccess"):
    return client.api(
        "POST",
        action,
        {
            "Target": {
                "@odata.type": "Microsoft.Dynamics.CRM.account",
                "accountid": account_id,
            },
            "PrincipalAccess": {
                "AccessMask": mask,
                "Principal": {
                    "@odata.type": "Microsoft.Dynamics.CRM.systemuser",
                    "systemuserid": user.id,
                },
            },
        },
    )


def rights(client, account_id, user=LINUS):
    answer = client.get(
        f"systemusers({user.id})/Microsoft.Dynamics.CRM.RetrievePrincipalAccess"
        f"(Target=@p1)?@p1={{'@odata.id':'accounts({account_id})'}}"
    )
    return answer.json()["AccessRights"]


def test_a_share_opens_a_row_until_it_is_taken_back(running, contoso):
    row = contoso.created("accounts", name="Shared")
    path, linus = f"accounts({row['accountid']})", as_person(running, "linus")

    before = linus.get(path).status_code
    grant(contoso, row["accountid"], "ReadAccess")
    shared, asked = linus.get(path).status_code, rights(contoso, row["accountid"])
    listed = {one["accountid"] for one in linus.rows("accounts?$select=accountid")}
    written = linus.api("PATCH", path, {"name": "x"}).status_code
    contoso.api(
        "POST",
        "RevokeAccess",
        {
            "Target": {"@odata.id": path},
            "Revokee": {"@odata.id": f"systemusers({LINUS.id})"},
        },
    )

    assert (before, shared, written) == (403, 200, 403)
    assert asked == "ReadAccess"
    assert row["accountid"] in listed
    assert linus.get(path).status_code == 403
    masks = {
        one["accessrightsmask"]
        for one in contoso.rows("principalobjectaccessset")
        if one["objectid"] == row["accountid"]
    }
    assert masks == {0}


def test_a_share_helps_nobody_without_the_privilege(running, contoso):
    row = contoso.created("accounts", name="Shared in vain")

    grant(contoso, row["accountid"], "ReadAccess", NIELS)

    answer = as_person(running, "niels").get(f"accounts({row['accountid']})")
    assert answer.status_code == 403


def test_a_teams_share_opens_the_row_to_its_members(running, contoso):
    shares = contoso.rows("principalobjectaccessset")
    shared = {
        one["objectid"] for one in shares if one["principalid"] == AUDIT_CIRCLE.id
    }

    seen = as_person(running, "ada").rows("appointments?$select=activityid")

    assert shared
    assert shared <= {row["activityid"] for row in seen}


def test_the_privileges_of_a_user_can_be_asked_for(contoso):
    user = PEOPLE_BY_KEY["marie"].id
    answer = contoso.get(
        f"systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()"
    ).json()

    depths = {one["PrivilegeName"]: one["Depth"] for one in answer["RolePrivileges"]}
    assert depths["prvReadAccount"] == "Deep"
    assert depths["prvWriteAccount"] == "Local"


def test_shares_are_written_by_their_messages_only(contoso):
    answer = contoso.api("POST", "principalobjectaccessset", {})

    assert answer.status_code == 405
