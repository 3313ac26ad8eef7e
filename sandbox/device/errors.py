"""Failures that the device client anticipates, named after who has to act.

DeviceError
├── UnavailableError           nobody: waiting is enough
├── SignInError                the user: sign in again
├── UntrustedError             the operator: no certificate, or a plain-text address
├── RefusedError               the operator: the service said no
│   ├── OfflineNotAllowedError
│   ├── DeviceRevokedError
│   ├── UnknownOrganizationError
│   ├── UnknownDeviceError
│   ├── TooLargeError
│   ├── ReusedError
│   └── MalformedRequestError
├── EditError                  the user: type something else
├── ModelChangedError          the client itself: fetch the model, migrate, repeat
├── ResyncRequiredError        the client itself: start again without a checkpoint
├── ProtocolError              the developer of the service
└── StoreError                 the owner of the local database
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class DeviceError(Exception):
    """Base class; raise a leaf that sets its own `code`."""

    code: ClassVar[str]


class UnavailableError(DeviceError):
    """The service cannot be reached, or asks to wait."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SignInError(DeviceError):
    """No token is to be had, or a new one was refused too."""

    code = "unauthenticated"


class UntrustedError(DeviceError):
    """The service does not prove who it is; nothing was sent to it."""

    code = "untrusted"


class RefusedError(DeviceError):
    """The service understood and said no.

    `wipe_ordered` says that the local data has to go, `wiped` that it is gone.
    """

    code = "refused"

    def __init__(self, message: str, *, wipe_ordered: bool = False) -> None:
        super().__init__(message)
        self.wipe_ordered = wipe_ordered
        self.wiped = False


class OfflineNotAllowedError(RefusedError):
    code = "offline_not_allowed"


class DeviceRevokedError(RefusedError):
    code = "device_revoked"


class UnknownOrganizationError(RefusedError):
    code = "unknown_organization"


class UnknownDeviceError(RefusedError):
    code = "unknown_device"


class TooLargeError(RefusedError):
    code = "too_large"


class ReusedError(RefusedError):
    """An id that the service knows came with another body."""

    code = "reused"


class MalformedRequestError(RefusedError):
    """`members` are what is wrong with the request, as far as the service names them;
    `expected_sequence` is the one that it misses, if that is the fault.
    """

    code = "malformed"

    def __init__(
        self,
        message: str,
        *,
        members: tuple[str, ...] = (),
        expected_sequence: int | None = None,
    ) -> None:
        super().__init__(message)
        self.members = members
        self.expected_sequence = expected_sequence


class EditError(DeviceError):
    """An edit or a decision is not possible as things are; nothing was changed."""

    code = "edit"


class ModelChangedError(DeviceError):
    code = "model_changed"


class ResyncRequiredError(DeviceError):
    code = "resync_required"


class ProtocolError(DeviceError):
    """The service sent what the protocol does not allow; nothing of it was stored."""

    code = "protocol"


class StoreError(DeviceError):
    """The local database is full, broken, in use by another sync, or not ours."""

    code = "store"
