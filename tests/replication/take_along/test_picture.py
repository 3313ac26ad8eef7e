"""The picture shows units with people, and says in words what its bars show."""

from __future__ import annotations

from xml.etree import ElementTree

from replication.take_along import picture
from tests.replication.take_along.factories import found, person, unit

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*people, **more):
    text = picture.drawn(found(*people, **more))
    return ElementTree.fromstring(text)  # noqa: S314  drawn above


def texts(svg):
    return [element.text for element in svg.iter(f"{SVG}text")]


def bars(svg):
    found = [e for e in svg.iter(f"{SVG}rect") if e.get("class") == "bar"]
    return [float(bar.get("width", "")) for bar in found]


def test_units_without_people_are_left_out_but_those_above_people_are_kept():
    units = (
        unit("Fabrikam"),
        unit("East", level=1),
        unit("Bay", level=2),
        unit("North", level=1),
        unit("Port", level=2),
        unit("Pier", level=3),
        unit("South", level=1),
    )

    shown = texts(drawn(person("Ada", of="Port"), units=units))

    assert [u.name for u in units if u.name in shown] == ["Fabrikam", "North", "Port"]


def test_somebody_of_an_unknown_unit_is_shown_all_the_same():
    assert "Ada" in texts(drawn(person("Ada", of="nowhere")))


def test_a_bar_grows_with_the_square_root_and_no_rows_have_none():
    all_of_them, quarter = bars(
        drawn(
            person("Ada", accounts=2_000),
            person("Grace", accounts=500),
            person("Hedy", accounts=0),
        )
    )

    assert quarter == all_of_them / 2


def test_a_reader_hears_what_the_bars_show():
    svg = drawn(
        person("Ada", accounts=1_500),
        person("Niels", refused="The user holds no role."),
        person("Mary", tables={}),
    )

    assert svg.findtext(f"{SVG}desc") == (
        "Ada of North: account 1,500. Niels of North: The user holds no role."
        " Mary of North: no account."
    )


def test_a_name_cannot_break_out_of_its_text():
    assert "<b>&amp;" in texts(drawn(person("<b>&amp;")))
