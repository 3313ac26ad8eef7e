"""The plain service: OData without change tracking."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from replication.odata import csdl
from replication.odata.client import ODataSource, open_source
from sandbox.plain.tables import SETS
from sandbox.server import RunningPlain, serve_plain
from tests.sandbox.running import CONTROL

PRODUCTS = "/odata/Products"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlain]:
    sandbox = serve_plain(tmp_path_factory.mktemp("plain"), port=0, scale=40)
    yield sandbox
    sandbox.stop()


def ask(
    running: RunningPlain, path: str, method: str = "GET", **more
) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        url = f"{running.url}{path}"
        return session.request(
            method, url, verify=str(running.ca_file), timeout=20, **more
        )


def source(running: RunningPlain, *, page_size: int = 7) -> ODataSource:
    return open_source(
        endpoint=f"{running.url}/odata",
        kind="odata",
        credential={"type": "none"},
        ca_certificate=running.ca_file.read_text(),
        allow_loopback=True,
        page_size=page_size,
    )


def test_its_metadata_describes_every_set(running):
    document = ask(running, "/odata/$metadata").content

    tables = csdl.load_tables(document, tuple(SETS))

    assert [table.entity_set for table in tables] == list(SETS)


def test_rows_are_filtered_sorted_and_chosen(running):
    query = "$filter=ID ge 3 and (ID lt 5 or ID eq 7)&$orderby=ID desc&$select=ID"

    rows = ask(running, f"{PRODUCTS}?{query}").json()["value"]

    assert [row["ID"] for row in rows] == [7, 4, 3]
    assert all(row.keys() == {"@odata.etag", "ID"} for row in rows)


def test_a_client_may_ask_for_smaller_pages(running):
    first = ask(running, PRODUCTS, headers={"Prefer": "maxpagesize=30"}).json()

    second = ask(running, f"/odata/{first['@odata.nextLink']}").json()

    assert (len(first["value"]), len(second["value"])) == (30, 10)


@pytest.mark.parametrize(
    "query", ["$filter=ID foo 3", "$expand=Lines", "$top=x", "$filter=(ID eq 1"]
)
def test_what_it_does_not_understand_is_refused(running, query):
    assert ask(running, f"{PRODUCTS}?{query}").status_code == 400


def test_tests_change_rows_by_calls_of_their_own(running):
    row = {"Code": "new", "Name": "Ada"}
    body = {"set": "Customers", "rows": [row]}

    ask(running, "/_plain/put", "POST", json=body, headers=CONTROL)
    made = ask(running, "/odata/Customers?$filter=Code eq 'new'").json()["value"]
    ask(running, "/_plain/delete", "POST", json=body, headers=CONTROL)
    left = ask(running, "/odata/Customers?$filter=Code eq 'new'").json()["value"]

    assert [one["Name"] for one in made] == ["Ada"]
    assert made[0]["LastUpdated"].endswith("Z")
    assert left == []


def test_its_modes_are_found_out_by_asking(running):
    client = source(running)

    found = {
        table.entity_set: client.find_mode(table)
        for table in client.load_tables(tuple(SETS))
    }

    assert {name: one.column for name, one in found.items() if one.column} == {
        "Products": "ModifiedAt",
        "Customers": "LastUpdated",
        "People": "ModifiedOn",
    }


def test_a_fault_is_answered_once(running):
    fault = {"path": "Notes", "status": 503, "headers": {"Retry-After": "1"}}
    ask(running, "/_plain/faults", "POST", json=fault, headers=CONTROL)

    answers = [ask(running, "/odata/Notes").status_code for _ in range(2)]

    assert answers == [503, 200]


def test_a_row_is_written_under_its_version(running):
    made = ask(running, PRODUCTS, "POST", json={"ID": 800, "Name": "Lamp"})
    path, etag = f"{PRODUCTS}(800)", made.headers["ETag"]

    blind = ask(running, path, "PATCH", json={"Name": "x"})
    first = ask(
        running, path, "PATCH", json={"Name": "Chair"}, headers={"If-Match": etag}
    )
    late = ask(running, path, "DELETE", headers={"If-Match": etag})
    gone = ask(running, path, "DELETE", headers={"If-Match": first.headers["ETag"]})

    assert (made.status_code, blind.status_code) == (201, 428)
    assert (first.status_code, first.json()["Name"]) == (200, "Chair")
    assert (late.status_code, gone.status_code) == (412, 204)
    assert ask(running, path).status_code == 404


def test_a_change_without_condition_makes_the_row(running):
    path = "/odata/Customers('new''one')"

    refused = ask(running, path, "PATCH", json={"Name": "x"}, headers={"If-Match": "*"})
    made = ask(running, path, "PATCH", json={"Name": "x"})

    assert (refused.status_code, made.status_code) == (404, 201)
    assert ask(running, path).json()["Code"] == "new'one"
