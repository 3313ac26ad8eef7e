"""The busy writer: many people who edit at a rate, and stop when told."""

from __future__ import annotations

import shutil

from tests.sandbox.running import as_application, start


def test_a_busy_writer_edits_many_tables_as_many_people(alone):
    version = alone.control("GET", "").json()["version"]
    work = {"edits_per_second": 2000, "seconds": 0.1, "seed": 7}

    alone.control("POST", "writer", work)
    while (report := alone.control("GET", "writer").json())["is_running"]:
        continue

    writes = alone.control("GET", f"journal?after={version}").json()["writes"]
    assert report["edits"] == 200
    assert {"update", "create", "delete", "assign"} <= set(report["kinds"])
    assert len({write["by"] for write in writes}) > 5
    assert {"account", "contact", "task"} <= {write["table"] for write in writes}


def test_the_same_seed_makes_the_same_edits(made, tmp_path):
    kinds = []
    for name in ("one", "two"):
        shutil.copytree(made, tmp_path / name)
        client = as_application(start(tmp_path / name, scale=30))
        work = {"edits_per_second": 1000, "seconds": 0.05, "seed": 3}
        client.control("POST", "writer", work)
        while client.control("GET", "writer").json()["is_running"]:
            continue
        kinds.append(client.control("GET", "writer").json()["kinds"])
        client.running.stop()

    assert kinds[0] == kinds[1]


def test_a_busy_writer_stops_when_told(alone):
    alone.control("POST", "writer", {"edits_per_second": 5, "seconds": 600})

    report = alone.control("DELETE", "writer").json()

    assert report["is_running"] is False


def test_a_writer_that_makes_no_sense_is_refused(contoso):
    for body in ({"edits_per_second": 0}, {"speed": 1}):
        assert contoso.control("POST", "writer", body).status_code == 400
