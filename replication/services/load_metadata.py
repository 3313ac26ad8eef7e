"""Read the source's metadata, create staging tables, and plan their pulls."""

from __future__ import annotations

from django.conf import settings

from project.errors import MisconfiguredError
from provisioning.models import Organization
from provisioning.services import progress
from provisioning.services.progress import PlannedTable
from replication.domain.tables import SECURITY_TABLES
from replication.source import Source
from replication.staging import connections, schema


class UnknownTablesError(MisconfiguredError):
    """The organization asks for tables that the source does not have."""

    code = "unknown_table"


def load_metadata(organization: Organization, source: Source) -> None:
    """Create what staging lacks and one work item per table. Repeatable.

    :raises UnknownTablesError: some requested tables do not exist; the others are
        planned all the same.
    """
    mandatory = SECURITY_TABLES if organization.kind == "dataverse" else ()
    wanted = tuple(dict.fromkeys((*mandatory, *organization.tables)))
    definitions = source.load_tables(wanted)
    with connections.opened(organization.id) as conn:
        schema.create_missing(conn, definitions)
    progress.metadata_loaded(
        organization.id,
        tables=[
            PlannedTable(
                name=definition.name,
                interval=settings.DEFAULT_INTERVAL,
                mandatory=definition.name in mandatory,
            )
            for definition in definitions
        ],
    )
    missing = set(wanted) - {definition.name for definition in definitions}
    if missing:
        raise UnknownTablesError(f"The source has no {', '.join(sorted(missing))}.")
