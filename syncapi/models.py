"""What the catalog remembers of the devices that sync."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from provisioning.models import Organization


class Device(models.Model):
    """One installation of a client, for one user of one organization."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        SIGNED_OFF = "signed_off", _("signed off")
        REVOKED = "revoked", _("revoked")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="devices"
    )
    # The name that the installation gave itself.
    device_id = models.UUIDField()
    # The source's `systemuser`, and the person in the identity provider.
    user_id = models.UUIDField()
    user_object_id = models.UUIDField()
    user_name = models.CharField(max_length=200, blank=True, default="")

    name = models.CharField(max_length=200, blank=True, default="")
    platform = models.CharField(max_length=60, blank=True, default="")
    app_version = models.CharField(max_length=60, blank=True, default="")

    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    wipe_ordered = models.BooleanField(default=False)
    wipe_confirmed_at = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    last_completed_at = models.DateTimeField(null=True, blank=True)
    # How often it was brought up to date, counted at most once a minute.
    syncs = models.BigIntegerField(default=0, db_default=0)

    reported_at = models.DateTimeField(null=True, blank=True)
    pending_mutations = models.BigIntegerField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    free_bytes = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "device_id"],
                name="syncapi_one_row_per_device",
            ),
            models.CheckConstraint(
                condition=Q(wipe_ordered=False) | Q(state="revoked"),
                name="syncapi_only_revoked_devices_are_wiped",
            ),
        ]
        indexes = [
            models.Index(
                fields=["organization", "user_id"], name="syncapi_devices_of_user"
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.device_id)


class DeviceSample(models.Model):
    """How often an organization's devices had been brought up to date by a moment."""

    id = models.BigAutoField(primary_key=True)
    # None: all organizations together.
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, related_name="+"
    )
    at = models.DateTimeField()
    devices = models.IntegerField()
    # A running total: syncs between two moments are their difference.
    syncs = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "at"],
                nulls_distinct=False,
                name="syncapi_one_sample_per_moment",
            ),
        ]
        indexes = [models.Index(fields=["at"], name="syncapi_sample_at")]

    def __str__(self) -> str:
        return f"{self.organization_id} {self.at}"
