"""Lists by position, never by offset, with a hard maximum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from syncapi.parsing import MalformedError, guid, parameters_of

M = TypeVar("M", bound=Model)
P = TypeVar("P")

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
MAX_POSITION_CHARS = 200

PARAMETERS = [
    OpenApiParameter("after", str, description="`next` of the page before"),
    OpenApiParameter(
        "limit",
        # `int` alone cannot say its bounds.
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
        description=f"1 to {MAX_LIMIT}",
    ),
]


def text(value: str) -> str:
    return value


def uuid(value: str) -> UUID:
    return guid(value, member="after")


def number(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise MalformedError(("after", "is no position"))
    return int(value)


@dataclass(frozen=True, slots=True)
class Order:
    """A column that is unique in the list, and how its values are read."""

    column: str
    read: Callable[[str], object]
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    items: list[M]
    # Position after which the next page begins; None after the last.
    next: str | None

    def document(self, form: Callable[[M], object]) -> dict[str, object]:
        return {"items": [form(item) for item in self.items], "next": self.next}


@dataclass(frozen=True, slots=True)
class Asked(Generic[P]):
    """How many are wanted, and behind which position."""

    limit: int
    after: P | None


def page_of(rows: QuerySet[M], request: Request, *, order: Order) -> Page[M]:
    """:raises MalformedError: the query says no position, or no sane limit."""
    wanted = asked(request, read=order.read)
    if wanted.after is not None:
        rows = rows.filter(**{_beyond(order): wanted.after})
    sorting = f"-{order.column}" if order.newest_first else order.column
    found = list(rows.order_by(sorting)[: wanted.limit + 1])
    items = found[: wanted.limit]
    has_more = len(found) > wanted.limit
    return Page(items, _value(items[-1], order.column) if has_more else None)


def asked(request: Request, *, read: Callable[[str], P]) -> Asked[P]:
    """:raises MalformedError: the query says no position, or no sane limit."""
    query = parameters_of(
        request.META["QUERY_STRING"], allowed=frozenset({"after", "limit"})
    )
    limit = limit_of(query)
    after = query.get("after")
    if after is None:
        return Asked(limit, None)
    if len(after) > MAX_POSITION_CHARS or "\x00" in after:
        raise MalformedError(("after", "is no position"))
    return Asked(limit, read(after))


def _beyond(order: Order) -> str:
    return f"{order.column}__{'lt' if order.newest_first else 'gt'}"


def _value(item: Any, column: str) -> str:
    return str(getattr(item, column))


def limit_of(query: Mapping[str, str]) -> int:
    """:raises MalformedError: it is no sane limit."""
    value = query.get("limit", str(DEFAULT_LIMIT))
    if not (value.isascii() and value.isdigit() and len(value) < 6):
        raise MalformedError(("limit", f"must be 1 to {MAX_LIMIT}"))
    limit = int(value)
    if not 1 <= limit <= MAX_LIMIT:
        raise MalformedError(("limit", f"must be 1 to {MAX_LIMIT}"))
    return limit
