"""What the catalog remembers of organizations, their events and their work."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from provisioning.budget_models import SourceBudget, SourceSlot

__all__ = [
    "AuditEntry",
    "DatabaseServer",
    "Organization",
    "ProvisioningEvent",
    "SourceBudget",
    "SourceSlot",
    "WorkItem",
]

UNIQUE_NAME_PATTERN = r"^[a-z0-9-]{3,40}$"


class DatabaseServer(models.Model):
    """A PostgreSQL server that staging databases are created on."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=60)
    # Empty: the server that the settings name. Its address may change between
    # starts, as that of the embedded server does, so it is not copied here.
    admin_url_sealed = models.BinaryField(default=bytes, blank=True)
    accepts_organizations = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name"], name="provisioning_one_server_per_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def admin_url_identity(self) -> str:
        return f"database_server:{self.pk}:admin_url"


class Organization(models.Model):
    """The owner of one source and one staging database."""

    class State(models.TextChoices):
        REQUESTED = "requested", _("requested")
        CREATING = "creating", _("creating")
        LOADING_METADATA = "loading_metadata", _("loading metadata")
        LOADING_MANDATORY = "loading_mandatory", _("loading mandatory tables")
        READY = "ready", _("ready")
        ACTIVE = "active", _("active")
        SUSPENDED = "suspended", _("suspended")
        DEPROVISIONING = "deprovisioning", _("deprovisioning")
        DEPROVISIONED = "deprovisioned", _("deprovisioned")
        FAILED = "failed", _("failed")

    class Kind(models.TextChoices):
        DATAVERSE = "dataverse", _("Dataverse")
        ODATA = "odata", _("OData v4")

    class CredentialType(models.TextChoices):
        NONE = "none", _("none")
        CLIENT_SECRET = "client_secret", _("client secret")
        CERTIFICATE = "certificate", _("certificate")
        MANAGED_IDENTITY = "managed_identity", _("managed identity")
        WORKLOAD_IDENTITY = "workload_identity", _("workload identity")
        BASIC = "basic", _("basic")
        BEARER = "bearer", _("bearer")

    id = models.UUIDField(primary_key=True, editable=False)
    unique_name = models.CharField(max_length=40)
    display_name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    endpoint = models.CharField(max_length=2000)
    ca_certificate = models.TextField(blank=True, default="")
    identity = models.JSONField(default=dict, blank=True)
    credential_type = models.CharField(
        max_length=20, choices=CredentialType.choices, default=CredentialType.NONE
    )
    credential_sealed = models.BinaryField(default=bytes, blank=True)
    tables = models.JSONField(default=list, blank=True)
    # Found when the source is first opened; a new endpoint or credential clears it.
    budget = models.ForeignKey(
        SourceBudget, on_delete=models.SET_NULL, null=True, blank=True
    )

    state = models.CharField(
        max_length=20, choices=State.choices, default=State.REQUESTED
    )
    suspended_from = models.CharField(max_length=20, blank=True, default="")
    failed_step = models.CharField(max_length=20, blank=True, default="")
    last_error = models.TextField(blank=True, default="")
    step_attempts = models.PositiveIntegerField(default=0)
    step_due_at = models.DateTimeField(null=True, blank=True)

    server = models.ForeignKey(
        DatabaseServer, on_delete=models.PROTECT, null=True, blank=True
    )
    database_name = models.CharField(max_length=63, blank=True, default="")
    role_name = models.CharField(max_length=63, blank=True, default="")
    role_password_sealed = models.BinaryField(default=bytes, blank=True)

    last_event_at = models.DateTimeField(null=True, blank=True)
    last_served_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unique_name"],
                condition=~Q(state="deprovisioned"),
                name="provisioning_one_live_organization_per_name",
            ),
            models.CheckConstraint(
                condition=Q(unique_name__regex=UNIQUE_NAME_PATTERN),
                name="provisioning_organization_name_fits_pattern",
            ),
            models.CheckConstraint(
                condition=Q(state="suspended") ^ Q(suspended_from=""),
                name="provisioning_suspended_knows_where_to_go_back",
            ),
            models.CheckConstraint(
                condition=~Q(state="failed") | ~Q(failed_step=""),
                name="provisioning_failed_names_its_step",
            ),
        ]
        indexes = [
            models.Index(
                fields=["step_due_at"],
                condition=Q(step_due_at__isnull=False),
                name="provisioning_step_due",
            ),
        ]

    def __str__(self) -> str:
        return self.unique_name

    @property
    def may_serve(self) -> bool:
        return self.state in {self.State.READY, self.State.ACTIVE}

    @property
    def credential_identity(self) -> str:
        return f"organization:{self.pk}:credential"

    @property
    def role_password_identity(self) -> str:
        return f"organization:{self.pk}:role_password"


class ProvisioningEvent(models.Model):
    """One message about an organization, stored before it is acted on."""

    class Type(models.TextChoices):
        PROVISION = "organization.provision", _("provision")
        UPDATE = "organization.update", _("update")
        SUSPEND = "organization.suspend", _("suspend")
        RESUME = "organization.resume", _("resume")
        RESYNC = "organization.resync", _("resync")
        DEPROVISION = "organization.deprovision", _("deprovision")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        APPLIED = "applied", _("applied")
        SUPERSEDED = "superseded", _("superseded")
        REFUSED = "refused", _("refused")

    id = models.UUIDField(primary_key=True, editable=False)
    type = models.CharField(max_length=40, choices=Type.choices)
    # No foreign key: an event may come before its organization does.
    organization_id = models.UUIDField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    body = models.JSONField()
    credential_sealed = models.BinaryField(default=bytes, blank=True)
    fingerprint = models.CharField(max_length=400)
    state = models.CharField(
        max_length=12, choices=State.choices, default=State.WAITING
    )
    handled_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="waiting", handled_at__isnull=True)
                | (~Q(state="waiting") & Q(handled_at__isnull=False)),
                name="provisioning_event_waits_or_was_handled",
            ),
        ]
        indexes = [
            models.Index(
                fields=["organization_id", "occurred_at"],
                condition=Q(state="waiting"),
                name="provisioning_event_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"

    @property
    def credential_identity(self) -> str:
        return f"provisioning_event:{self.pk}:credential"


class WorkItem(models.Model):
    """The recurring job of one organization and table, with its lease."""

    class Kind(models.TextChoices):
        METADATA = "metadata", _("metadata")
        TABLE = "table", _("table")
        PART = "part", _("part")
        # Edits of devices, on their way to the source.
        UPLOADS = "uploads", _("uploads")

    class State(models.TextChoices):
        DUE = "due", _("due")
        LEASED = "leased", _("leased")
        POSTPONED = "postponed", _("postponed")
        HALTED = "halted", _("halted")
        PAUSED = "paused", _("paused")

    class Failure(models.TextChoices):
        TRANSIENT = "transient", _("transient")
        MISCONFIGURED = "misconfigured", _("misconfigured")
        DEFECT = "defect", _("defect")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="work_items"
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    table = models.CharField(max_length=128, blank=True, default="")
    # Which range of a large table's rows; 0 for everything else.
    part = models.PositiveIntegerField(default=0, db_default=0)
    mandatory = models.BooleanField(default=False)
    interval = models.DurationField()
    next_due_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, choices=State.choices, default=State.DUE)
    # Somebody wants a run that begins later than the one that is going on.
    run_again = models.BooleanField(default=False)
    # Somebody is about to leave work: a run has to begin by then, whatever ends before.
    expected_by = models.DateTimeField(null=True, blank=True)
    resync_requested = models.BooleanField(default=False)
    # An operator has looked at the source: the next full load may delete any share.
    sweep_accepted = models.BooleanField(default=False, db_default=False)
    completed_once = models.BooleanField(default=False)

    leased_until = models.DateTimeField(null=True, blank=True)
    epoch = models.BigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    last_failure = models.CharField(
        max_length=15, choices=Failure.choices, blank=True, default=""
    )
    last_error_code = models.CharField(max_length=60, blank=True, default="")
    last_error = models.TextField(blank=True, default="")
    last_started_at = models.DateTimeField(null=True, blank=True)
    last_succeeded_at = models.DateTimeField(null=True, blank=True)

    # Running totals: what happened between two moments is their difference.
    pages = models.BigIntegerField(default=0, db_default=0)
    changes = models.BigIntegerField(default=0, db_default=0)
    failures = models.BigIntegerField(default=0, db_default=0)
    requests = models.BigIntegerField(default=0, db_default=0)
    throttled_seconds = models.FloatField(default=0, db_default=0)

    # Of uploads: the edits that waited after the last run, and since when the oldest.
    waiting = models.BigIntegerField(default=0, db_default=0)
    waiting_since = models.DateTimeField(null=True, blank=True)

    # What the source said of the table's size, and when it was asked.
    source_rows = models.BigIntegerField(null=True, blank=True)
    source_rows_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [
            ("view_uploaded_values", _("Can see the values of devices' edits")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "kind", "table", "part"],
                name="provisioning_one_work_item_per_part",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["table", "part"]) ^ Q(table=""),
                name="provisioning_work_on_a_table_names_it",
            ),
            models.CheckConstraint(
                condition=Q(kind="part") ^ Q(part=0),
                name="provisioning_only_parts_have_numbers",
            ),
            models.CheckConstraint(
                condition=Q(state="leased", leased_until__isnull=False)
                | (~Q(state="leased") & Q(leased_until__isnull=True)),
                name="provisioning_leased_items_have_an_end",
            ),
            models.CheckConstraint(
                condition=Q(interval__gt=timedelta(0)),
                name="provisioning_interval_is_positive",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_due_at"],
                condition=Q(state__in=["due", "postponed"]),
                name="provisioning_item_due",
            ),
            models.Index(
                F("organization"),
                F("leased_until"),
                condition=Q(state="leased"),
                name="provisioning_item_leased",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.table} {self.part or ''}".rstrip()


class AuditEntry(models.Model):
    """Who did what to an organization; never holds a secret."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.CharField(max_length=200)
    verb = models.CharField(max_length=60)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, null=True, blank=True
    )
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(
                fields=["organization", "-at"], name="provisioning_audit_by_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb}"
