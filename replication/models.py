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
