"""The issuer: discovery, keys, and tokens for an application and for people."""

from __future__ import annotations

import jwt
import pytest
from azure.identity import ClientSecretCredential

from sandbox.contoso.people import APPLICATION_ID, TENANT_ID
from tests.sandbox.running import Client, as_person, token

PASSWORD = {"grant_type": "password", "client_id": "tests", "password": "sandbox"}
SECRET = {
    "grant_type": "client_credentials",
    "client_id": "waystation",
    "client_secret": "sandbox",
}
FOR_DEVICES = {"scope": "api://waystation/user_impersonation"}


def claims(running, answer):
    """Return the claims of a token, checked with the published keys."""
    client = Client(running)
    configuration = client.request(
        "GET", "/contoso/v2.0/.well-known/openid-configuration"
    ).json()
    keys = client.request("GET", configuration["jwks_uri"]).json()["keys"]
    encoded = answer.json()["access_token"]
    kid = jwt.get_unverified_header(encoded)["kid"]
    jwk = next(key for key in keys if key["kid"] == kid)
    found = jwt.decode(
        encoded,
        jwt.PyJWK(jwk, algorithm="RS256").key,
        algorithms=["RS256"],
        issuer=configuration["issuer"],
        options={"verify_aud": False},
    )
    assert found["iss"] == f"{running.url}/{TENANT_ID}/v2.0"
    assert (found["tid"], found["ver"]) == (TENANT_ID, "2.0")
    return found


@pytest.mark.parametrize("tenant", ["contoso", TENANT_ID])
def test_the_tenant_answers_to_its_name_and_to_its_guid(running, tenant):
    path = f"/{tenant}/v2.0/.well-known/openid-configuration"

    configuration = Client(running).request("GET", path).json()

    assert configuration["issuer"] == f"{running.url}/{TENANT_ID}/v2.0"
    assert configuration["token_endpoint"].startswith(running.url)
    assert configuration["authorization_endpoint"].startswith(running.url)


def test_azure_identity_obtains_its_token_unchanged(running):
    credential = ClientSecretCredential(
        "contoso",
        "waystation",
        "sandbox",
        authority=running.url,
        disable_instance_discovery=True,
        connection_verify=str(running.ca_file),
    )

    with credential:
        access = credential.get_token(f"{running.url}/.default")

    client = Client(running, {"Authorization": f"Bearer {access.token}"})
    assert client.get("WhoAmI").status_code == 200


def test_an_application_token_for_waystation_bears_the_admin_role(running):
    answer = token(running, **SECRET, scope="api://waystation/.default")

    found = claims(running, answer)
    assert found["aud"] == "api://waystation"
    assert (found["roles"], found["idtyp"]) == (["Waystation.Admin"], "app")
    assert found["azp"] == APPLICATION_ID
    assert "scp" not in found


def test_an_application_token_for_the_organization_bears_no_role(running):
    found = claims(running, token(running, **SECRET, scope=f"{running.url}//.default"))

    assert found["aud"] == f"{running.url}/"
    assert "roles" not in found


def test_a_persons_token_names_the_object_id_of_the_systemuser(running, contoso):
    answer = token(running, **PASSWORD, **FOR_DEVICES, username="ADA@contoso.example")

    found = claims(running, answer)
    user = next(
        row
        for row in contoso.rows("systemusers")
        if row["azureactivedirectoryobjectid"] == found["oid"]
    )
    assert user["domainname"] == "ada@contoso.example"
    assert (found["aud"], found["scp"]) == ("api://waystation", "sync")
    assert "roles" not in found


@pytest.mark.parametrize(
    ("form", "status", "error", "number"),
    [
        (SECRET | {"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        (SECRET | {"client_id": "who"}, 400, "unauthorized_client", 700016),
        (SECRET | {"scope": "api://other/.default"}, 400, "invalid_resource", 500011),
        (SECRET | {"scope": "nonsense"}, 400, "invalid_scope", 70011),
        (SECRET | FOR_DEVICES, 400, "invalid_scope", 1002012),
        (PASSWORD | {"password": "wrong"}, 400, "invalid_grant", 50126),
        (PASSWORD | {"username": "eve@contoso.example"}, 400, "invalid_grant", 50034),
        (
            PASSWORD | {"username": "waystation@contoso.example"},
            400,
            "invalid_grant",
            50034,
        ),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type", 70003),
        ({}, 400, "invalid_request", 900144),
    ],
)
def test_refusals_carry_the_numbers_of_entra(running, form, status, error, number):
    usual = {"username": "ada@contoso.example", "scope": "api://waystation/.default"}

    answer = token(running, **(usual | form))

    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, error)
    assert body["error_codes"] == [number]
    assert body["error_description"].startswith(f"AADSTS{number}: ")


def test_an_unknown_tenant_is_refused(running):
    answer = Client(running).request("GET", "/fabrikam/discovery/v2.0/keys")

    assert answer.json()["error_codes"] == [90002]


def test_a_token_for_waystation_does_not_open_the_organization(running):
    answer = token(running, **PASSWORD, **FOR_DEVICES, username="hedy@contoso.example")
    client = Client(
        running, {"Authorization": f"Bearer {answer.json()['access_token']}"}
    )

    assert client.get("WhoAmI").status_code == 401


def test_a_forged_token_does_not_open_the_organization(running, contoso):
    honest = contoso.headers["Authorization"].removeprefix("Bearer ")
    content = jwt.decode(honest, options={"verify_signature": False})
    forged = jwt.encode(content, "x" * 32, algorithm="HS256")

    for encoded in (forged, honest[:-8] + "AAAAAAAA", ""):
        client = Client(running, {"Authorization": f"Bearer {encoded}"})
        assert client.get("WhoAmI").status_code == 401


def test_an_expired_token_does_not_open_the_organization(alone):
    alone.control("POST", "settings", {"access_token_seconds": 0})

    late = as_person(alone.running, "hedy")

    assert late.get("WhoAmI").status_code == 401
