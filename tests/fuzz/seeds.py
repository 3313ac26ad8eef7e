"""Good documents, from which the fuzzer makes bad ones."""

from __future__ import annotations

from sandbox.plain.tables import METADATA

PAGES = (
    (
        b'{"@odata.context":"https://a.example/odata/$metadata#Products",'
        b'"value":[{"@odata.etag":"W/\\"1\\"","ID":1,"Name":"x","Price":1.50,'
        b'"Condition":"New","Tags":["a","b"],"MadeAt":{"Street":null,"City":"Oslo"},'
        b'"ModifiedAt":"2026-11-22T01:02:03.1234567Z"}],'
        b'"@odata.nextLink":"Products?$skiptoken=1"}'
    ),
    (
        b'{"@context":"#Products/$delta","value":[{"@id":"Products(1)","Name":"y"},'
        b'{"@removed":{"reason":"deleted"},"@id":"Products(2)"},{"@removed":{},"ID":3}],'
        b'"@deltaLink":"Products?$deltatoken=8015"}'
    ),
    (
        b'{"@odata.context":"#Products/$delta","value":[{"@odata.context":'
        b'"#Products/$deletedEntity","id":"https://a.example/odata/Products(4)",'
        b'"reason":"deleted"},{"@odata.context":"#Products/$link","source":"Products(1)",'
        b'"relationship":"Lines","target":"OrderLines(Order=1,Line=\'a\')"}],'
        b'"@odata.deltaLink":"https://a.example/odata/Products?$deltatoken=9"}'
    ),
    (
        b'{"value":[{"Order":9223372036854775807,"Line":"it\'s \\u0000 \\ud83d\\ude00",'
        b'"ProductID":null,"Amount":12345678901234567890123456789012345678}]}'
    ),
    (
        b'{"value":[{"Id":"2e451703-c686-e711-80e5-00155db19e6d","Text":"a","Extra":{"b":'
        b"[1,2.5e10,true]}}]}"
    ),
    (
        b'{"value":[{"ID":"-9223372036854775808","Text":"","Exact":-0.00001,"Whole":"7",'
        b'"Small":-2147483648,"Real":"INF","Truth":true,"Day":"9999-12-31",'
        b'"Moment":"0001-01-01T00:00:00Z","Hour":"23:59:59.9999999","Span":"-P1DT2H",'
        b'"Bytes":"AAEC_-8=","Guid":"2E451703-C686-E711-80E5-00155DB19E6D",'
        b'"Words":[],"UpdatedAt":null}]}'
    ),
)

LINKS = (
    b"Products?$skiptoken=1",
    b"https://a.example/odata/Products?$deltatoken=919042%2108%2f22",
    b"../odata/OrderLines(Order=1,Line='it''s')",
    b"OrderLines(Order=1,Line='a%2Cb')",
    b"//evil.example/odata/Products",
    b"https://a.example:443\\@evil.example/",
    b"https://[::1]:8143/odata/Products#x",
    b"Products('x')",
    b"2e451703-c686-e711-80e5-00155db19e6d",
)

UPLOADS = (
    (
        b'{"device":"2e451703-c686-e711-80e5-00155db19e6d","mutations":[{"id":"'
        b'2e451703-c686-e711-80e5-00155db19e6e","sequence":1,"op":"create","table":"task",'
        b'"key":"2e451703-c686-e711-80e5-00155db19e6f","values":{"subject":"Call back",'
        b'"revenue":"12.50","n":-0.1e5,"j":{"a":[1,null,true]}}},{"id":"'
        b'2e451703-c686-e711-80e5-00155db19e70","sequence":2,"op":"update","table":"t",'
        b'"key":["a",1],"base_version":"10","values":{"x":null},"base_values":{"x":1},'
        b'"group":"2e451703-c686-e711-80e5-00155db19e71"}]}'
    ),
    (
        b'{"device":"2e451703-c686-e711-80e5-00155db19e6d","mutations":[{"id":"'
        b'2e451703-c686-e711-80e5-00155db19e6e","sequence":7,"op":"associate","table":"a",'
        b'"relationship":"r","key":"[\\"a\\",1]","other_key":7},{"id":"'
        b'2e451703-c686-e711-80e5-00155db19e70","sequence":8,"op":"void"}]}'
    ),
)

DOCUMENTS = (
    METADATA,
    (
        b'<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
        b'<edmx:DataServices><Schema Namespace="a" Alias="b" xmlns="http://docs.oasis-open'
        b'.org/odata/ns/edm"><EntityType Name="T" BaseType="a.U" OpenType="true"/>'
        b'<EntityType Name="U"><Key><PropertyRef Name="k"/></Key><Property Name="k" '
        b'Type="Edm.Int32" Nullable="false"/><Property Name="v" Type="b.D" MaxLength="max"/>'
        b'</EntityType><TypeDefinition Name="D" UnderlyingType="Edm.String"/>'
        b'<EnumType Name="E"><Member Name="x"/></EnumType><EntityContainer Name="c">'
        b'<EntitySet Name="Ts" EntityType="b.T"/></EntityContainer></Schema>'
        b"</edmx:DataServices></edmx:Edmx>"
    ),
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
)

# What turns up in documents that were written to harm, or by mistake.
PIECES = (
    b"\x00", b"\\u0000", b"\\ud800", b"\xff\xfe", b"\xed\xa0\x80", b"null", b"{}", b"[]",
    b'"', b"'", b"''", b"(", b")", b",", b"=", b"%", b"%00", b"%ff", b"\\", b"//", b"@",
    b"1e999", b"-0", b"NaN", b"99999999999999999999", b"0.1e-400", b"true",
    b"<", b">", b"&lt;", b"<!--", b"]]>", b"<a>" * 50, b"[" * 2000, b'{"a":' * 50,
    b"@odata.context", b"@removed", b"@id", b"$deletedEntity", b"$delta", b"value",
    b'Alias="a.b"', b'BaseType="b.T"', b'Type="Collection(b.T)"', b"Edm.Stream",
    b"\xf0\x9f\x98\x80", b"2026-02-30T25:61:00Z", b"10000-01-01", b"a" * 3000,
)  # fmt: skip
