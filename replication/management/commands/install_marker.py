"""Make the table by which an edit is known to have been made: `install_marker contoso`."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from project.errors import SyncError
from provisioning import queries
from replication.odata.marker_install import install
from replication.services.sources import source_of


class Command(BaseCommand):
    help = "Make the marker table in an organization's source, so that no edit is made twice."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", help="its unique name")

    def handle(self, *, organization: str, **_: object) -> None:
        try:
            asked = queries.organization_named(organization)
            installed = install(source_of(asked))
        except SyncError as error:
            raise CommandError(str(error)) from error
        made = "was made" if installed.is_new else "was there"
        self.stdout.write(f"The marker table {made}.")
        for role in installed.roles:
            self.stdout.write(f"{role} may create markers now.")
