"""Connections that readers share: which are handed on, and which are closed."""

from __future__ import annotations

import pytest

from replication.services.serving import NotReadyError
from replication.staging import connections


def refused(world, *, statement="SELECT 1"):
    """Refuse a question after a statement; the backend that it was asked of."""
    asked: list[int] = []
    with pytest.raises(NotReadyError):
        refuse(world, statement, asked)
    return asked[0]


def refuse(world, statement, asked):
    with connections.reading(world.id) as conn:
        asked.append(conn.info.backend_pid)
        conn.execute(statement)
        raise NotReadyError("Not now.")


def next_backend(world):
    with connections.reading(world.id) as conn:
        return conn.info.backend_pid


def test_a_refusal_leaves_the_connection_to_the_next(contoso):
    backend = refused(contoso)

    assert next_backend(contoso) == backend


def test_a_connection_in_a_transaction_is_not_handed_on(contoso):
    backend = refused(contoso, statement="BEGIN")

    assert next_backend(contoso) != backend
