"""A real connection that tells a test about each statement before it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql


class HookedConnection(psycopg.Connection[Any]):
    before: Callable[[str], object] | None = None

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        if self.before is not None:
            composed = isinstance(query, sql.Composable)
            self.before(query.as_string(self) if composed else str(query))
        return super().execute(query, *args, **kwargs)

    def break_off(self) -> None:
        """Lose the connection, as when a worker or its server dies."""
        self.close()
        raise psycopg.OperationalError("The connection is lost.")
