"""Reads how tables relate to each other from Dataverse's metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from replication.domain.source_profiles import Relationship
from replication.odata.metadata import LOGICAL_NAME, Reader

_ONE_TO_MANY = (
    "OneToManyRelationships"
    "?$select=SchemaName,ReferencedEntity,ReferencingEntity,ReferencingAttribute"
)
_MANY_TO_MANY = (
    "ManyToManyRelationships"
    "?$select=SchemaName,IntersectEntityName,Entity1LogicalName,"
    "Entity1IntersectAttribute,Entity2LogicalName,Entity2IntersectAttribute"
)


class _OneToMany(Struct):
    name: str = field(name="SchemaName")
    one: str = field(name="ReferencedEntity")
    many: str = field(name="ReferencingEntity")
    column: str = field(name="ReferencingAttribute")


class _ManyToMany(Struct):
    name: str = field(name="SchemaName")
    intersect: str = field(name="IntersectEntityName")
    one: str = field(name="Entity1LogicalName")
    column: str = field(name="Entity1IntersectAttribute")
    many: str = field(name="Entity2LogicalName")
    other_column: str = field(name="Entity2IntersectAttribute")


class _OneToManyList(Struct):
    value: list[_OneToMany]


class _ManyToManyList(Struct):
    value: list[_ManyToMany]


def load_relationships(reader: Reader, tables: Iterable[str]) -> Iterator[Relationship]:
    """The relationships of these tables; two requests for each."""
    for table in tables:
        if not LOGICAL_NAME.fullmatch(table):
            continue
        address = f"EntityDefinitions(LogicalName='{table}')"
        ones = reader.document(f"{address}/{_ONE_TO_MANY}", shape=_OneToManyList)
        for one in ones.value:
            yield Relationship(
                name=one.name, one=one.one, many=one.many, column=one.column
            )
        manys = reader.document(f"{address}/{_MANY_TO_MANY}", shape=_ManyToManyList)
        for many in manys.value:
            yield Relationship(
                name=many.name,
                one=many.one,
                many=many.many,
                column=many.column,
                intersect=many.intersect,
                other_column=many.other_column,
            )
