"""Refusals of the Web API, with the documented codes."""

from __future__ import annotations

from collections.abc import Mapping

NOT_FOUND = "0x80040217"
NO_SUCH_RESOURCE = "0x80060888"
BAD_PAYLOAD = "0x80048d19"
INVALID_ARGUMENT = "0x80040203"
TOO_LONG = "0x80044331"
PRIVILEGE_DENIED = "0x80040220"
ACCESS_DENIED = "0x80040221"
USER_DISABLED = "0x80040225"
USER_UNKNOWN = "0x80072560"
DUPLICATE_KEY = "0x80040237"
DUPLICATE_ALTERNATE_KEY = "0x80060892"
VERSION_MISMATCH = "0x80060882"
TRACKING_OFF = "0x80072491"
EXPIRED_VERSION_STAMP = "0x80044352"
CANNOT_DELETE = "0x80047007"
VERSION_NOT_PROVIDED = "0x80060883"
TRACKING_STAYS_ON = "0x800609A1"
TOO_MANY_REQUESTS = "0x80072322"
TOO_MUCH_TIME = "0x80072321"
TOO_MANY_AT_ONCE = "0x80072326"
NOT_IMPLEMENTED = "0x80060891"


class WebApiError(Exception):
    """An answer with an error body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def bad_query(message: str) -> WebApiError:
    return WebApiError(400, NO_SUCH_RESOURCE, message)


def no_such_resource(segment: str) -> WebApiError:
    return WebApiError(
        404, NO_SUCH_RESOURCE, f"Resource not found for the segment '{segment}'."
    )


def no_such_row(table: str, row_id: str) -> WebApiError:
    return WebApiError(404, NOT_FOUND, f"{table} With Id = {row_id} Does Not Exist")


def no_such_property(name: str, *, type_name: str) -> WebApiError:
    return bad_query(
        f"Could not find a property named '{name}' on type"
        f" 'Microsoft.Dynamics.CRM.{type_name}'."
    )


def bad_payload(message: str) -> WebApiError:
    return WebApiError(400, BAD_PAYLOAD, message)
