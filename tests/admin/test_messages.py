"""The admin speaks English and Spanish, whole."""

from __future__ import annotations

import re

import polib
import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests.admin import messages

SPANISH = messages.ROOT / "locale" / "es" / "LC_MESSAGES"
NAMED = re.compile(r"%\(\w+\)[sd]")


@pytest.fixture(scope="module")
def spanish() -> polib.POFile:
    return polib.pofile(str(SPANISH / "django.po"))


def test_every_text_of_the_admin_has_a_spanish_one(spanish: polib.POFile) -> None:
    admin.autodiscover()
    translated = {entry.msgid for entry in spanish if entry.translated()}

    missing = {
        text: place
        for text, place in messages.wanted().items()
        if text not in translated
    }

    assert missing == {}


def test_what_is_compiled_is_what_is_written(spanish: polib.POFile) -> None:
    compiled = polib.mofile(str(SPANISH / "django.mo"))

    hint = "msgfmt -o django.mo django.po, in locale/es/LC_MESSAGES"
    assert _texts(compiled) == _texts(spanish), hint


def test_translations_keep_their_placeholders(spanish: polib.POFile) -> None:
    for entry in spanish:
        wanted = sorted(NAMED.findall(entry.msgid))
        assert sorted(NAMED.findall(_singular(entry))) == wanted, entry.msgid


@pytest.mark.parametrize(
    ("header", "title"), [("es-MX,es;q=0.9", "Flota"), ("en-GB", "Fleet")]
)
def test_the_browser_says_the_language(olga: Client, header: str, title: str) -> None:
    page = olga.get(reverse("admin:index"), headers={"Accept-Language": header}).text

    assert re.search(rf"<title>\s*{title} \| Waystation\s*</title>", page)


def test_an_operator_switches_the_language_and_it_stays(olga: Client) -> None:
    olga.post(reverse("set_language"), {"language": "es"})

    page = olga.get(reverse("admin:syncapi_device_changelist")).text

    assert "Dispositivos" in page


def _texts(catalogue: polib.POFile | polib.MOFile) -> dict[str, object]:
    return {
        entry.msgid: entry.msgstr_plural or entry.msgstr
        for entry in catalogue
        if entry.msgid
    }


def _singular(entry: polib.POEntry) -> str:
    return str(entry.msgstr_plural[0] if entry.msgid_plural else entry.msgstr)
