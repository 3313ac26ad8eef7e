"""Read typed values from the environment, and fail loudly at start-up."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_BOOLEANS = {
    "true": True,
    "on": True,
    "1": True,
    "false": False,
    "off": False,
    "0": False,
}


def text(name: str, *, default: str | None = None) -> str:
    """Return the value of `name`; an empty value counts as not set."""
    value = os.environ.get(name) or default
    if value is None:
        raise ImproperlyConfigured(f"{name} must be set.")
    return value


def boolean(name: str, *, default: bool) -> bool:
    raw = os.environ.get(name)
    if not raw:
        return default
    try:
        return _BOOLEANS[raw.lower()]
    except KeyError:
        raise ImproperlyConfigured(f"{name}={raw!r}: use 'on' or 'off'.") from None


def number(name: str, *, default: int, least: int = 0) -> int:
    raw = os.environ.get(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r}: use a whole number.") from None
    if value < least:
        raise ImproperlyConfigured(f"{name}={raw!r}: use at least {least}.")
    return value


def port(name: str, *, default: int) -> int:
    value = number(name, default=default, least=1)
    if value > 65535:
        raise ImproperlyConfigured(f"{name}={value}: a port is at most 65535.")
    return value


def words(name: str, *, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Split at commas; spaces around a word do not matter."""
    raw = os.environ.get(name)
    if not raw:
        return default
    return tuple(word.strip() for word in raw.split(",") if word.strip())


def secret(name: str, *, default: str | None = None) -> str:
    """Prefer the file named by NAME_FILE, so that secrets can be mounted."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return text(name, default=default)
    try:
        content = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE={path!r} is unreadable.") from error
    if not content:
        raise ImproperlyConfigured(f"{name}_FILE={path!r} is empty.")
    return content
