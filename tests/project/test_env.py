"""Reading the environment: typed values, or an error that names the variable."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from project import env


def test_a_variable_that_must_be_set_is_named_in_the_error(monkeypatch):
    monkeypatch.delenv("HARBOUR", raising=False)

    with pytest.raises(ImproperlyConfigured, match="HARBOUR must be set"):
        env.text("HARBOUR")


def test_an_empty_value_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("HARBOUR", "")

    assert env.text("HARBOUR", default="Lisbon") == "Lisbon"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("on", True), ("TRUE", True), ("1", True), ("off", False), ("False", False)],
)
def test_a_boolean_is_read_in_the_usual_spellings(monkeypatch, written, meant):
    monkeypatch.setenv("LIGHTS", written)

    assert env.boolean("LIGHTS", default=not meant) is meant


def test_a_boolean_that_is_neither_on_nor_off_is_refused(monkeypatch):
    monkeypatch.setenv("LIGHTS", "maybe")

    with pytest.raises(ImproperlyConfigured, match="LIGHTS='maybe'"):
        env.boolean("LIGHTS", default=True)


@pytest.mark.parametrize("written", ["many", "1.5", "0"])
def test_a_number_that_cannot_be_meant_is_refused(monkeypatch, written):
    monkeypatch.setenv("BERTHS", written)

    with pytest.raises(ImproperlyConfigured, match="BERTHS"):
        env.number("BERTHS", default=4, least=1)


def test_a_port_beyond_the_last_one_is_refused(monkeypatch):
    monkeypatch.setenv("GATE", "65536")

    with pytest.raises(ImproperlyConfigured, match="GATE"):
        env.port("GATE", default=80)


def test_words_are_split_at_commas(monkeypatch):
    monkeypatch.setenv("HOSTS", "north.example, south.example,")

    assert env.words("HOSTS") == ("north.example", "south.example")


def test_a_secret_is_read_from_the_file_that_its_variable_names(monkeypatch, tmp_path):
    file = tmp_path / "mounted"
    file.write_text("from the file\n")
    monkeypatch.setenv("CODE", "from the environment")
    monkeypatch.setenv("CODE_FILE", str(file))

    assert env.secret("CODE") == "from the file"


@pytest.mark.parametrize("content", [None, b"", b"\xff"])
def test_a_secret_file_without_a_secret_is_named_in_the_error(
    monkeypatch, tmp_path, content
):
    file = tmp_path / "mounted"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("CODE_FILE", str(file))

    with pytest.raises(ImproperlyConfigured, match="CODE_FILE"):
        env.secret("CODE", default="known to everybody")
