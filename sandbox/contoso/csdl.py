"""Write `$metadata`: the CSDL document of the organization. Pure.

As in Dataverse, systemuser and team derive from `principal` and inherit its key
`ownerid`, and activities derive from `activitypointer`, which has the columns
that all of them share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import quoteattr

from sandbox.contoso.schema import Column, Navigation, Schema, Table

_EDM = "http://docs.oasis-open.org/odata/ns/edm"
_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
_KEYS = {"principal": "ownerid", "activitypointer": "activityid"}


def document(schema: Schema, *, with_annotations: bool) -> bytes:
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<edmx:Edmx Version="4.0" xmlns:edmx="{_EDMX}">',
        "<edmx:DataServices>",
        f'<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" xmlns="{_EDM}">',
        '<EntityType Name="crmbaseentity" Abstract="true" />',
        *_principal(),
    ]
    lines += _activitypointer(schema, annotated=with_annotations)
    for table in schema.tables.values():
        lines += _entity_type(table, annotated=with_annotations, schema=schema)
    lines += _container(schema)
    lines += ["</Schema>", "</edmx:DataServices>", "</edmx:Edmx>"]
    return "\n".join(lines).encode()


def _principal() -> Iterator[str]:
    yield '<EntityType Name="principal" BaseType="mscrm.crmbaseentity">'
    yield '<Key><PropertyRef Name="ownerid" /></Key>'
    yield '<Property Name="ownerid" Type="Edm.Guid" />'
    yield "</EntityType>"


def _activitypointer(schema: Schema, *, annotated: bool) -> Iterator[str]:
    yield '<EntityType Name="activitypointer" BaseType="mscrm.crmbaseentity">'
    yield '<Key><PropertyRef Name="activityid" /></Key>'
    for column in _of_all_activities(schema).values():
        yield from _property(column, annotated=annotated)
    yield "</EntityType>"


def _of_all_activities(schema: Schema) -> Mapping[str, Column]:
    """Return, by wire name, the columns that every activity has."""
    first, *others = (t for t in schema.tables.values() if t.is_activity)
    return {
        wire: column
        for wire, column in first.by_wire.items()
        if all(wire in table.by_wire for table in others)
    }


def _entity_type(table: Table, *, annotated: bool, schema: Schema) -> Iterator[str]:
    yield f'<EntityType Name="{table.name}" BaseType="mscrm.{table.base}">'
    if table.base not in _KEYS:
        yield f'<Key><PropertyRef Name="{table.key}" /></Key>'
    for column in _own_columns(table, schema):
        yield from _property(column, annotated=annotated)
    for column in table.columns:
        for navigation in column.navigations:
            yield from _navigation(column, navigation, schema=schema)
    yield from _collections(table, schema)
    yield from _pairings(table, schema)
    yield from _alternate_keys(table)
    if annotated:
        yield _description(f"{table.label} of the sandbox.")
    yield "</EntityType>"


def _own_columns(table: Table, schema: Schema) -> Iterator[Column]:
    inherited: Mapping[str, Column] = {}
    if table.base == "activitypointer":
        inherited = _of_all_activities(schema)
    for column in table.columns:
        if column.wire not in inherited and column.name != _KEYS.get(table.base):
            yield column


def _property(column: Column, *, annotated: bool) -> Iterator[str]:
    facets = {
        "Edm.String": ' Unicode="false"',
        "Edm.Decimal": ' Scale="Variable"',
    }.get(column.edm, "")
    if column.max_length is not None:
        facets += f' MaxLength="{column.max_length}"'
    start = f'<Property Name="{column.wire}" Type="{column.edm}"{facets}'
    if not annotated:
        yield f"{start} />"
        return
    yield f"{start}>"
    yield _description(column.label)
    if column.is_lookup or not column.settable:
        yield '<Annotation Term="Org.OData.Core.V1.Computed" Bool="true" />'
    yield "</Property>"


def _description(text: str) -> str:
    return (
        f'<Annotation Term="Org.OData.Core.V1.Description" String={quoteattr(text)} />'
    )


def _navigation(
    column: Column, navigation: Navigation, *, schema: Schema
) -> Iterator[str]:
    target = schema.tables.get(navigation.target)
    key = "ownerid" if target is None else target.key
    yield (
        f'<NavigationProperty Name="{navigation.name}"'
        f' Type="mscrm.{navigation.target}" Partner="{navigation.relationship}">'
    )
    yield (
        f'<ReferentialConstraint Property="{column.wire}" ReferencedProperty="{key}" />'
    )
    yield "</NavigationProperty>"


def _collections(table: Table, schema: Schema) -> Iterator[str]:
    for (target, name), (source, column) in schema.collections.items():
        if target == table.name:
            way = next(n for n in column.navigations if n.relationship == name)
            yield (
                f'<NavigationProperty Name="{name}"'
                f' Type="Collection(mscrm.{source.name})" Partner="{way.name}" />'
            )


def _alternate_keys(table: Table) -> Iterator[str]:
    if not table.keys:
        return
    yield '<Annotation Term="OData.Community.Keys.V1.AlternateKeys"><Collection>'
    for key in table.keys:
        yield (
            '<Record Type="OData.Community.Keys.V1.AlternateKey">'
            '<PropertyValue Property="Key"><Collection>'
        )
        for name in key.columns:
            yield (
                '<Record Type="OData.Community.Keys.V1.PropertyRef">'
                f'<PropertyValue Property="Alias" String="{name}" />'
                f'<PropertyValue Property="Name" PropertyPath="{name}" /></Record>'
            )
        yield "</Collection></PropertyValue></Record>"
    yield "</Collection></Annotation>"


def _pairings(table: Table, schema: Schema) -> Iterator[str]:
    for relationship, pairs in schema.intersects.items():
        intersect = pairs.intersect
        if intersect is None or table.name not in {intersect.first, intersect.second}:
            continue
        is_first = intersect.first == table.name
        other = intersect.second if is_first else intersect.first
        yield (
            f'<NavigationProperty Name="{relationship}"'
            f' Type="Collection(mscrm.{other})" Partner="{relationship}" />'
        )


def _container(schema: Schema) -> Iterator[str]:
    yield '<EntityContainer Name="System">'
    for table in schema.tables.values():
        yield (
            f'<EntitySet Name="{table.entity_set}"'
            f' EntityType="Microsoft.Dynamics.CRM.{table.name}">'
        )
        for column in table.columns:
            for navigation in column.navigations:
                target = schema.tables.get(navigation.target)
                if target is not None:
                    yield (
                        f'<NavigationPropertyBinding Path="{navigation.name}"'
                        f' Target="{target.entity_set}" />'
                    )
        if table.tracked:
            yield '<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking">'
            yield '<Record><PropertyValue Property="Supported" Bool="true" /></Record>'
            yield "</Annotation>"
        yield "</EntitySet>"
    yield "</EntityContainer>"
