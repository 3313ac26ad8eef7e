"""Write the section and the picture into a folder of documentation."""

from __future__ import annotations

from pathlib import Path

from project.errors import MisconfiguredError
from replication.take_along import markdown, picture
from replication.take_along.people import TakeAlong

PAGE = Path("visibility.md")
PICTURE = Path("images/visibility.svg")
BEGIN = "<!-- take_along: from here on, `manage.py take_along` writes -->\n"
END = "<!-- take_along: to here -->\n"


class MarkersError(MisconfiguredError):
    """The page does not say where the section goes."""

    code = "markers"


def write(found: TakeAlong, folder: Path) -> tuple[Path, Path]:
    """Replace the section of the page, and the picture; a missing page is created.

    :raises MarkersError: of the page's two markers one is missing or comes twice.
    """
    page, image = folder / PAGE, folder / PICTURE
    image.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    new = with_section(text, markdown.section(found, picture=PICTURE.as_posix()))
    page.write_text(new, encoding="utf-8")
    image.write_text(picture.drawn(found), encoding="utf-8")
    return page, image


def with_section(text: str, section: str) -> str:
    """The page with this section between its markers, or at its end."""
    counts = text.count(BEGIN), text.count(END)
    if counts == (0, 0):
        above = f"{text.rstrip()}\n\n" if text.strip() else ""
        return f"{above}{BEGIN}\n{section}\n{END}"
    if counts != (1, 1) or text.index(BEGIN) > text.index(END):
        raise MarkersError("The page's markers are not one pair in order.")
    above, _, rest = text.partition(BEGIN)
    _, _, below = rest.partition(END)
    return f"{above}{BEGIN}\n{section}\n{END}{below}"
