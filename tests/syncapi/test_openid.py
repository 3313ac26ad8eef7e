"""Fetching signing keys: what an authority may answer, and from where."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from ipaddress import IPv4Address

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from syncapi.clients.openid import (
    MAX_DOCUMENT_BYTES,
    KeysUnavailableError,
    fetch_signing_keys,
)
from tests.syncapi.authority import Server, private_key


def certificate_of_own_authority(folder):
    """Return the PEM of a new CA, and the TLS of a server that it vouches for."""
    key = private_key("ca")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Contoso CA")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2090, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return pem.decode(), tls


def test_a_certificate_of_the_organization_s_own_authority_is_trusted(tmp_path):
    ca_certificate, tls = certificate_of_own_authority(tmp_path)

    with Server(tls=tls).running() as server:
        url = server.authority().url
        keys = fetch_signing_keys(url, ca_certificate=ca_certificate)
        with pytest.raises(KeysUnavailableError):
            fetch_signing_keys(url, ca_certificate="")

    assert list(keys) == ["first"]


def test_keys_come_by_discovery(authority):
    keys = fetch_signing_keys(authority.url, ca_certificate="")

    assert keys == {"first": private_key("first").public_key()}
    assert authority.requests == [
        f"{authority.path}/v2.0/.well-known/openid-configuration",
        f"{authority.path}/keys",
    ]


def test_keys_kept_on_another_origin_are_not_fetched(authority, authorities):
    other = authorities.authority()
    elsewhere = other.origin.replace("127.0.0.1", "localhost")
    authority.discovery["jwks_uri"] = f"{elsewhere}{other.path}/keys"

    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys(authority.url, ca_certificate="")

    assert other.requests == []


def test_redirects_are_not_followed(authority, authorities):
    other = authorities.authority()
    authority.instead = (302, {"Location": f"{other.url}/keys"}, b"")

    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys(authority.url, ca_certificate="")

    assert other.requests == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<html>Sign in</html>", id="html"),
        pytest.param(b'{"jwks_uri":', id="cut"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"keys":{}}', id="neither address nor keys"),
        pytest.param(b"[" * 100_000, id="nested without end"),
    ],
)
def test_nonsense_is_an_outage(authority, content):
    authority.instead = (200, {"Content-Type": "application/json"}, content)

    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys(authority.url, ca_certificate="")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"kty": "EC"}, id="another kind"),
        pytest.param({"use": "enc"}, id="for encryption"),
        pytest.param({"alg": "RS512"}, id="another algorithm"),
        pytest.param({"n": "%%%"}, id="not base64"),
        pytest.param({"kid": 7}, id="without a name"),
    ],
)
def test_keys_that_must_not_verify_are_left_out(authority, changed):
    good, bad = authority.jwks()["keys"][0], {**authority.jwks()["keys"][0], **changed}
    bad.setdefault("kid", "bad")
    bad["kid"] = changed.get("kid", "bad")
    authority.discovery |= {"keys": [bad, good]}
    authority.discovery["jwks_uri"] = f"{authority.url}/openid-configuration"

    keys = fetch_signing_keys(authority.url, ca_certificate="")

    assert list(keys) == ["first"]


def test_a_short_key_must_not_verify(authority):
    # Too short is what it is about.
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505
    described = jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key(), as_dict=True)
    authority.discovery["keys"] = [{**described, "kid": "short"}]
    authority.discovery["jwks_uri"] = f"{authority.url}/openid-configuration"

    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys(authority.url, ca_certificate="")


def test_a_document_without_end_is_not_read_to_its_end(authority):
    authority.discovery["padding"] = "x" * MAX_DOCUMENT_BYTES

    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys(authority.url, ca_certificate="")


def test_an_empty_set_of_keys_is_an_outage(authority):
    authority.instead = (
        200,
        {},
        json.dumps({**authority.discovery, "keys": []}).encode(),
    )

    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys(authority.url, ca_certificate="")


def test_an_authority_at_an_address_that_is_off_limits_hears_nothing(
    tmp_path, settings
):
    settings.SOURCE_ALLOW_LOOPBACK = False
    ca_certificate, tls = certificate_of_own_authority(tmp_path)

    with Server(tls=tls).running() as server:
        authority = server.authority()
        with pytest.raises(KeysUnavailableError, match="off limits"):
            fetch_signing_keys(authority.url, ca_certificate=ca_certificate)

    assert authority.requests == []


def test_an_authority_that_the_installation_does_not_list_hears_nothing(
    authority, settings
):
    settings.SOURCE_HOSTS = ("*.example",)

    with pytest.raises(KeysUnavailableError, match="list of sources"):
        fetch_signing_keys(authority.url, ca_certificate="")

    assert authority.requests == []


def test_plain_http_is_for_loopback_where_that_is_allowed(authority, settings):
    settings.SOURCE_ALLOW_LOOPBACK = False

    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys(authority.url, ca_certificate="")

    assert authority.requests == []


def test_plain_http_to_anywhere_else_is_refused():
    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys("http://login.example/contoso", ca_certificate="")


def test_a_certificate_that_is_none_is_an_outage(authority):
    with pytest.raises(KeysUnavailableError):
        fetch_signing_keys(authority.url, ca_certificate="-----BEGIN nothing")
