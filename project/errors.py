"""Failures this service anticipates, named after who has to act.

    SyncError
    ├── TransientError       nobody: waiting is enough
    ├── RejectedError        the caller: send something else
    └── MisconfiguredError   the operator: change the deployment

Anything else that is raised is a defect: it is caught once, in the work-item
runner, which records it and goes on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class SyncError(Exception):
    """Base class; raise a leaf that sets its own `code`."""

    code: ClassVar[str]


class TransientError(SyncError):
    code = "transient"

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RejectedError(SyncError):
    code = "rejected"


class MisconfiguredError(SyncError):
    code = "misconfigured"
    # How often it is tried, at growing intervals, before an operator has to act.
    hopeless_after: ClassVar[int] = 8
    # Whatever else the organization asks for will fail in the same way.
    concerns_organization: ClassVar[bool] = False
