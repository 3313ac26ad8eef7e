"""Access tokens: which are taken, and that all others are answered 401."""

from __future__ import annotations

import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from syncapi.identity import LEEWAY_SECONDS, Trust, UnauthenticatedError, Verifier
from syncapi.signing_keys import KeyRings, KeysUnavailableError
from tests.syncapi.authority import ADA, AUDIENCE, TENANT, base64url, private_key

HOUR = 3600


@pytest.fixture
def trust(authority):
    return Trust.from_identity(authority.identity(), ca_certificate="")


@pytest.fixture
def verifier():
    return Verifier(rings=KeyRings())


def encoded(part: object) -> str:
    return base64url(part if isinstance(part, bytes) else json.dumps(part).encode())


def public_pem() -> bytes:
    return (
        private_key("first")
        .public_key()
        .public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def signed_with_public_key(authority) -> str:
    """HS256 with the RSA key's public half as the secret, as every attacker has it."""
    head = encoded({"alg": "HS256", "typ": "JWT", "kid": "first"})
    signed = f"{head}.{encoded(authority.claims())}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        signed.encode(), public_pem()
    )
    return f"{signed}.{encoded(signature)}"


def unsigned(authority, *, alg: str = "none") -> str:
    return f"{encoded({'alg': alg, 'kid': 'first'})}.{encoded(authority.claims())}."


def tampered(authority) -> str:
    head, _, signature = authority.token().split(".")
    return f"{head}.{encoded({**authority.claims(), 'oid': 'other'})}.{signature}"


def now(seconds: int = 0) -> int:
    return int(time.time()) + seconds


# Everything that is wrong with a token, and how it is made.
ZOO = {
    "not signed": unsigned,
    "not signed, in capitals": lambda a: unsigned(a, alg="NONE"),
    "signed as HMAC with the public key": signed_with_public_key,
    "signed with another digest": lambda a: jwt.encode(
        a.claims(), private_key("first"), algorithm="RS512", headers={"kid": "first"}
    ),
    "claims exchanged": tampered,
    "signature cut": lambda a: a.token()[:-20],
    "signature missing": lambda a: a.token().rsplit(".", 1)[0],
    "signature empty": lambda a: a.token().rsplit(".", 1)[0] + ".",
    "signed by another key under our key's name": lambda a: a.token(signed_by="third"),
    "key unknown": lambda a: a.token(kid="third"),
    "key not named": lambda a: a.token(headers={"kid": None}),
    "key named by a path": lambda a: a.token(signed_by="first", kid="../../dev/null"),
    "key of absurd name": lambda a: a.token(signed_by="first", kid="k" * 1000),
    "brings its own key": lambda a: a.token(
        kid="third", headers={"jwk": a.jwks()["keys"][0]}
    ),
    "names where its key is": lambda a: a.token(
        headers={"jku": "https://evil.example"}
    ),
    "names its certificate": lambda a: a.token(headers={"x5u": "https://evil.example"}),
    "brings its certificate": lambda a: a.token(headers={"x5c": ["MIIB"]}),
    "critical extension": lambda a: a.token(headers={"crit": ["exp"]}),
    "another issuer": lambda a: a.token(iss="https://login.example/other/v2.0"),
    "issuer that begins like ours": lambda a: a.token(iss=a.issuer + "/x"),
    "issuer with a slash more": lambda a: a.token(iss=a.issuer + "/"),
    "issuers": lambda a: a.token(iss=[a.issuer]),
    "another audience": lambda a: a.token(aud="https://graph.example"),
    "several audiences": lambda a: a.token(aud=[AUDIENCE, "https://graph.example"]),
    "audience as a list": lambda a: a.token(aud=[AUDIENCE]),
    "another tenant": lambda a: a.token(tid="11111111-0000-0000-0000-000000000000"),
    "tenant of another kind": lambda a: a.token(tid=7),
    "person without a GUID": lambda a: a.token(oid="ada@contoso.example"),
    "person of another kind": lambda a: a.token(oid=7),
    "expired": lambda a: a.token(exp=now(-LEEWAY_SECONDS - 5)),
    "expired long ago": lambda a: a.token(exp=1),
    "not valid yet": lambda a: a.token(nbf=now(LEEWAY_SECONDS + HOUR)),
    "issued in the future": lambda a: a.token(iat=now(LEEWAY_SECONDS + HOUR)),
    "expires never": lambda a: a.token(exp=float("inf")),
    "expires in words": lambda a: a.token(exp="soon"),
    "expires null": lambda a: a.token(exp=None),
    "not for a person": lambda a: a.token(without=("scp",)),
    "scopes empty": lambda a: a.token(scp=""),
    "scopes blank": lambda a: a.token(scp="  "),
    "scopes as a list": lambda a: a.token(scp=["sync"]),
    "of a service": lambda a: a.service_token("Waystation.Admin"),
    "of a service that claims a scope": lambda a: a.token(idtyp="app"),
    "nothing": lambda _: "",
    "one word": lambda _: "token",
    "two dots": lambda _: "..",
    "many dots": lambda _: "." * 100,
    "no base64": lambda _: "%%%.%%%.%%%",
    "no JSON": lambda _: f"{encoded(b'alg')}.{encoded(b'x')}.{encoded(b'x')}",
    "header is a list": lambda _: f"{encoded([])}.{encoded({})}.{encoded(b'x')}",
    "header nested": lambda _: f"{encoded(b'[' * 9_000)}.{encoded({})}.{encoded(b'x')}",
    "header with an endless number": lambda _: (
        encoded(b'{"alg":' + b"9" * 9_000 + b"}") + ".e30.eA"
    ),
    "not ASCII": lambda a: a.token() + "é",
    "huge": lambda a: a.token(scp="x" * 20_000),
} | {
    f"without {claim}": lambda a, claim=claim: a.token(without=(claim,))
    for claim in ("exp", "nbf", "iat", "iss", "aud", "sub", "tid", "oid")
}


@pytest.mark.parametrize("animal", [pytest.param(ZOO[name], id=name) for name in ZOO])
def test_a_bad_token_is_refused(authority, trust, verifier, animal):
    with pytest.raises(UnauthenticatedError):
        verifier.device_user(f"Bearer {animal(authority)}", trust=trust)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic YWRhOmFkYQ==", "Token x"]
)
def test_without_a_bearer_token_nobody_gets_in(trust, verifier, header):
    with pytest.raises(UnauthenticatedError):
        verifier.device_user(header, trust=trust)


def test_a_good_token_tells_who_it_is(authority, trust, verifier):
    principal = verifier.device_user(f"bearer {authority.token()}", trust=trust)

    assert (principal.object_id, principal.tenant_id) == (ADA, TENANT)
    assert principal.scopes == {"sync"}


def test_clocks_may_differ_a_little(authority, trust, verifier):
    token = authority.token(nbf=now(30), iat=now(30), exp=now(-30))

    assert verifier.device_user(f"Bearer {token}", trust=trust).object_id == ADA


def test_of_three_organizations_each_takes_its_own_tokens_only(authorities, verifier):
    three = [authorities.authority() for _ in range(3)]
    trusts = [Trust.from_identity(one.identity(), ca_certificate="") for one in three]

    def is_taken(authority, trust):
        try:
            verifier.device_user(f"Bearer {authority.token()}", trust=trust)
        except UnauthenticatedError:
            return False
        return True

    taken = [[is_taken(one, trust) for trust in trusts] for one in three]

    assert taken == [[i == j for j in range(3)] for i in range(3)]


def test_a_token_taken_by_one_organization_is_not_remembered_for_another(
    authority, trust, verifier
):
    token = f"Bearer {authority.token()}"
    verifier.device_user(token, trust=trust)
    other = Trust.from_identity(
        authority.identity(audience="api://other"), ca_certificate=""
    )

    with pytest.raises(UnauthenticatedError):
        verifier.device_user(token, trust=other)


def test_a_verified_token_is_not_looked_at_again(authority, trust, verifier):
    token = f"Bearer {authority.token()}"
    first = verifier.device_user(token, trust=trust)
    authority.is_down = True

    assert verifier.device_user(token, trust=trust) is first
    assert len(authority.requests) == 2


def test_a_remembered_token_ends_with_its_time(authority, trust):
    verifier = Verifier(rings=KeyRings(), now=lambda: time.time() + 2 * HOUR)
    token = f"Bearer {authority.token()}"
    first = verifier.device_user(token, trust=trust)

    assert verifier.device_user(token, trust=trust) is not first


def test_unknown_keys_of_many_tokens_cost_two_fetches(authority, trust, verifier):
    for number in range(50):
        token = authority.token(signed_by="third", kid=f"guess-{number}")
        with pytest.raises(UnauthenticatedError):
            verifier.device_user(f"Bearer {token}", trust=trust)

    assert len([path for path in authority.requests if path.endswith("/keys")]) == 2


def test_a_rollover_refuses_nobody(authority, trust, verifier):
    before = authority.token()
    verifier.device_user(f"Bearer {before}", trust=trust)
    authority.kids = ["first", "second"]
    after = authority.token(kid="second")

    taken = [
        verifier.device_user(f"Bearer {token}", trust=trust).object_id
        for token in (after, before, after)
    ]

    assert taken == [ADA, ADA, ADA]


def test_an_authority_that_is_down_is_an_outage_and_no_bad_token(
    authority, trust, verifier
):
    authority.is_down = True

    with pytest.raises(KeysUnavailableError):
        verifier.device_user(f"Bearer {authority.token()}", trust=trust)


def test_claims_that_anyone_can_choose_decide_nothing(authority, trust, verifier):
    token = authority.token(
        upn="grace@contoso.example",
        email="grace@contoso.example",
        preferred_username="x",
    )

    assert verifier.device_user(f"Bearer {token}", trust=trust).object_id == ADA
