"""Seal every secret again under the current key, so that an old key can go."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models, transaction

from provisioning.models import DatabaseServer, Organization, ProvisioningEvent
from provisioning.secrets import SealBrokenError, key_id_of, seal, unseal

logger = logging.getLogger(__name__)

_BATCH = 200


@dataclass(frozen=True, slots=True)
class _Place:
    """A sealed column, and the property that says whom its secret belongs to."""

    model: type[models.Model]
    column: str
    identity: str


_PLACES = (
    _Place(Organization, "credential_sealed", "credential_identity"),
    _Place(Organization, "role_password_sealed", "role_password_identity"),
    _Place(DatabaseServer, "admin_url_sealed", "admin_url_identity"),
    _Place(ProvisioningEvent, "credential_sealed", "credential_identity"),
)


@dataclass(slots=True, kw_only=True)
class Rotated:
    """What became of the secrets. `broken` ones cannot be opened with any key."""

    resealed: int = 0
    current: int = 0
    broken: int = 0


def rotate() -> Rotated:
    """Reseal what an earlier key sealed. Safe to interrupt and to repeat.

    Each row is a transaction of its own; what was done stays done.
    """
    found = Rotated()
    for place in _PLACES:
        for key in _keys(place):
            _rotate_one(place, key, found)
    return found


def _keys(place: _Place) -> Iterator[Any]:
    rows = place.model._default_manager.exclude(**{place.column: b""}).order_by("pk")
    keys = rows.values_list("pk", flat=True)
    return iter(list(keys.iterator(chunk_size=_BATCH)))


@transaction.atomic
def _rotate_one(place: _Place, key: object, found: Rotated) -> None:
    rows = place.model._default_manager.filter(pk=key)
    row = rows.select_for_update(no_key=True).first()
    sealed = bytes(getattr(row, place.column)) if row is not None else b""
    if not sealed:
        return
    identity = getattr(row, place.identity)
    try:
        if key_id_of(sealed, identity=identity) == settings.ENCRYPTION_KEY_ID:
            found.current += 1
            return
        plain = unseal(sealed, identity=identity)
    except SealBrokenError:
        logger.warning("Secret cannot be opened", extra={"identity": identity})
        found.broken += 1
        return
    rows.update(**{place.column: seal(plain, identity=identity)})
    found.resealed += 1
