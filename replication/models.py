"""Profiles as operators write them; what is published lives in staging."""

from __future__ import annotations

import uuid

from django.db import models

from provisioning.models import Organization


class Profile(models.Model):
    """What users may take along, and who has it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="profiles"
    )
    name = models.CharField(max_length=255)
    # `domain.profiles.ProfileDef` as JSON, validated by `services.profiles`.
    document = models.JSONField()
    changed_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"],
                name="replication_one_profile_per_name",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.organization_id})"


class ProfileSettings(models.Model):
    """What holds for all profiles of an organization; none: the defaults."""

    organization = models.OneToOneField(
        Organization,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="profile_settings",
    )
    # `domain.profiles.CommonSettings` as JSON, validated by the service.
    document = models.JSONField()
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.organization_id)


class Sample(models.Model):
    """What replication had come to at one moment, for charts and the fleet page.

    Pulls, pages, changes and failures are running totals: what happened between two
    moments is their difference, whichever samples in between are gone.
    """

    id = models.BigAutoField(primary_key=True)
    # None: all organizations together.
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, related_name="+"
    )
    at = models.DateTimeField()
    # Unknown while staging does not answer.
    rows = models.BigIntegerField(null=True)
    set_aside = models.BigIntegerField(null=True)
    tables = models.JSONField(default=dict)
    pulls = models.BigIntegerField()
    pages = models.BigIntegerField()
    changes = models.BigIntegerField()
    failures = models.BigIntegerField()
    # Of the loaded table that is furthest behind.
    lag_seconds = models.IntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "at"],
                nulls_distinct=False,
                name="replication_one_sample_per_moment",
            ),
        ]
        indexes = [models.Index(fields=["at"], name="replication_sample_at")]

    def __str__(self) -> str:
        return f"{self.organization_id} {self.at}"
