"""Readers of what sources and devices send say no to damaged documents in words of ours."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import TARGETS, run


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_damaged_documents_end_in_no_defect(target):
    assert run(target, 500, seed=3) == 500
