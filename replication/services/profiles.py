"""Save profiles, and publish them to the staging database."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone

from project.errors import RejectedError
from replication.domain.profiles import (
    LONGEST_INTERVAL_MINUTES,
    SHORTEST_INTERVAL_MINUTES,
    Policy,
    ProfileDef,
    ProfileItem,
)
from replication.models import Profile
from replication.staging import connections, registry
from replication.staging.registry import SourceTable
from replication.visibility import policy


class InvalidProfileError(RejectedError):
    """The profile cannot be used; `errors` name the members."""

    code = "malformed"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("The profile is malformed.")
        self.errors = errors


def save_profile(
    organization_id: UUID, *, name: str, document: Mapping[str, object]
) -> Profile:
    """Create or replace a profile. Devices see it once it is published.

    :raises InvalidProfileError: with every member that is wrong.
    """
    parsed = _parsed({**document, "name": name})
    errors = _errors(parsed, _staged_tables(organization_id))
    if errors:
        raise InvalidProfileError(errors)
    profile, _ = Profile.objects.update_or_create(
        organization_id=organization_id,
        name=name,
        defaults={
            "document": msgspec.to_builtins(parsed),
            "changed_at": timezone.now(),
        },
    )
    return profile


def delete_profile(organization_id: UUID, *, name: str) -> bool:
    """Delete a profile; devices lose it once that is published."""
    deleted, _ = Profile.objects.filter(
        organization_id=organization_id, name=name
    ).delete()
    return deleted > 0


def publish(organization_id: UUID) -> None:
    """Make all saved profiles of the organization effective. Safe to repeat.

    Rules that this needs are built by the next pull; until then devices keep what
    they have.
    """
    with transaction.atomic():
        saved = list(
            Profile.objects.select_for_update()
            .filter(organization_id=organization_id)
            .order_by("name")
        )
    published = Policy(
        profiles=tuple(msgspec.convert(p.document, type=ProfileDef) for p in saved)
    )
    with connections.reading(organization_id) as conn:
        policy.publish(conn, published)
    now = timezone.now()
    for profile in saved:
        # A profile that was changed meanwhile is not the one that was published.
        Profile.objects.filter(pk=profile.pk, changed_at=profile.changed_at).update(
            published_at=now
        )


def _parsed(document: Mapping[str, object]) -> ProfileDef:
    try:
        return msgspec.convert(dict(document), type=ProfileDef)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        member = place.strip("`").removeprefix("$").lstrip(".") or "profile"
        raise InvalidProfileError([{"member": member, "message": text}]) from error


def _errors(
    profile: ProfileDef, staged: Mapping[str, SourceTable]
) -> list[dict[str, str]]:
    errors = []
    names = [item.table for item in profile.items]
    for number, item in enumerate(profile.items):
        place = f"items[{number}]"
        if names.count(item.table) > 1:
            errors.append(_error(f"{place}.table", "The table stands in two items."))
        if not _is_valid_interval(item):
            errors.append(
                _error(
                    f"{place}.sync_interval_minutes",
                    f"Choose {SHORTEST_INTERVAL_MINUTES} to"
                    f" {LONGEST_INTERVAL_MINUTES} minutes.",
                )
            )
        errors += _unknown_names(place, item, staged)
    return errors


def _unknown_names(
    place: str, item: ProfileItem, staged: Mapping[str, SourceTable]
) -> list[dict[str, str]]:
    if item.table not in staged:
        message = f"The organization does not replicate {item.table}."
        return [_error(f"{place}.table", message)]
    known = {column.name for column in staged[item.table].definition.columns}
    return [
        _error(f"{place}.columns", f"{item.table} has no column {column}.")
        for column in item.columns or ()
        if column not in known
    ]


def _is_valid_interval(item: ProfileItem) -> bool:
    return (
        SHORTEST_INTERVAL_MINUTES
        <= item.sync_interval_minutes
        <= LONGEST_INTERVAL_MINUTES
    )


def _error(member: str, message: str) -> dict[str, str]:
    return {"member": member, "message": message}


def _staged_tables(organization_id: UUID) -> dict[str, SourceTable]:
    with connections.reading(organization_id) as conn:
        return {table.definition.name: table for table in registry.tables(conn)}
