"""Ask an organization's source whether it would let us in, and say what is wrong."""

from __future__ import annotations

from project.errors import MisconfiguredError, SyncError, TransientError
from provisioning.models import AuditEntry, Organization
from provisioning.services import budgets
from replication.odata.errors import (
    AccessRefusedError,
    CredentialError,
    MalformedAnswerError,
    RequestRefusedError,
    SignInRefusedError,
    UntrustedSourceError,
)
from replication.services.sources import source_of


class ConnectionFailedError(MisconfiguredError):
    """The source cannot be used; `reason` is the code of what went wrong."""

    code = "connection_failed"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def try_connection(organization: Organization, *, operator: str) -> None:
    """Sign in and read the service document, past the breaker; audited.

    :raises ConnectionFailedError: what is wrong, in words.
    """
    reason = ""
    try:
        source_of(organization).probe()
    except SyncError as error:
        reason = error.code
        raise ConnectionFailedError(_words(error), reason=reason) from error
    finally:
        AuditEntry.objects.create(
            actor=operator,
            verb="test connection",
            organization_id=organization.pk,
            detail={"outcome": reason or "works"},
        )
    # What works for an operator works for the workers.
    budgets.mend(budgets.budget_of(organization))


def _words(error: SyncError) -> str:
    return f"{_advice(error)} {error}"


def _advice(error: SyncError) -> str:
    match error:
        case CredentialError():
            return "The identity provider gave no token: correct the credential."
        case UntrustedSourceError():
            return "The source's certificate is not trusted: give its CA."
        case SignInRefusedError():
            return "The source refused the token: is the application a user there?"
        case AccessRefusedError():
            return "The application is a user there, but lacks a privilege."
        case MalformedAnswerError():
            return "What answers there is not OData: correct the endpoint."
        case RequestRefusedError():
            return "There is no OData service at the endpoint: correct it."
        case TransientError():
            return "The source, or the way to it, does not answer."
        case _:
            return "The source cannot be used as it is described."
