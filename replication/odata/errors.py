"""What can go wrong between us and a source, named after who has to act."""

from __future__ import annotations

from project.errors import MisconfiguredError, SyncError, TransientError


class ThrottledError(TransientError):
    """The source asked for a pause (429)."""

    code = "source_throttled"


class SourceUnavailableError(TransientError):
    """The source, or the way to it, is down."""

    code = "source_unavailable"


class SourceTimeoutError(TransientError):
    """The source did not answer in time."""

    code = "source_timeout"


class MalformedAnswerError(TransientError):
    """The answer is not what OData promises: HTML, half a document, other members."""

    code = "malformed_answer"


class AnswerTooLargeError(TransientError):
    """The answer passes the limits on size or on compression."""

    code = "answer_too_large"


class IncompleteLoadError(TransientError):
    """The last page of a tracked table came without a delta link."""

    code = "incomplete_load"


class UnknownOutcomeError(TransientError):
    """A write was sent, and whether it was done is not known."""

    code = "unknown_outcome"

    def __init__(self, reason: SyncError) -> None:
        pause = reason.retry_after if isinstance(reason, TransientError) else None
        super().__init__(str(reason), retry_after=pause)
        # What went wrong: a timeout, a cut connection, a failure of the server.
        self.reason = reason


class ForeignLinkError(TransientError):
    """A link leads away from the source; it was not followed."""

    code = "foreign_link"


class LoopingLinkError(TransientError):
    """A page names itself as the next one."""

    code = "looping_link"


class AccessRefusedError(MisconfiguredError):
    """The source refused our credentials, or a privilege is missing."""

    code = "access_refused"


class SignInRefusedError(AccessRefusedError):
    """The source refused us altogether (401), with a fresh token too."""

    hopeless_after = 3
    concerns_organization = True


class RequestRefusedError(MisconfiguredError):
    """The source knows no such table or column, or forbids the request."""

    code = "request_refused"


class ImpersonationRefusedError(AccessRefusedError):
    """Our own user may not act on behalf of others."""

    code = "impersonation_refused"


class UnsafeEndpointError(MisconfiguredError):
    """The endpoint is not HTTPS, or leads to an address that is off limits."""

    code = "unsafe_endpoint"


class UntrustedSourceError(MisconfiguredError):
    """The certificate is not signed by whom we were told to trust."""

    code = "untrusted_source"


class CredentialError(MisconfiguredError):
    """The identity provider refused our credentials, or they are incomplete."""

    code = "credential_refused"
    # Asking again with a wrong secret locks the application out.
    hopeless_after = 1
    concerns_organization = True


class UnusableMetadataError(MisconfiguredError):
    """The metadata describes nothing that could be replicated."""

    code = "unusable_metadata"
