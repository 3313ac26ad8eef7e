"""Translate what an operator sets into what Django, Celery and `cryptography` expect.

Pure: no environment, no files.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg import conninfo

ENCRYPTION_KEY_BYTES = 32
# How a connection may wait; a query of the catalog that takes longer is a defect.
_POSTGRES_LIMITS = (
    "-c statement_timeout=30000 -c lock_timeout=5000 "
    "-c idle_in_transaction_session_timeout=60000"
)


def catalog(url: str) -> dict[str, Any]:
    """Return Django's entry in `DATABASES` for a PostgreSQL URL."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise ImproperlyConfigured("DATABASE_URL is not a PostgreSQL URL.") from error
    if not given.get("dbname"):
        raise ImproperlyConfigured("DATABASE_URL names no database.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.pop("dbname"),
        "USER": given.pop("user", ""),
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": str(given.pop("port", "")),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": "waystation",
            "options": _POSTGRES_LIMITS,
            **given,
        },
    }


def broker(url: str) -> str:
    """Return the form in which Celery takes the address of a Redis socket."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    number = parse_qs(parts.query).get("db", ["0"])[0]
    login = f":{parts.password}@" if parts.password else ""
    return f"redis+socket://{login}{parts.path}?virtual_host={number}"


def encryption_keys(text: str) -> dict[str, bytes]:
    """Return key id -> key, the current one first; keys are separated by commas."""
    found = {}
    for word in text.replace(",", " ").split():
        try:
            key = base64.b64decode(word, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != ENCRYPTION_KEY_BYTES:
            raise ImproperlyConfigured(
                "WAYSTATION_ENCRYPTION_KEY must be base64 of 32 bytes, "
                "such as `openssl rand -base64 32` prints."
            )
        found[hashlib.sha256(key).hexdigest()[:8]] = key
    if not found:
        raise ImproperlyConfigured("WAYSTATION_ENCRYPTION_KEY must be set.")
    return found


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """Where devices and operators reach this installation."""

    url: str
    host: str
    is_secure: bool


def public(url: str) -> PublicAddress:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ImproperlyConfigured(
            f"WAYSTATION_PUBLIC_URL={url!r}: use an address such as https://host."
        )
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ImproperlyConfigured(
            f"WAYSTATION_PUBLIC_URL={url!r}: tokens and business data travel there, "
            f"so it must be https."
        )
    return PublicAddress(
        url=url.rstrip("/"), host=parts.hostname, is_secure=parts.scheme == "https"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
