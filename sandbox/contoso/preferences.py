"""Read the `Prefer` header, and the annotations that it asks for. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

LARGEST_PAGE = 5_000
LOOKUP_NAME = "Microsoft.Dynamics.CRM.lookuplogicalname"
FORMATTED = "OData.Community.Display.V1.FormattedValue"
NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
METADATA_VERSION = "Microsoft.Dynamics.CRM.globalmetadataversion"
TOTAL_COUNT = "Microsoft.Dynamics.CRM.totalrecordcount"
TOTAL_EXCEEDED = "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"

_ITEM = re.compile(r'\s*([\w.\-]+)\s*(?:=\s*("[^"]*"|[^,\s;]*))?\s*(?:,|;|$)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    track_changes: bool = False
    page_size: int | None = None
    annotations: tuple[str, ...] = ()
    wants_representation: bool = False

    def wants(self, annotation: str) -> bool:
        """Tell whether the annotation was asked for; a leading `-` takes it away."""
        wanted = False
        for pattern in self.annotations:
            if _fits(pattern.removeprefix("-"), annotation):
                wanted = not pattern.startswith("-")
        return wanted

    def applied(self) -> str:
        """Return the value of `Preference-Applied`."""
        items = []
        if self.wants_representation:
            items.append("return=representation")
        if self.track_changes:
            items.append("odata.track-changes")
        if self.page_size is not None:
            items.append(f"odata.maxpagesize={self.page_size}")
        if self.annotations:
            items.append(f'odata.include-annotations="{",".join(self.annotations)}"')
        return ", ".join(items)


def read_preferences(header: str) -> Preferences:
    """Return what the header asks for; what is unknown is passed over."""
    items = {
        name.lower().removeprefix("odata."): value.strip('"')
        for name, value in _ITEM.findall(header)
    }
    size = items.get("maxpagesize", "")
    annotations = items.get("include-annotations", "")
    return Preferences(
        track_changes="track-changes" in items,
        page_size=_page_size(size),
        annotations=tuple(part.strip() for part in annotations.split(",") if part),
        wants_representation=items.get("return") == "representation",
    )


def _page_size(text: str) -> int | None:
    if not text.isdigit() or int(text) == 0:
        return None
    return min(int(text), LARGEST_PAGE)


def _fits(pattern: str, annotation: str) -> bool:
    if pattern.endswith("*"):
        return annotation.startswith(pattern[:-1])
    return pattern == annotation
