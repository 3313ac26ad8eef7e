"""The admin's editor for documents: JSON, with what is wrong told at its member."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from project.errors import SyncError
from replication.services.profiles import InvalidProfileError

Errors = Sequence[Mapping[str, str]]
_INDENT = 2


@dataclass(slots=True)
class Line:
    """A line of the document as it was understood, and what is wrong with it."""

    number: int
    text: str
    errors: list[Mapping[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Editor:
    """`save` is called with the name and the document; `goes_to` is where it leads.

    `name` is None for a document that has none, and empty for a new one.
    """

    title: str
    document: Mapping[str, object]
    save: Callable[[str, Mapping[str, object]], object]
    goes_to: Callable[[], str]
    name: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


def edited(request: HttpRequest, editor: Editor) -> HttpResponse:
    """GET shows the document; POST saves it, or shows what is wrong."""
    if request.method != "POST":
        return _page(request, editor, text=printed(editor.document))
    text = request.POST.get("document", "")
    name = editor.name or request.POST.get("name", "").strip()
    try:
        document = _object(text)
        if editor.name == "":
            _insist_on_a_name(name)
        editor.save(name, document)
    except InvalidProfileError as error:
        return _page(request, editor, text=text, name=name, errors=error.errors)
    except SyncError as error:
        messages.warning(request, str(error))
        return _page(request, editor, text=text, name=name)
    messages.success(request, _("Saved. Devices see it once it is published."))
    return HttpResponseRedirect(editor.goes_to())


def printed(document: Mapping[str, object]) -> str:
    return _encodable(json.dumps(document, indent=_INDENT, ensure_ascii=False))


def lines(document: object, errors: Errors) -> list[Line]:
    """The document line by line, each error below the member that it names."""
    found = [
        (place, Line(number, _encodable(text)))
        for number, (place, text) in enumerate(_printed(document, "", ""), start=1)
    ]
    for error in errors:
        _nearest(found, error["member"]).errors.append(error)
    return [line for _place, line in found]


def _encodable(text: str) -> str:
    """Half a character, which JSON can name, is shown as JSON names it."""
    return text.encode(errors="backslashreplace").decode()


def _nearest(found: list[tuple[str, Line]], member: str) -> Line:
    """The member's own line, or that of the closest one around it."""
    by_place = dict(reversed(found))
    while member and member not in by_place:
        cut = max(member.rfind("."), member.rfind("["))
        member = member[: max(cut, 0)]
    return by_place.get(member, found[0][1])


def _printed(value: object, place: str, margin: str) -> Iterator[tuple[str, str]]:
    """The member's place and text of every line, laid out as `printed` does."""
    inner = margin + " " * _INDENT
    if isinstance(value, dict) and value:
        members = [
            (f"{place}.{name}" if place else str(name), f"{json.dumps(name)}: ", child)
            for name, child in value.items()
        ]
        brackets = "{}"
    elif isinstance(value, list) and value:
        members = [(f"{place}[{n}]", "", child) for n, child in enumerate(value)]
        brackets = "[]"
    else:
        yield place, json.dumps(value, ensure_ascii=False)
        return
    yield place, brackets[0]
    for number, (where, label, child) in enumerate(members, start=1):
        told = list(_printed(child, where, inner))
        told[0] = (told[0][0], f"{inner}{label}{told[0][1]}")
        if number < len(members):
            told[-1] = (told[-1][0], f"{told[-1][1]},")
        yield from told
    yield place, f"{margin}{brackets[1]}"


def _object(text: str) -> Mapping[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = _("This is no JSON: %(reason)s.") % {"reason": error}
        raise InvalidProfileError(
            [{"member": "document", "message": message}]
        ) from error
    if not isinstance(document, dict) or "\\u0000" in text:
        message = _("The document must be an object, without the character NUL.")
        raise InvalidProfileError([{"member": "document", "message": message}])
    return document


def _insist_on_a_name(name: str) -> None:
    if not (1 <= len(name) <= 100 and name.isprintable() and "/" not in name):
        message = _("A name has 1 to 100 printable characters, and no slash.")
        raise InvalidProfileError([{"member": "name", "message": message}])


def _page(
    request: HttpRequest,
    editor: Editor,
    *,
    text: str,
    name: str = "",
    errors: Errors = (),
) -> HttpResponse:
    try:
        read_back = lines(json.loads(text), errors) if errors else []
    except (ValueError, RecursionError):
        read_back = []
    context = {
        **editor.context,
        "title": editor.title,
        "text": text,
        "name": editor.name or name,
        "asks_name": editor.name == "",
        "errors": errors,
        "lines": read_back,
    }
    return TemplateResponse(request, "waystation/editor.html", context)
