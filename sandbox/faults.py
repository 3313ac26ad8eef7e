"""Scripted faults: what goes wrong with the next requests that match."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import msgspec

from sandbox import lies


class InvalidFaultError(Exception):
    """The description of a fault has an unknown or unfit member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`status` None leaves the true answer, late, cut or with more headers."""

    path: str
    times: int = 1
    method: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    delay_seconds: float = 0.0
    # The connection ends after so many bytes of the body.
    cut_after: int | None = None
    # The connection ends without an answer.
    hang_up: bool = False
    # The request is carried out, and only its answer goes wrong.
    applied: bool = False
    # A regular expression searched in the request's body.
    within: str = ""
    # One of `sandbox.lies`; the answer is then wrong though it looks right.
    lie: str | None = None

    def fits(self, method: str, path: str, body: bytes) -> bool:
        is_method = self.method is None or self.method == method
        is_place = is_method and re.search(self.path, path) is not None
        return is_place and re.search(self.within.encode(), body) is not None

    @property
    def is_in_vain(self) -> bool:
        """Whether the request is not carried out."""
        return not self.applied and (self.hang_up or self.status is not None)


def read_fault(document: Mapping[str, object]) -> Fault:
    """:raises InvalidFaultError: a member is unknown or unfit."""
    unknown = document.keys() - {member.name for member in fields(Fault)}
    if unknown:
        raise InvalidFaultError(f"A fault has no {', '.join(sorted(unknown))}.")
    try:
        fault = msgspec.convert(dict(document), Fault, strict=False)
        re.compile(fault.path)
        re.compile(fault.within)
    except (msgspec.ValidationError, re.error) as error:
        raise InvalidFaultError(str(error)) from error
    if fault.times < 1 or fault.delay_seconds < 0:
        raise InvalidFaultError("times starts at 1, delay_seconds at 0.")
    if fault.lie is not None and fault.lie not in lies.NAMES:
        raise InvalidFaultError(f"lie is one of {', '.join(sorted(lies.NAMES))}.")
    if fault.status is not None and not 200 <= fault.status <= 599:
        raise InvalidFaultError("status lies between 200 and 599.")
    return fault


class Faults:
    """The faults that are still to come, in the order in which they were scripted."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> list[Fault]:
        with self._lock:
            return list(self._waiting)

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        """Return the first fault that fits, and use it up by one."""
        with self._lock:
            for place, fault in enumerate(self._waiting):
                if fault.fits(method, path, body):
                    if fault.times > 1:
                        self._waiting[place] = replace(fault, times=fault.times - 1)
                    else:
                        del self._waiting[place]
                    return fault
        return None
