"""`manage.py rotate_secrets`: seal all secrets again under the current key."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from provisioning.services import rotation


class Command(BaseCommand):
    help = "Seal all secrets again under the first of WAYSTATION_ENCRYPTION_KEY."

    def handle(self, *args: object, **options: object) -> None:
        done = rotation.rotate()
        self.stdout.write(
            f"{done.resealed} resealed, {done.current} were under the current key,"
            f" {done.broken} cannot be opened."
        )
        if done.broken:
            raise CommandError("Keep the earlier keys until every secret opens.")
