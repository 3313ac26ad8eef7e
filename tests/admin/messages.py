"""The texts that the code and the templates want translated."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.contrib.admin import site
from django.utils.translation import override
from django.utils.translation.template import templatize

from provisioning.admin.reading import ReadOnly

ROOT = Path(__file__).resolve().parents[2]
APPS = ("project", "provisioning", "replication", "syncapi")
_FUNCTIONS = {"_", "gettext", "gettext_lazy", "ngettext"}
# What `templatize` makes of a template is code whose calls can be read.
_CALL = re.compile(
    r"\b(?:_|gettext|ngettext)\((u?'(?:[^'\\]|\\.)*'|u?\"(?:[^\"\\]|\\.)*\")"
)


def wanted() -> dict[str, str]:
    """Message -> one place that has it."""
    found = dict(_names())
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*")):
            for message in _messages(path):
                found[message] = str(path.relative_to(ROOT))
    return found


def _names() -> Iterator[tuple[str, str]]:
    """The names of models and fields, which the admin translates too."""
    for model, model_admin in site._registry.items():
        if isinstance(model_admin, ReadOnly):
            with override("en"):
                meta = model._meta
                for name in (meta.verbose_name, meta.verbose_name_plural):
                    yield str(name), meta.label
                yield str(meta.app_config.verbose_name), meta.app_label
                shown = {field.name for field in meta.fields} - _excluded(model_admin)
                for field in meta.fields:
                    if field.name in shown:
                        yield str(field.verbose_name), f"{meta.label}.{field.name}"


def _excluded(model_admin: ReadOnly) -> set[str]:
    return set(model_admin.exclude or ())


def _messages(path: Path) -> Iterator[str]:
    if path.suffix == ".py":
        yield from _of_code(ast.parse(path.read_text()))
    elif path.suffix == ".html":
        code = templatize(path.read_text(), origin=str(path))
        yield from (ast.literal_eval(text) for text in _CALL.findall(code))


def _of_code(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id not in _FUNCTIONS or not node.args:
                continue
            if isinstance(text := node.args[0], ast.Constant):
                yield str(text.value)
