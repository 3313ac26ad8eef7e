"""Secrets that an installation makes for itself, once, and keeps in files."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path


def password() -> str:
    """Return a new password that needs no quoting in a URL."""
    return secrets.token_urlsafe(24)


def long_password() -> str:
    """Return one that is long enough to sign with."""
    return secrets.token_urlsafe(64)


def kept(path: Path, *, make: Callable[[], str]) -> str:
    """Return the secret in `path`; the first caller makes it.

    Several processes may call this at once: all of them get the same secret.
    """
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Linking a finished file into place is atomic and never replaces one.
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
    return path.read_text(encoding="ascii")
