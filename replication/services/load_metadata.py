"""Read the source's metadata, create staging tables, and plan their pulls."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b

from django.conf import settings

from project.errors import MisconfiguredError
from provisioning.models import Organization
from provisioning.services import progress
from provisioning.services.progress import PlannedTable
from replication.domain.source_profiles import PROFILE_TABLES
from replication.domain.tables import (
    FOLLOWS,
    MORE_SECURITY_TABLES,
    SECURITY_TABLES,
    TableDef,
)
from replication.models import Profile
from replication.services import follow_schema, profiles
from replication.services.follow_schema import Followed
from replication.source import Source
from replication.staging import connections, metadata_age, registry

# Rises when metadata is read in another way, so that it is read again.
_READER = "2"


class UnknownTablesError(MisconfiguredError):
    """The organization asks for tables that the source does not have."""

    code = "unknown_table"


def load_metadata(organization: Organization, source: Source) -> None:
    """Bring staging to the source's present metadata, and plan pulls. Repeatable.

    Definitions are read only if something tells that they may have changed.

    :raises UnknownTablesError: some requested tables do not exist; the others are
        planned all the same.
    :raises SchemaConflictError: a security table changed in a way that cannot be
        followed; the others are planned all the same.
    """
    mandatory = SECURITY_TABLES if organization.kind == "dataverse" else ()
    asked = (*mandatory, *organization.tables)
    wanted = tuple(dict.fromkeys((*asked, *_useful(organization))))
    with connections.opened(organization.id) as conn:
        # Read before the definitions: what changes in between is found next time.
        last = metadata_age.stamp(conn)
        stamp = _stamp(source, wanted, known=last)
        if stamp is not None and _says(stamp) == _says(last):
            metadata_age.note(conn, stamp)
            return
        definitions = source.load_tables(wanted)
        followed = follow_schema.follow(conn, definitions, asked=wanted)
        known = {table.definition.name for table in registry.tables(conn)}
        _plan_pulls(organization, definitions, followed, mandatory=mandatory)
        missing = set(asked) - {definition.name for definition in definitions} - known
        # What is missing has to be looked for again, whatever the source's version.
        is_settled = followed.is_settled and not missing
        metadata_age.note(conn, stamp if is_settled else None)
    if followed.refused:
        raise follow_schema.SchemaConflictError(
            f"The key or ownership of {', '.join(followed.refused)} changed."
        )
    if missing:
        raise UnknownTablesError(f"The source has no {', '.join(sorted(missing))}.")


def _plan_pulls(
    organization: Organization,
    definitions: Iterable[TableDef],
    followed: Followed,
    *,
    mandatory: Collection[str],
) -> None:
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
    progress.tables_changed(organization.id, followed.changed)
    progress.tables_removed(organization.id, followed.withdrawn)


def _stamp(source: Source, wanted: Iterable[str], *, known: str | None) -> str | None:
    """What all of this depends on: the source's metadata, what is asked of it, and how
    it is read."""
    found = source.metadata_stamp((known or "").rpartition(" ")[0] or None)
    if found is None:
        return None
    asked = "|".join((_READER, str(settings.DEFAULT_INTERVAL), *wanted))
    return f"{found} {blake2b(asked.encode(), digest_size=8).hexdigest()}"


def _says(stamp: str | None) -> tuple[str, str]:
    """The parts of a stamp that differ when definitions have to be read."""
    source, _, rest = (stamp or "").partition(" ")
    return source, rest.rpartition(" ")[2]


def _useful(organization: Organization) -> tuple[str, ...]:
    """Tables that are replicated where the source has them, and not missed else."""
    if organization.kind != "dataverse":
        return ()
    documents = Profile.objects.filter(organization=organization)
    can_follow = any(
        item.get("can_be_followed")
        for document in documents.values_list("document", flat=True)
        for item in document.get("items", ())
    )
    if profiles.settings_of(organization.id).origin == "source":
        return (*MORE_SECURITY_TABLES, FOLLOWS, *PROFILE_TABLES)
    return (*MORE_SECURITY_TABLES, *((FOLLOWS,) if can_follow else ()))
