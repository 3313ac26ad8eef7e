"""Save profiles and what holds for all of them, and publish them to staging."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import msgspec
import psycopg
from django.db import transaction
from django.utils import timezone

from project.errors import RejectedError
from provisioning import queries
from provisioning.models import Organization
from replication.domain import findings
from replication.domain.findings import Fault
from replication.domain.profiles import CommonSettings, People, Policy, ProfileDef
from replication.domain.tables import TableDef
from replication.models import Profile, ProfileSettings
from replication.staging import clock, connections, registry
from replication.visibility import checking, policy

Document = TypeVar("Document")

# More tell nobody more.
MOST_ERRORS = 100
# The database stores neither NUL nor half a character.
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class InvalidProfileError(RejectedError):
    """The document cannot be used; `errors` name the members."""

    code = "malformed"

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__("The profile is malformed.")
        self.errors = [dict(error) for error in errors]


def save_profile(
    organization_id: UUID, *, name: str, document: Mapping[str, object]
) -> Profile:
    """Create or replace a profile. Devices see it once it is published.

    :raises InvalidProfileError: with every member that is wrong.
    """
    parsed = _parsed({**document, "name": name}, ProfileDef)
    with connections.reading(organization_id) as conn:
        people = people_of(organization_id)
        _refuse(checking.faults(parsed, definitions(conn), people=people))
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


def save_settings(
    organization_id: UUID, *, document: Mapping[str, object]
) -> CommonSettings:
    """Replace what holds for all profiles; effective once published.

    :raises InvalidProfileError: with every member that is wrong.
    """
    parsed = _parsed(document, CommonSettings)
    with connections.reading(organization_id) as conn:
        people = people_of(organization_id)
        _refuse(checking.faults_of_settings(parsed, definitions(conn), people=people))
    ProfileSettings.objects.update_or_create(
        organization_id=organization_id,
        defaults={
            "document": msgspec.to_builtins(parsed),
            "changed_at": timezone.now(),
        },
    )
    return parsed


def settings_of(organization_id: UUID) -> CommonSettings:
    found = ProfileSettings.objects.filter(organization_id=organization_id).first()
    if found is None:
        return CommonSettings()
    return msgspec.convert(found.document, type=CommonSettings)


def draft(conn: psycopg.Connection, organization_id: UUID) -> Policy:
    """What publishing would make effective, from the organization's staging."""
    saved = Profile.objects.filter(organization_id=organization_id).order_by("name")
    settings, people = settings_of(organization_id), people_of(organization_id)
    return _policy(conn, list(saved), settings, people)


def publish(organization_id: UUID) -> None:
    """Make all saved profiles of the organization effective. Safe to repeat.

    Rules that this needs are built by the next pull; until then devices keep what
    they have.
    """
    with transaction.atomic():
        # One after the other: what was read earlier must not be published later.
        Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
        saved = list(
            Profile.objects.filter(organization_id=organization_id).order_by("name")
        )
        settings, people = settings_of(organization_id), people_of(organization_id)
        with connections.reading(organization_id) as conn, conn.transaction():
            # Whoever translates the source's profiles holds the clock.
            clock.lock(conn)
            policy.publish(conn, _policy(conn, saved, settings, people))
        now = timezone.now()
        for profile in saved:
            # A profile that was changed meanwhile is not the one that was published.
            Profile.objects.filter(pk=profile.pk, changed_at=profile.changed_at).update(
                published_at=now
            )


def definitions(conn: psycopg.Connection) -> dict[str, TableDef]:
    """The replicated tables by name."""
    return {t.definition.name: t.definition for t in registry.tables(conn)}


def people_of(organization_id: UUID) -> People:
    """Where the organization's users come from."""
    kind = queries.organization(organization_id).kind
    return "source" if kind == Organization.Kind.DATAVERSE else "tokens"


def _policy(
    conn: psycopg.Connection,
    saved: Sequence[Profile],
    settings: CommonSettings,
    people: People,
) -> Policy:
    common = Policy(
        served=settings.served,
        hierarchy=settings.hierarchy,
        origin=settings.origin,
        people=people,
    )
    if settings.origin == "source":
        # What was published last stays until the next translation: on devices,
        # profiles that are not read yet would be profiles that were withdrawn.
        before = policy.published(conn)
        return msgspec.structs.replace(
            common, profiles=before.profiles, translated_from=before.translated_from
        )
    profiles = tuple(msgspec.convert(p.document, type=ProfileDef) for p in saved)
    return msgspec.structs.replace(common, profiles=profiles)


def _parsed(document: Mapping[str, object], kind: type[Document]) -> Document:
    _refuse([_unstorable(place) for place in _places_unstorable(document)])
    try:
        return msgspec.convert(dict(document), type=kind)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        member = place.strip("`").removeprefix("$").lstrip(".") or "profile"
        raise InvalidProfileError([{"member": member, "message": text}]) from error


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise InvalidProfileError(findings.documents(faults[:MOST_ERRORS]))


def _unstorable(place: str) -> Fault:
    message = "The character NUL and half a surrogate pair cannot be stored."
    return Fault(member=place or "profile", message=message)


def _places_unstorable(document: Mapping[str, object]) -> Iterator[str]:
    """Members whose text cannot be stored; for a member's name, what it is in."""
    ahead: list[tuple[str, object]] = [("", document)]
    while ahead:
        place, value = ahead.pop()
        if isinstance(value, str) and _UNSTORABLE.search(value):
            yield place
        elif isinstance(value, Mapping):
            if any(_UNSTORABLE.search(name) for name in value):
                yield place
            else:
                ahead += [(_inside(place, name), v) for name, v in value.items()]
        elif isinstance(value, list):
            ahead += [(f"{place}[{n}]", one) for n, one in enumerate(value)]


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
