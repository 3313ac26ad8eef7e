"""What the catalog remembers of sources: what they bear, and who asks them now."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class SourceBudget(models.Model):
    """What one source bears of one of our identities; all workers share it.

    Organizations that sign in at the same source as the same application have one
    budget together, because the source counts their requests together.
    """

    id = models.BigAutoField(primary_key=True)
    # A digest of origin and identity, without any secret.
    key = models.CharField(max_length=64)
    origin = models.CharField(max_length=300)
    # Requests that may be in flight; its whole part is what counts.
    window = models.FloatField(default=2, db_default=2)
    # Requests a second for each that may be in flight; null: as fast as they come.
    pace = models.FloatField(null=True, blank=True)
    # Answers in a row without trouble, since the window changed.
    streak = models.PositiveIntegerField(default=0, db_default=0)
    changed_at = models.DateTimeField(db_default=Now())
    # The source asked for patience until then.
    paused_until = models.DateTimeField(null=True, blank=True)
    # The breaker: open until then, afterwards one worker may try.
    failures = models.PositiveIntegerField(default=0, db_default=0)
    trips = models.PositiveIntegerField(default=0, db_default=0)
    open_until = models.DateTimeField(null=True, blank=True)
    last_trouble = models.CharField(
        max_length=60, blank=True, default="", db_default=""
    )

    requests = models.BigIntegerField(default=0, db_default=0)
    throttled = models.BigIntegerField(default=0, db_default=0)
    throttled_seconds = models.FloatField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key"], name="provisioning_one_budget_per_source_and_identity"
            ),
        ]

    def __str__(self) -> str:
        return self.origin


class SourceSlot(models.Model):
    """A place for one request in flight; whoever holds it lets go, or is forgotten."""

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(
        SourceBudget, on_delete=models.CASCADE, related_name="slots"
    )
    number = models.PositiveSmallIntegerField()
    holder = models.UUIDField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "number"], name="provisioning_one_slot_per_number"
            ),
        ]
        indexes = [
            models.Index(
                fields=["holder"],
                condition=Q(holder__isnull=False),
                name="provisioning_slot_held",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.budget} {self.number}"
