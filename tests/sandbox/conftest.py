from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import Running
from tests.sandbox.running import Client, as_application, start


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A small organization for tests that look, or change only rows of their own."""
    sandbox = start(tmp_path_factory.mktemp("sandbox"))
    yield sandbox
    sandbox.stop()


@pytest.fixture
def contoso(running: Running) -> Client:
    return as_application(running)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a smaller organization that was started and stopped once."""
    folder = tmp_path_factory.mktemp("made")
    start(folder, scale=30).stop()
    return folder


@pytest.fixture
def alone(made: Path, tmp_path: Path) -> Iterator[Client]:
    """A sandbox of one's own, for tests that change what everybody sees."""
    shutil.copytree(made, tmp_path / "alone")
    sandbox = start(tmp_path / "alone", scale=30)
    yield as_application(sandbox)
    sandbox.stop()
