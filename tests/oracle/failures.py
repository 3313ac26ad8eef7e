"""What the machine says when the service and the oracle disagree."""

from __future__ import annotations


class MismatchError(AssertionError):
    """Something is not what it must be; the message says what."""
