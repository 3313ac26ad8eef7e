"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, sync_playwright

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEW: ViewportSize = {"width": 1440, "height": 900}


def executable() -> str:
    """Where Chromium is; without it a developer's test is skipped, CI's fails."""
    found = shutil.which("chromium")
    if found:
        return found
    reason = "Chromium is missing: apt-get install -y chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def opened(profile: Path, *, language: str = "en-GB") -> Iterator[Page]:
    """A page of a new browser that keeps what it stores in the folder."""
    path = executable()
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch_persistent_context(
            profile,
            executable_path=path,
            args=OPTIONS,
            viewport=VIEW,
            locale=language,
            color_scheme="light",
        ) as context,
    ):
        yield context.pages[0]
