"""Reads a CSDL document (`$metadata`, XML) into what its schemas declare. Pure.

The document comes from outside: document type declarations, deep nesting and floods of
elements are refused, and its size was limited when it was fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from replication.odata.errors import MalformedAnswerError, UnusableMetadataError

_DEEPEST = 40
_MOST_ELEMENTS = 500_000
_LARGEST = 64 * 1024 * 1024
_LONGEST_ANCESTRY = 32
# A set whose type has more is no table of anything.
_MOST_DESCENDANTS = 200

CORE = "Org.OData.Core.V1."
CAPABILITIES = "Org.OData.Capabilities.V1."


@dataclass(slots=True, kw_only=True)
class EntityType:
    name: str
    base: str | None
    element: Any

    @property
    def is_open(self) -> bool:
        return bool(self.element.get("OpenType") == "true")


@dataclass(slots=True, kw_only=True)
class Model:
    """What the schemas of a document declare, by qualified name."""

    namespaces: dict[str, str] = field(default_factory=dict)
    entities: dict[str, EntityType] = field(default_factory=dict)
    # Direct heirs of each type.
    heirs: dict[str, list[str]] = field(default_factory=dict)
    enums: set[str] = field(default_factory=set)
    # TypeDefinition elements.
    definitions: dict[str, Any] = field(default_factory=dict)
    # (container, entity set element)
    sets: list[tuple[str, Any]] = field(default_factory=list)
    # Annotations elements that stand apart from what they describe, by target.
    apart: dict[str, list[Any]] = field(default_factory=dict)

    def full(self, name: str) -> str:
        """Return a qualified name with its namespace instead of an alias."""
        prefix, dot, last = name.rpartition(".")
        return f"{self.namespaces.get(prefix, prefix)}{dot}{last}"

    def ancestry(self, name: str) -> list[EntityType]:
        """Return a type and its bases, the most general first.

        :raises UnusableMetadataError: the types inherit in a circle.
        """
        ancestry: list[EntityType] = []
        next_name: str | None = name
        while next_name is not None and next_name in self.entities:
            if len(ancestry) == _LONGEST_ANCESTRY:
                raise UnusableMetadataError(f"The type {name} never ends inheriting.")
            ancestry.insert(0, self.entities[next_name])
            next_name = self.entities[next_name].base
        return ancestry

    def descendants(self, name: str) -> list[EntityType]:
        """Return the types that inherit from this one, the nearest first.

        :raises UnusableMetadataError: there are too many, or they inherit in a circle.
        """
        found: list[EntityType] = []
        waiting = list(self.heirs.get(name, ()))
        while waiting:
            heir = waiting.pop(0)
            found.append(self.entities[heir])
            waiting += self.heirs.get(heir, ())
            if len(found) > _MOST_DESCENDANTS:
                raise UnusableMetadataError(f"The type {name} has too many heirs.")
        return found

    def annotations(self, element: Any, target: str, term: str) -> Iterator[Any]:
        """Return the annotations of an element with this term, wherever they stand."""
        for holder in (element, *self.apart.get(target, ())):
            for annotation in children(holder, "Annotation"):
                if self.full(annotation.get("Term", "")) == term:
                    yield annotation


def read_model(document: bytes) -> Model:
    """Return what the document declares.

    :raises MalformedAnswerError: the document is no XML, or is built to harm.
    :raises UnusableMetadataError: it is no CSDL of OData v4.
    """
    root = _root(document)
    if tag(root) != "Edmx" or not root.get("Version", "").startswith("4."):
        raise UnusableMetadataError("The metadata is no CSDL of OData version 4.")
    schemas = [element for element in root.iter() if tag(element) == "Schema"]
    model = Model()
    for included in (element for element in root.iter() if tag(element) == "Include"):
        _name(model, included)
    for schema in schemas:
        _name(model, schema)
    for schema in schemas:
        _read_schema(model, schema)
    for name, entity in model.entities.items():
        if entity.base is not None:
            model.heirs.setdefault(entity.base, []).append(name)
    return model


def tag(element: Any) -> str:
    """Return an element's name without its XML namespace, which version 4 changed."""
    return str(element.tag).rpartition("}")[2]


def children(element: Any, name: str) -> Iterator[Any]:
    return (child for child in element if tag(child) == name)


def truth(annotation: Any) -> bool:
    """Return what a tagging term says; without a value it says yes."""
    text = annotation.get("Bool")
    if text is None:
        text = next((child.text for child in children(annotation, "Bool")), "true")
    return (text or "").strip() == "true"


def _root(document: bytes) -> Any:
    if len(document) > _LARGEST:
        raise MalformedAnswerError("The metadata is too large.")
    depth = count = 0
    root = None
    try:
        events = ("start", "end")
        for event, element in iterparse(BytesIO(document), events, forbid_dtd=True):
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            count += 1
            if depth > _DEEPEST or count > 2 * _MOST_ELEMENTS:
                raise MalformedAnswerError("The metadata is nested too deeply.")
    # Encodings that Python does not know are a LookupError.
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        kind = type(error).__name__
        raise MalformedAnswerError(f"The metadata is no safe XML: {kind}.") from error
    return root


def _name(model: Model, element: Any) -> None:
    """Note the alias of a schema, its own or one that is only referred to."""
    namespace = element.get("Namespace", "")
    model.namespaces[element.get("Alias", namespace)] = namespace


def _read_schema(model: Model, schema: Any) -> None:
    namespace = schema.get("Namespace", "")
    for element in schema:
        name = f"{namespace}.{element.get('Name', '')}"
        match tag(element):
            case "EntityType":
                base = element.get("BaseType")
                model.entities[name] = EntityType(
                    name=name, base=model.full(base) if base else None, element=element
                )
            case "EnumType":
                model.enums.add(name)
            case "TypeDefinition":
                model.definitions[name] = element
            case "EntityContainer":
                model.sets += [
                    (name, child) for child in children(element, "EntitySet")
                ]
            case "Annotations":
                target = _target(model, element.get("Target", ""))
                model.apart.setdefault(target, []).append(element)


def _target(model: Model, target: str) -> str:
    container, slash, rest = target.partition("/")
    return f"{model.full(container)}{slash}{rest}"
