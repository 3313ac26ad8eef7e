"""Write `$metadata`: the CSDL document of the organization. Pure.

As in Dataverse, systemuser and team derive from `principal` and inherit its key
`ownerid`, and tasks derive from `activitypointer`, which has the columns that
all activities share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import quoteattr

from sandbox.contoso.schema import Column, Navigation, Schema, Table

_EDM = "http://docs.oasis-open.org/odata/ns/edm"
_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
# Of the columns of a task, those that other activities do not have.
_TASK_ONLY = frozenset({"category", "subcategory", "percentcomplete"})
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
    activities = [t for t in schema.tables.values() if t.base == "activitypointer"]
    lines += _activitypointer(activities[0], annotated=with_annotations)
    partners = _partners(schema)
    for table in schema.tables.values():
        lines += _entity_type(
            table, partners[table.name], annotated=with_annotations, schema=schema
        )
    lines += _container(schema)
    lines += ["</Schema>", "</edmx:DataServices>", "</edmx:Edmx>"]
    return "\n".join(lines).encode()


def _principal() -> Iterator[str]:
    yield '<EntityType Name="principal" BaseType="mscrm.crmbaseentity">'
    yield '<Key><PropertyRef Name="ownerid" /></Key>'
    yield '<Property Name="ownerid" Type="Edm.Guid" />'
    yield "</EntityType>"


def _activitypointer(task: Table, *, annotated: bool) -> Iterator[str]:
    yield '<EntityType Name="activitypointer" BaseType="mscrm.crmbaseentity">'
    yield '<Key><PropertyRef Name="activityid" /></Key>'
    for column in task.columns:
        if column.name not in _TASK_ONLY:
            yield from _property(column, annotated=annotated)
    yield "</EntityType>"


def _entity_type(
    table: Table,
    partners: list[tuple[Table, Navigation]],
    *,
    annotated: bool,
    schema: Schema,
) -> Iterator[str]:
    yield f'<EntityType Name="{table.name}" BaseType="mscrm.{table.base}">'
    if table.base not in _KEYS:
        yield f'<Key><PropertyRef Name="{table.key}" /></Key>'
    for column in _own_columns(table):
        yield from _property(column, annotated=annotated)
    for column in table.columns:
        for navigation in column.navigations:
            yield from _navigation(column, navigation, schema=schema)
    for source, navigation in partners:
        yield (
            f'<NavigationProperty Name="{navigation.relationship}"'
            f' Type="Collection(mscrm.{source.name})" Partner="{navigation.name}" />'
        )
    yield from _pairings(table, schema)
    if annotated:
        yield _description(f"{table.label} of the sandbox.")
    yield "</EntityType>"


def _own_columns(table: Table) -> Iterator[Column]:
    for column in table.columns:
        is_inherited = (
            column.name not in _TASK_ONLY
            if table.base == "activitypointer"
            else column.name == _KEYS.get(table.base)
        )
        if not is_inherited:
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


def _partners(schema: Schema) -> Mapping[str, list[tuple[Table, Navigation]]]:
    """Return, by target, the navigations that lead to it."""
    found: dict[str, list[tuple[Table, Navigation]]] = {
        name: [] for name in schema.tables
    }
    for table in schema.tables.values():
        for column in table.columns:
            for navigation in column.navigations:
                if navigation.target in found:
                    found[navigation.target].append((table, navigation))
    return found


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
