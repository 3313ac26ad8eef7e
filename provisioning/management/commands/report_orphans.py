"""Report staging databases that no organization claims; drop nothing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from provisioning.models import DatabaseServer
from provisioning.services.staging_databases import orphans


class Command(BaseCommand):
    help = "Report staging databases that no organization claims; drop nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        for server in DatabaseServer.objects.order_by("name"):
            for name in orphans(server):
                self.stdout.write(f"{server.name}\t{name}")
