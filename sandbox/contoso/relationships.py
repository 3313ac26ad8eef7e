"""Describe relationships and alternate keys as the metadata API does. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.contoso.definitions import Definition, text
from sandbox.contoso.schema import Column, Navigation, Schema, Table, identify

ONE_TO_MANY = "OneToManyRelationshipMetadata"
MANY_TO_MANY = "ManyToManyRelationshipMetadata"
# What every relationship has, and can be selected without a cast segment.
COMMON_MEMBERS = frozenset(
    {
        "@odata.type", "MetadataId", "SchemaName", "RelationshipType",
        "IsCustomRelationship", "IsManaged", "IsValidForAdvancedFind",
        "SecurityTypes", "IntroducedVersion", "HasChanged",
    }
)  # fmt: skip


def relationship_id(name: str) -> str:
    return identify("relationship", name)


def all_relationships(schema: Schema) -> Iterator[Definition]:
    for table in schema.tables.values():
        yield from many_to_one(table, schema)
    for pairs in schema.intersects.values():
        yield _many_to_many(pairs)


def many_to_one(table: Table, schema: Schema) -> Iterator[Definition]:
    """Yield the relationships in which the table has the lookup."""
    for column in table.columns:
        for navigation in column.navigations:
            yield _one_to_many(table, column, navigation, schema=schema)


def one_to_many(table: Table, schema: Schema) -> Iterator[Definition]:
    """Yield the relationships in which others look up the table."""
    for (target, name), (source, column) in schema.collections.items():
        if target == table.name:
            way = next(n for n in column.navigations if n.relationship == name)
            yield _one_to_many(source, column, way, schema=schema)


def many_to_many(table: Table, schema: Schema) -> Iterator[Definition]:
    for pairs in schema.intersects.values():
        intersect = pairs.intersect
        if intersect and table.name in {intersect.first, intersect.second}:
            yield _many_to_many(pairs)


def key_definitions(table: Table) -> Iterator[Definition]:
    for key in table.keys:
        yield {
            "LogicalName": key.name,
            "SchemaName": key.name,
            "EntityLogicalName": table.name,
            "KeyAttributes": list(key.columns),
            "EntityKeyIndexStatus": "Active",
            "IsManaged": True,
            "IsSynchronous": True,
            "IsExportKey": False,
            "IsSecondaryKey": False,
            "DisplayName": text(key.name.replace("_", " ").capitalize()),
            "MetadataId": identify("key", table.name, key.name),
        }


def _common(name: str, kind: str) -> Definition:
    return {
        "@odata.type": f"#Microsoft.Dynamics.CRM.{kind}",
        "MetadataId": relationship_id(name),
        "SchemaName": name,
        "RelationshipType": kind.removesuffix("Metadata"),
        "IsCustomRelationship": False,
        "IsManaged": True,
        "IsValidForAdvancedFind": True,
        "SecurityTypes": "Append",
        "IntroducedVersion": "5.0.0.0",
        "HasChanged": None,
    }


def _one_to_many(
    table: Table, column: Column, navigation: Navigation, *, schema: Schema
) -> Definition:
    target = schema.tables.get(navigation.target)
    return _common(navigation.relationship, ONE_TO_MANY) | {
        "ReferencedEntity": "owner" if target is None else target.name,
        "ReferencedAttribute": "ownerid" if target is None else target.key,
        "ReferencedEntityNavigationPropertyName": navigation.relationship,
        "ReferencingEntity": table.name,
        "ReferencingAttribute": column.name,
        "ReferencingEntityNavigationPropertyName": navigation.name,
        "IsHierarchical": target is table,
        "CascadeConfiguration": {
            "Assign": "NoCascade",
            "Delete": column.on_delete,
            "Merge": "NoCascade",
            "Reparent": "NoCascade",
            "Share": "NoCascade",
            "Unshare": "NoCascade",
            "RollupView": "NoCascade",
            "Archive": "NoCascade",
        },
    }


def _many_to_many(pairs: Table) -> Definition:
    intersect = pairs.intersect
    assert intersect is not None
    return _common(intersect.relationship, MANY_TO_MANY) | {
        "IntersectEntityName": pairs.name,
        "Entity1LogicalName": intersect.first,
        "Entity1IntersectAttribute": intersect.first_column,
        "Entity1NavigationPropertyName": intersect.relationship,
        "Entity2LogicalName": intersect.second,
        "Entity2IntersectAttribute": intersect.second_column,
        "Entity2NavigationPropertyName": intersect.relationship,
    }
