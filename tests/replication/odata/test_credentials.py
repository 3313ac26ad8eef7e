"""How a source and its identity provider are convinced of who is asking."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import pytest

from replication.odata.credentials import credential_from
from replication.odata.errors import (
    CredentialError,
    SourceUnavailableError,
    UnsafeEndpointError,
)
from tests.replication.odata.servers import Answer, json_answer

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
ENDPOINT = "https://contoso.example/api/data/v9.2"


def credential(document, **settings):
    given: dict[str, Any] = {
        "endpoint": ENDPOINT,
        "ca_certificate": "",
        "allow_loopback": True,
    }
    return credential_from(document, **given | settings)


class Entra:
    """An identity provider that hands out numbered tokens for the right secret."""

    def __init__(self):
        self.failure = None
        self.issued = 0

    def __call__(self, request):
        host = f"https://{request.header('Host')}"
        tenant = request.target.split("/")[1]
        if request.target.endswith("/openid-configuration"):
            return json_answer(
                {
                    "issuer": f"{host}/{tenant}/v2.0",
                    "authorization_endpoint": f"{host}/{tenant}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{host}/{tenant}/oauth2/v2.0/token",
                }
            )
        return self.failure or self.token(parse_qs(request.body.decode()))

    def token(self, form):
        if form["client_secret"] != ["sandbox"]:
            refused = json_answer(
                {
                    "error": "invalid_client",
                    "error_description": "AADSTS7000215: Invalid client secret.",
                }
            )
            refused.status = 401
            return refused
        self.issued += 1
        return json_answer(
            {
                "token_type": "Bearer",
                "expires_in": 3599,
                "access_token": f"{form['scope'][0]}#{self.issued}",
            }
        )


@pytest.fixture
def entra():
    return Entra()


@pytest.fixture
def entra_url(start, authority, entra):
    return start(entra, tls=authority[1]).url


@pytest.fixture
def sign_in(authority, entra_url):
    """Build a credential of a client that signs in at the identity provider."""
    certificate, _ = authority
    # Tokens are kept per identity for the life of the process.
    client = str(uuid4())

    def build(**members):
        document = {
            "type": "client_secret",
            "tenant_id": TENANT,
            "client_id": client,
            "client_secret": "sandbox",
            "authority": entra_url,
        }
        return credential(
            document | members,
            ca_certificate=certificate,
            allow_loopback=members.pop("allow_loopback", True),
        )

    return build


def test_a_client_secret_becomes_a_token_for_the_source(sign_in):
    assert sign_in().authorization() == "Bearer https://contoso.example/.default#1"


def test_a_scope_may_be_given(sign_in):
    token = sign_in(scope="api://waystation/.default").authorization()

    assert token == "Bearer api://waystation/.default#1"


def test_an_authority_may_be_given_as_the_issuer(sign_in, entra_url, entra):
    sign_in(authority=f"{entra_url}/{TENANT}/v2.0").authorization()

    assert entra.issued == 1


def test_credentials_of_one_identity_share_their_token(sign_in, entra):
    assert sign_in().authorization() == sign_in().authorization()
    assert entra.issued == 1


def test_another_secret_is_another_identity(sign_in):
    sign_in().authorization()

    with pytest.raises(CredentialError, match="AADSTS7000215"):
        sign_in(client_secret="wrong").authorization()


def test_a_refused_token_is_replaced_by_a_new_one(sign_in):
    first = sign_in()
    stale = first.authorization()

    fresh = first.renew(refused=stale)

    assert fresh == "Bearer https://contoso.example/.default#2"
    assert first.authorization() == fresh


def test_a_token_that_another_worker_has_renewed_is_not_renewed_again(sign_in, entra):
    one, other = sign_in(), sign_in()
    stale = one.authorization()

    assert one.renew(refused=stale) == other.renew(refused=stale)
    assert entra.issued == 2


def test_a_wrong_secret_is_the_operators_to_mend_and_not_repeated(sign_in):
    with pytest.raises(CredentialError) as raised:
        sign_in(client_secret="wrong-secret").authorization()

    assert "wrong-secret" not in str(raised.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_identity_provider_is_waited_for(sign_in, entra, status):
    entra.failure = Answer(status=status)

    with pytest.raises(SourceUnavailableError):
        sign_in().authorization()


def test_an_identity_provider_that_is_not_there_is_waited_for(sign_in):
    with pytest.raises(SourceUnavailableError):
        sign_in(authority="https://127.0.0.1:1").authorization()


def test_the_pause_an_identity_provider_asks_for_is_passed_on(sign_in, entra):
    entra.failure = Answer(status=429, headers={"Retry-After": "37"})

    with pytest.raises(SourceUnavailableError) as raised:
        sign_in().authorization()

    assert raised.value.retry_after == timedelta(seconds=37)


def test_an_identity_provider_on_loopback_is_off_limits_in_production(sign_in):
    with pytest.raises(UnsafeEndpointError):
        sign_in(allow_loopback=False).authorization()


def test_an_authority_without_tls_is_refused(sign_in):
    with pytest.raises(CredentialError):
        sign_in(authority="http://127.0.0.1:1").authorization()


def test_a_user_name_and_password_become_a_basic_header():
    basic = {"type": "basic", "username": "ada", "password": "lovelace"}

    header = credential(basic).authorization()

    assert header == f"Basic {base64.b64encode(b'ada:lovelace').decode()}"
    assert credential(basic).renew(refused=header) is None


def test_a_given_token_is_sent_as_it_is():
    assert credential({"type": "bearer", "token": "x"}).authorization() == "Bearer x"


def test_a_source_may_be_open_to_everybody():
    assert credential({"type": "none"}).authorization() is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"type": "kerberos"},
        {"type": "basic"},
        {"type": "bearer"},
        {"type": "bearer", "token": "x\r\nHost: evil"},
        {"type": "client_secret", "tenant_id": "t", "client_id": "c"},
        {"type": "client_secret", "client_id": "c", "client_secret": "s"},
        {
            "type": "certificate",
            "tenant_id": "t",
            "client_id": "c",
            "certificate": "no PEM",
        },
        {"type": "workload_identity"},
    ],
)
def test_a_credential_that_cannot_work_is_refused_at_once(document):
    with pytest.raises(CredentialError):
        credential(document)


def test_the_identity_of_the_machine_needs_no_secret():
    assert credential({"type": "managed_identity"}) is not None
