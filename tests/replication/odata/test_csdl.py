"""What a service's `$metadata` document says its tables are."""

from __future__ import annotations

import pytest

from replication.domain.tables import ColumnType
from replication.odata import csdl
from replication.odata.errors import MalformedAnswerError, UnusableMetadataError
from replication.odata.names import unique_names
from tests.replication.odata.servers import Answer

TRACKING = """
<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking">
  <Record><PropertyValue Property="Supported" Bool="{supported}" /></Record>
</Annotation>"""

ORDER = """
<EntityType Name="Order">
  <Key><PropertyRef Name="ID"/></Key>
  <Property Name="ID" Type="Edm.Int32" Nullable="false"/>
  {properties}
</EntityType>"""


def document(types, sets='<EntitySet Name="Orders" EntityType="shop.Order"/>', more=""):
    return f"""<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
 <edmx:DataServices>
  <Schema Namespace="example.shop" Alias="shop"
          xmlns="http://docs.oasis-open.org/odata/ns/edm">
   {types}
   <EntityContainer Name="System">{sets}</EntityContainer>
   {more}
  </Schema>
 </edmx:DataServices>
</edmx:Edmx>""".encode()


def load(*args, names=("orders",), **kw):
    return csdl.load_tables(document(*args, **kw), names)


def columns(properties, types=""):
    [table] = load(types + ORDER.format(properties=properties))
    return {column.name: column for column in table.columns}


def test_an_entity_set_is_a_table(start, source_at):
    body = document(
        ORDER.format(properties='<Property Name="Note" Type="Edm.String"/>')
    )
    server = start(
        lambda request: Answer(headers={"Content-Type": "application/xml"}, body=body)
    )

    [table] = source_at(server, kind="odata").load_tables(("orders", "nothing"))

    assert server.last.target == "/api/data/v9.2/$metadata"
    assert (table.name, table.entity_set, table.key) == ("orders", "Orders", ("ID",))
    assert [column.name for column in table.columns] == ["ID", "Note"]
    assert (table.version_column, table.ownership) == (None, "none")
    assert not table.tracked


def test_a_table_may_be_named_as_the_entity_set_is():
    assert load(ORDER, names=("Orders",)) == load(ORDER, names=("orders",)) != ()


@pytest.mark.parametrize(
    ("edm", "column_type"),
    [
        ("Edm.Guid", ColumnType.GUID),
        ("Edm.String", ColumnType.STRING),
        ("Edm.Byte", ColumnType.INT),
        ("Edm.Int64", ColumnType.BIGINT),
        ("Edm.Boolean", ColumnType.BOOL),
        ("Edm.Single", ColumnType.DOUBLE),
        ("Edm.Decimal", ColumnType.DECIMAL),
        ("Edm.DateTimeOffset", ColumnType.DATETIME),
        ("Edm.Date", ColumnType.DATE),
        ("Edm.TimeOfDay", ColumnType.TIME),
        ("Edm.Duration", ColumnType.DURATION),
        ("Edm.Binary", ColumnType.BINARY),
        ("Edm.GeographyPoint", ColumnType.JSON),
        ("Edm.Untyped", ColumnType.JSON),
        ("shop.Color", ColumnType.STRING),
        ("example.shop.Color", ColumnType.STRING),
        ("shop.Weight", ColumnType.DECIMAL),
        ("shop.Address", ColumnType.JSON),
        ("Collection(Edm.String)", ColumnType.JSON),
        ("Collection(shop.Address)", ColumnType.JSON),
    ],
)
def test_every_type_of_the_standard_has_its_place(edm, column_type):
    types = """
    <EnumType Name="Color"><Member Name="Red" Value="0"/></EnumType>
    <TypeDefinition Name="Weight" UnderlyingType="Edm.Decimal"/>
    <ComplexType Name="Address"><Property Name="City" Type="Edm.String"/></ComplexType>
    """

    assert columns(f'<Property Name="X" Type="{edm}"/>', types)["X"].type is column_type


def test_streams_are_not_part_of_a_row():
    assert "Photo" not in columns('<Property Name="Photo" Type="Edm.Stream"/>')


def test_facets_are_read_and_open_ones_are_none():
    found = columns("""
    <Property Name="A" Type="Edm.String" MaxLength="40" Nullable="false"/>
    <Property Name="B" Type="Edm.String" MaxLength="max"/>
    <Property Name="C" Type="Edm.Decimal" Precision="10" Scale="2"/>
    <Property Name="D" Type="Edm.Decimal" Scale="variable"/>
    """)

    assert (found["A"].max_length, found["A"].required) == (40, True)
    assert (found["B"].max_length, found["B"].required) == (None, False)
    assert (found["C"].precision, found["C"].scale) == (10, 2)
    assert found["D"].scale is None


def test_keys_and_columns_are_inherited():
    [task] = load(
        """
        <EntityType Name="base" Abstract="true"/>
        <EntityType Name="activity" BaseType="shop.base" Abstract="true">
          <Key><PropertyRef Name="activityid"/></Key>
          <Property Name="activityid" Type="Edm.Guid"/>
          <Property Name="subject" Type="Edm.String"/>
        </EntityType>
        <EntityType Name="task" BaseType="example.shop.activity">
          <Property Name="percent" Type="Edm.Int32"/>
        </EntityType>""",
        '<EntitySet Name="tasks" EntityType="example.shop.task"/>',
        names=("tasks",),
    )

    assert task.key == ("activityid",)
    assert [c.name for c in task.columns] == ["activityid", "subject", "percent"]


def test_a_composite_key_keeps_its_order():
    [lines] = load(
        """
        <EntityType Name="Line">
          <Key><PropertyRef Name="Order"/><PropertyRef Name="Number"/></Key>
          <Property Name="Number" Type="Edm.Int32"/>
          <Property Name="Order" Type="Edm.Guid"/>
        </EntityType>""",
        '<EntitySet Name="Lines" EntityType="shop.Line"/>',
        names=("lines",),
    )

    assert lines.key == ("Order", "Number")


@pytest.mark.parametrize(("supported", "tracked"), [("true", True), ("false", False)])
def test_change_tracking_is_what_the_annotation_says(supported, tracked):
    annotation = TRACKING.format(supported=supported)
    inside = (
        f'<EntitySet Name="Orders" EntityType="shop.Order">{annotation}</EntitySet>'
    )
    apart = f'<Annotations Target="shop.System/Orders">{annotation}</Annotations>'

    assert [table.tracked for table in load(ORDER, inside)] == [tracked]
    assert [table.tracked for table in load(ORDER, more=apart)] == [tracked]


def test_a_foreign_key_knows_the_table_it_refers_to():
    found = columns("""
    <Property Name="ParentID" Type="Edm.Int32"/>
    <NavigationProperty Name="Parent" Type="shop.Order">
      <ReferentialConstraint Property="ParentID" ReferencedProperty="ID"/>
    </NavigationProperty>""")

    assert found["ParentID"].references == ("orders",)


def test_what_has_no_key_that_can_be_stored_is_no_table():
    assert load('<EntityType Name="Order"/>') == ()
    assert load("") == ()
    keyed = '<EntityType Name="Order"><Key><PropertyRef Name="A/B"/></Key></EntityType>'
    assert load(keyed) == ()


def test_names_that_clash_get_a_suffix():
    found = columns("""
    <Property Name="Name" Type="Edm.String"/>
    <Property Name="name" Type="Edm.String"/>
    <Property Name="_version" Type="Edm.String"/>""")

    assert [(name, c.source_name) for name, c in found.items()] == [
        ("ID", "ID"),
        ("Name", "Name"),
        ("name_2", "name"),
        ("_version_2", "_version"),
    ]


def test_a_name_that_is_no_identifier_is_left_out():
    assert list(columns('<Property Name="a&quot;b" Type="Edm.String"/>')) == ["ID"]


def test_names_cut_alike_by_postgresql_stay_distinct():
    long = "é" * 40

    names = unique_names([f"{long}a", f"{long}b"])

    assert len(set(names)) == 2
    assert all(len(name.encode()) <= 63 for name in names)


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><edmx:Edmx Version="4.0">&b;</edmx:Edmx>"""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><p></html>",
        b'{"value":[]}',
        BOMB.encode(),
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        b"<a>" * 100_000 + b"</a>" * 100_000,
    ],
    ids=["empty", "html", "json", "entities", "external", "deep"],
)
def test_what_is_no_safe_xml_is_refused(body):
    with pytest.raises(MalformedAnswerError):
        csdl.load_tables(body, ("orders",))


@pytest.mark.parametrize(
    "body", [b"<html/>", b'<edmx:Edmx xmlns:edmx="x" Version="1.0"/>']
)
def test_another_version_of_odata_is_the_operators_to_know(body):
    with pytest.raises(UnusableMetadataError):
        csdl.load_tables(body, ("orders",))


def test_types_that_inherit_in_a_circle_are_refused():
    circle = """<EntityType Name="Order" BaseType="shop.Other"/>
    <EntityType Name="Other" BaseType="shop.Order"/>"""

    with pytest.raises(UnusableMetadataError):
        load(circle)


THING = """
<EntityType Name="Thing" Abstract="true" {open}>
  <Key><PropertyRef Name="ID"/></Key>
  <Property Name="ID" Type="Edm.Int32" Nullable="false"/>
</EntityType>
<EntityType Name="Order" BaseType="shop.Thing">
  <Property Name="Note" Type="Edm.String"/></EntityType>
<EntityType Name="Big" BaseType="shop.Order">
  <Property Name="Size" Type="Edm.Int32" Nullable="false"/></EntityType>
<EntityType Name="Odd" BaseType="shop.Order">
  <Property Name="Size" Type="Edm.String"/></EntityType>"""


def test_a_set_has_the_columns_of_heirs_too():
    [table] = load(THING.format(open=""))

    found = {column.name: column for column in table.columns}
    assert list(found) == ["ID", "Note", "Size"]
    assert found["Size"].type is ColumnType.JSON
    assert not found["Size"].required
    assert (table.key, table.whole_rows) == (("ID",), True)


def test_what_an_open_type_does_not_declare_has_a_column():
    [table] = load(THING.format(open='OpenType="true"'))

    assert table.columns[-1].name == "undeclared"
    assert table.columns[-1].undeclared
    assert table.columns[-1].type is ColumnType.JSON


def test_annotations_are_understood_by_an_alias_that_is_only_referred_to():
    head = """<edmx:Reference Uri="x"><edmx:Include Namespace="Org.OData.Core.V1"
        Alias="Core"/></edmx:Reference><edmx:DataServices>"""
    properties = """<Property Name="At" Type="Edm.DateTimeOffset">
        <Annotation Term="Core.Computed"/></Property>"""
    sets = """<EntitySet Name="Orders" EntityType="shop.Order">
        <Annotation Term="Core.OptimisticConcurrency"><Collection>
        <PropertyPath>At</PropertyPath></Collection></Annotation></EntitySet>"""
    body = document(ORDER.format(properties=properties), sets)

    body = body.replace(b"<edmx:DataServices>", head.encode(), 1)
    [table] = csdl.load_tables(body, ("orders",))

    assert table.column("At").computed
    assert table.column("At").guards_row


def test_a_flood_of_elements_is_refused():
    flood = b"<x>" + b"<y/>" * 500_001 + b"</x>"

    with pytest.raises(MalformedAnswerError):
        csdl.load_tables(flood, ("orders",))
