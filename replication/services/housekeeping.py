"""What staging databases need now and then: rev samples, and an end to history."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

import psycopg
from django.conf import settings
from django.utils import timezone
from psycopg import sql

from project.errors import SyncError
from provisioning import queries
from provisioning.domain.states import WORKING
from provisioning.models import Organization
from replication.models import Profile
from replication.services import file_uploads, samples, segments
from replication.services.samples import Staged
from replication.staging import clock, connections, mutations, schema_changes
from replication.visibility import reconcile, rules

logger = logging.getLogger(__name__)

# Longer than any download that is worth continuing.
DOWNLOAD_TOLERANCE = timedelta(days=7)


def keep_house() -> None:
    """Look after the staging database of every organization that has one in use."""
    retention = settings.CHECKPOINT_VALIDITY + DOWNLOAD_TOLERANCE
    held: dict[UUID, Staged] = {}
    storing: list[UUID] = []
    for organization in queries.live_organizations().filter(state__in=WORKING):
        try:
            with connections.opened(organization.id) as conn:
                held[organization.id] = samples.staged(conn)
                if organization.may_serve:
                    sample_rev(conn)
                    if reconcile.is_due(conn):
                        # Time moves windows, and profiles are published, also where
                        # nothing can be pulled.
                        reconcile.reconcile(conn)
                    purge(conn, retention=retention)
                    mutations.purge(conn, retention=settings.OUTCOME_RETENTION)
                    file_uploads.sweep(conn, organization.id)
                    schema_changes.tidy(conn, retention=retention)
                    if segments.is_any(conn):
                        storing.append(organization.id)
        except (SyncError, psycopg.Error) as error:
            _log_failure(organization.id, error)
    samples.record(held, now=timezone.now())
    forget_profiles()
    # Last, for it may take long.
    for organization_id in storing:
        try:
            segments.keep(organization_id)
        except (SyncError, psycopg.Error) as error:
            _log_failure(organization_id, error)


def _log_failure(organization_id: UUID, error: Exception) -> None:
    # Whatever is wrong with one, the others are looked after.
    logger.warning(
        "Housekeeping failed",
        extra={
            "organization_id": str(organization_id),
            "error": type(error).__name__,
        },
    )


def forget_profiles() -> None:
    """Delete profiles of organizations that are gone.

    One that comes back under the same id must not find old profiles that the next
    publishing would make effective again.
    """
    gone = Organization.State.DEPROVISIONED
    Profile.objects.filter(organization__state=gone).delete()


def sample_rev(conn: psycopg.Connection) -> None:
    """Remember which rev is current now."""
    conn.execute(
        "INSERT INTO sync.rev_sample (rev) SELECT rev FROM sync.clock"
        " ON CONFLICT DO NOTHING"
    )


def purge(conn: psycopg.Connection, *, retention: timedelta) -> None:
    """Forget tombstones, rules and sets that no valid checkpoint needs (FEED §5).

    The horizon moves in the same transaction, so that a reader either still finds
    the tombstones or refuses the checkpoint.
    """
    with conn.transaction():
        row = conn.execute(
            "SELECT max(rev) FROM sync.rev_sample WHERE sampled_at < now() - %s",
            (retention,),
        ).fetchone()
        horizon = row[0] if row else None
        if horizon is not None:
            _purge_up_to(conn, horizon)
    conn.execute(
        "DELETE FROM sync.subscription WHERE named_at < now() - %s", (retention,)
    )


def _purge_up_to(conn: psycopg.Connection, horizon: int) -> None:
    held = clock.lock(conn)
    found = conn.execute("SELECT id, state FROM sync.rule WHERE state <> 'building'")
    for rule_id, state in found.fetchall():
        partition = rules.partition(rule_id)
        conn.execute(
            sql.SQL("DELETE FROM {} WHERE NOT live AND rev <= %s").format(partition),
            (horizon,),
        )
        if state == "retired" and _is_empty(conn, partition):
            conn.execute(sql.SQL("DROP TABLE {}").format(partition))
            conn.execute("DELETE FROM sync.rule WHERE id = %s", (rule_id,))
            held.changed_access = True
    conn.execute("UPDATE sync.clock SET horizon = greatest(horizon, %s)", (horizon,))
    conn.execute("DELETE FROM sync.rev_sample WHERE rev < %s", (horizon,))
    clock.store(conn, held)


def _is_empty(conn: psycopg.Connection, partition: sql.Identifier) -> bool:
    query = sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(partition)
    row = conn.execute(query).fetchone()
    return row == (True,)
