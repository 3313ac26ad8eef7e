"""Finds the navigation properties of services that are not Dataverse, in their CSDL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from replication.odata import csdl
from replication.odata.answers import Reply
from replication.odata.edmx import Model, children, read_model
from replication.odata.keys import key_columns
from replication.odata.ways import Link, Memory, Target


class Documents(Protocol):
    def csdl(self) -> Reply: ...


class ServiceWays:
    """Answers for the entity sets of a service. Their lookups are plain columns."""

    def __init__(self, documents: Documents, memory: Memory) -> None:
        self._documents = documents
        self._memory = memory

    def lookup(self, table: str, column: str, target: str | None) -> str | None:
        """No column is written by a navigation property."""
        return None

    def target(self, name: str) -> Target | None:
        """No column names a row of another table by its address."""
        return None

    def link(self, table: str, relationship: str) -> Link | None:
        """Return the way of a navigation property, None when there is none.

        :raises SyncError: the source cannot be asked.
        """
        links = self._memory.recall(
            "links", table, lambda: links_of(self._documents.csdl().body, table)
        )
        return links.get(relationship)


def links_of(document: bytes, table: str) -> Mapping[str, Link]:
    """Return the navigation properties of a table's rows, by name.

    :raises SyncError: the document cannot be read.
    """
    model = read_model(document)
    known = csdl.load_tables(document, (table,))
    if not known:
        return {}
    own = next(e for _, e in model.sets if e.get("Name") == known[0].entity_set)
    kind = model.full(own.get("EntityType", ""))
    found: dict[str, Link] = {}
    for entity in (*model.ancestry(kind), *model.descendants(kind)):
        for navigation in children(entity.element, "NavigationProperty"):
            link = _link(document, model, own, navigation)
            if link is not None:
                found[link.navigation] = link
    return found


def _link(document: bytes, model: Model, own: Any, navigation: Any) -> Link | None:
    name, kind = navigation.get("Name", ""), navigation.get("Type", "")
    is_many = kind.startswith("Collection(")
    wanted = model.full(kind.removeprefix("Collection(").removesuffix(")"))
    entity_set = _bound(own, name) or _set_of(model, wanted)
    others = csdl.load_tables(document, (entity_set,)) if entity_set else ()
    if not others:
        return None
    other = others[0]
    target = Target(
        name=other.name, entity_set=other.entity_set, key=key_columns(other)
    )
    return Link(navigation=name, other=target, is_single=not is_many)


def _bound(own: Any, name: str) -> str | None:
    """Return the entity set that a set says a property leads to."""
    for binding in children(own, "NavigationPropertyBinding"):
        if binding.get("Path", "").rpartition("/")[2] == name:
            return str(binding.get("Target", "")).rpartition("/")[2] or None
    return None


def _set_of(model: Model, wanted: str) -> str | None:
    kinds = {kind.name for kind in model.ancestry(wanted)}
    for _, element in model.sets:
        if model.full(element.get("EntityType", "")) in kinds:
            return str(element.get("Name"))
    return None
