"""What an operator's addresses and keys become, and which of them are refused."""

from __future__ import annotations

import base64

import pytest
from django.core.exceptions import ImproperlyConfigured

from project import addresses

OLD_KEY, NEW_KEY = b"o" * 32, b"n" * 32


def encoded(key):
    return base64.b64encode(key).decode()


def test_a_postgresql_url_becomes_the_catalog_database():
    catalog = addresses.catalog(
        "postgresql://ada:p%40ss@db.example:6432/catalog?sslmode=verify-full"
    )

    assert (catalog["HOST"], catalog["PORT"]) == ("db.example", "6432")
    assert (catalog["USER"], catalog["PASSWORD"]) == ("ada", "p@ss")
    assert catalog["NAME"] == "catalog"
    assert catalog["OPTIONS"]["sslmode"] == "verify-full"


def test_a_socket_folder_may_stand_in_for_the_host():
    catalog = addresses.catalog("postgresql://ada:pass@/catalog?host=/run/sockets")

    assert (catalog["HOST"], catalog["PORT"]) == ("/run/sockets", "")


@pytest.mark.parametrize("url", ["mysql://db.example/catalog", "postgresql://db/"])
def test_another_sort_of_database_url_is_refused(url):
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        addresses.catalog(url)


@pytest.mark.parametrize(
    ("url", "for_celery"),
    [
        ("redis://:pw@queue.example/3", "redis://:pw@queue.example/3"),
        ("unix:///run/r.sock", "redis+socket:///run/r.sock?virtual_host=0"),
        ("unix:///run/r.sock?db=5", "redis+socket:///run/r.sock?virtual_host=5"),
        ("unix://:pw@/run/r.sock", "redis+socket://:pw@/run/r.sock?virtual_host=0"),
    ],
)
def test_celery_is_told_of_a_redis_socket_in_its_own_words(url, for_celery):
    assert addresses.broker(url) == for_celery


def test_the_first_of_several_encryption_keys_is_the_current_one():
    keys = addresses.encryption_keys(f"{encoded(NEW_KEY)},{encoded(OLD_KEY)}")

    assert list(keys.values()) == [NEW_KEY, OLD_KEY]


def test_an_encryption_key_has_the_same_id_wherever_it_stands():
    alone = addresses.encryption_keys(encoded(OLD_KEY))
    behind = addresses.encryption_keys(f"{encoded(NEW_KEY)} {encoded(OLD_KEY)}")

    assert alone.items() <= behind.items()


@pytest.mark.parametrize("text", ["", "no base64!", encoded(b"short")])
def test_an_encryption_key_that_is_not_32_bytes_is_refused(text):
    with pytest.raises(ImproperlyConfigured, match="WAYSTATION_ENCRYPTION_KEY"):
        addresses.encryption_keys(text)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://[::1]:8000"])
def test_plain_http_is_accepted_on_loopback(url):
    assert not addresses.public(url).is_secure


@pytest.mark.parametrize(
    "url", ["http://sync.example", "http://10.0.0.5:8000", "sync.example", "ftp://x"]
)
def test_an_address_that_would_send_tokens_in_the_clear_is_refused(url):
    with pytest.raises(ImproperlyConfigured, match="WAYSTATION_PUBLIC_URL"):
        addresses.public(url)
