"""Translate what HTTP says went wrong into the errors of the device, once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests

from sandbox.device import errors
from sandbox.device.bodies import Body
from sandbox.device.errors import DeviceError, ProtocolError, UnavailableError

REFUSALS: Mapping[str, type[errors.RefusedError]] = {
    kind.code: kind
    for kind in (
        errors.OfflineNotAllowedError,
        errors.DeviceRevokedError,
        errors.UnknownOrganizationError,
        errors.UnknownDeviceError,
        errors.TooLargeError,
        errors.ReusedError,
    )
}
OTHERS: Mapping[str, type[DeviceError]] = {
    kind.code: kind
    for kind in (
        errors.SignInError,
        errors.ModelChangedError,
        errors.ResyncRequiredError,
    )
}
# What a proxy in between says has no code of ours.
_KINDS_BY_STATUS: Mapping[int, type[DeviceError]] = {
    401: errors.SignInError,
    413: errors.TooLargeError,
}
_NUMBER = re.compile(r"\b[0-9]{1,18}\b")
BROKEN_OFF = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what `requests` raises into device errors."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise errors.UntrustedError(
            f"{url} has no certificate that is trusted here."
        ) from error
    except BROKEN_OFF as error:
        reason = type(error).__name__
        raise UnavailableError(f"{url} cannot be reached ({reason}).") from error
    except requests.RequestException as error:
        raise ProtocolError(f"{url} cannot be asked: {error}.") from error


def problem_of(response: requests.Response) -> Mapping[str, object]:
    """Return the problem document, or an empty one when there is none."""
    try:
        return Body(response).json_object()
    except (ProtocolError, UnavailableError):
        # A proxy in between may answer anything; the status says enough.
        return {}


def refusal_of(
    response: requests.Response, problem: Mapping[str, object]
) -> DeviceError:
    """Return the error that an answer other than a good one stands for."""
    code, status = str(problem.get("code", "")), response.status_code
    said = problem.get("detail") or problem.get("title") or response.reason
    message = f"{status} {code or 'without a code'}: {said}"
    if code == errors.MalformedRequestError.code:
        return _malformed(message, problem)
    if code in REFUSALS:
        return REFUSALS[code](message, wipe_ordered=problem.get("wipe") is True)
    if code in OTHERS:
        return OTHERS[code](message)
    if status in _KINDS_BY_STATUS:
        return _KINDS_BY_STATUS[status](message)
    if status == 429 or status >= 500:
        return UnavailableError(message, retry_after=retry_after(response))
    if 400 <= status < 500:
        return errors.RefusedError(message)
    return ProtocolError(message)


def _malformed(
    message: str, problem: Mapping[str, object]
) -> errors.MalformedRequestError:
    listed = problem.get("errors")
    wrong = {
        str(error.get("member", "")): str(error.get("message", ""))
        for error in (listed if isinstance(listed, list) else [])
        if isinstance(error, Mapping)
    }
    expected = (
        int(found.group())
        for member, said in wrong.items()
        if member.lower().endswith("sequence") and (found := _NUMBER.search(said))
    )
    return errors.MalformedRequestError(
        message, members=tuple(wrong), expected_sequence=next(expected, None)
    )


def retry_after(response: requests.Response) -> timedelta | None:
    """Return how long to wait, given in seconds or as a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return timedelta(seconds=min(int(value), 10**9))
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC), timedelta())
