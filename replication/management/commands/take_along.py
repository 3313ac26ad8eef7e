"""Show what each person of an organization takes along: `take_along contoso`."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from project.errors import SyncError
from provisioning import queries
from replication.take_along import markdown, pages
from replication.take_along.people import take_along


class Command(BaseCommand):
    help = "Show what each person of an organization takes along, as Markdown."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", help="its unique name")
        parser.add_argument(
            "--write",
            metavar="FOLDER",
            type=Path,
            help=f"rewrite the section of {pages.PAGE} there, and {pages.PICTURE}",
        )

    def handle(
        self, *, organization: str, write: Path | None = None, **_: object
    ) -> None:
        try:
            asked = queries.organization_named(organization)
            found = take_along(asked.id, name=asked.display_name)
            if write is None:
                text = markdown.section(found, picture=pages.PICTURE.as_posix())
                self.stdout.write(text, ending="")
                return
            for path in pages.write(found, write):
                self.stdout.write(f"Wrote {path}")
        except (SyncError, OSError) as error:
            raise CommandError(str(error)) from error
