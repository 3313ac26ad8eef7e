"""Secrets that an installation makes once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from project import keys


def test_callers_who_race_get_the_same_secret(tmp_path):
    path, together = tmp_path / "secrets" / "code", Barrier(4)

    def make():
        together.wait(timeout=5)
        return keys.password()

    with ThreadPoolExecutor(max_workers=4) as callers:
        found = {*callers.map(lambda _: keys.kept(path, make=make), range(4))}

    assert found == {path.read_text()}
    assert list(path.parent.iterdir()) == [path]


def test_a_secret_is_readable_by_its_owner_alone(tmp_path):
    path = tmp_path / "secrets" / "code"

    keys.kept(path, make=keys.password)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
