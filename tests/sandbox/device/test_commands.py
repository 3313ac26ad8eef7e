"""The command line: what it prints, and how it ends."""

from __future__ import annotations

import pytest

from sandbox.device.commands import main
from sandbox.device.store import Store
from tests.sandbox.device.answers import ADA, GRACE, complete, model, rows, snapshot
from tests.sandbox.device.scripted import Answer, json_answer, ndjson, problem

ORG = "/sync/v1/orgs/contoso"
M1 = model()


@pytest.fixture
def options(service, tmp_path) -> list[str]:
    """The options of a command that talks to a service where all is well."""
    found = {
        "organization": "contoso",
        "endpoint": service.url,
        "authority": f"{service.url}/contoso/v2.0",
        "audience": "api://waystation",
        "state": "active",
    }
    path = str(tmp_path / "ada.sqlite")
    with Store(path) as store:
        store.bind(device="d1")
    registered = {
        "user": {"id": ADA, "name": "Ada"},
        "state": "active",
        "next_sequence": 1,
    }
    lines = [
        snapshot(M1),
        rows("account", [ADA, "Ada", "1"], [GRACE, "[/b] Grace", "1"]),
        complete("k1", rows=2, digest={"account": [2, "0" * 16]}),
    ]
    token = {"access_token": "token", "expires_in": 3600}
    service.answer("GET /discovery/v1/orgs/contoso", json_answer(found))
    service.answer("POST /contoso/oauth2/v2.0/token", json_answer(token))
    service.answer(f"PUT {ORG}/devices/d1", json_answer(registered))
    service.answer(f"DELETE {ORG}/devices/d1", Answer(status=204))
    service.answer(f"GET {ORG}/model", json_answer(M1))
    service.answer(f"GET {ORG}/changes", ndjson(lines))
    where = ["--url", service.url, "--org", "contoso", "--db", path]
    return [*where, "--user", "ada@contoso.example", "--password", "sandbox"]


@pytest.fixture
def database(options) -> list[str]:
    return ["--db", options[5]]


def test_sync_downloads_and_says_how_much(options, database, capsys):
    code = main(["sync", "--no-digest", *options])

    printed = capsys.readouterr().out
    assert code == 0
    assert "Ada at contoso" in printed
    assert "2 rows, 0 deletes" in printed
    assert "digest not compared" in printed


def test_sync_ends_with_a_code_of_its_own_when_digests_differ(options, service, capsys):
    code = main(["sync", *options])

    assert code == 9
    assert "digest DIFFERENT" in capsys.readouterr().out


def test_show_prints_tables_and_rows(options, database, capsys):
    main(["sync", "--no-digest", *options])
    capsys.readouterr()

    main(["show", *database])
    tables = capsys.readouterr().out
    main(["show", *database, "account", "--where", "name = 'Ada'"])
    found = capsys.readouterr().out

    assert "account" in tables
    assert ("Ada" in found, "Grace" in found) == (True, False)


def test_values_that_look_like_markup_are_printed_as_they_are(
    options, database, capsys
):
    main(["sync", "--no-digest", *options])

    main(["show", *database, "account"])

    assert "[/b] Grace" in capsys.readouterr().out


def test_status_says_whose_it_is_and_how_far(options, database, capsys):
    main(["sync", "--no-digest", *options])
    capsys.readouterr()

    code = main(["status", *database])

    printed = capsys.readouterr().out
    assert code == 0
    assert all(word in printed for word in ("contoso", "Ada", "M1", "complete"))


def test_signing_off_deletes_the_data(options, database, capsys):
    main(["sync", "--no-digest", *options])

    code = main(["sign-off", *options])

    with Store(database[1]) as store:
        assert (code, store.tables(), store.owner()) == (0, (), {})


@pytest.mark.parametrize(
    ("target", "answer", "code", "line"),
    [
        pytest.param(
            "POST /contoso/oauth2/v2.0/token",
            json_answer({"error_description": "Wrong password."}, status=400),
            3,
            "unauthenticated: Sign-in was refused: Wrong password.",
            id="wrong password",
        ),
        pytest.param(
            "GET /discovery/v1/orgs/contoso",
            problem(404, "unknown_organization", detail="No such organization."),
            4,
            "unknown_organization: 404 unknown_organization: No such organization.",
            id="unknown organization",
        ),
        pytest.param(
            f"GET {ORG}/changes",
            problem(403, "device_revoked", detail="Lost.", wipe=True),
            4,
            "device_revoked: 403 device_revoked: Lost."
            " The local data was deleted, as ordered.",
            id="wiped",
        ),
        pytest.param(
            f"GET {ORG}/changes",
            problem(
                503, "unavailable", detail="Closed.", headers={"Retry-After": "999"}
            ),
            5,
            "unavailable: 503 unavailable: Closed.",
            id="unavailable",
        ),
        pytest.param(
            f"GET {ORG}/changes",
            Answer(body=b"<html>\n<html>\n"),
            7,
            "protocol: A line is not JSON.",
            id="nonsense",
        ),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    options, service, capsys, target, answer, code, line
):
    service.answer(target, answer)

    found = main(["sync", *options])

    assert (found, capsys.readouterr().err) == (code, f"{line}\n")


def test_a_missing_or_broken_database_is_one_line(tmp_path, capsys):
    missing = main(["show", "--db", str(tmp_path / "none.sqlite")])
    said = capsys.readouterr().err

    assert (missing, said.count("\n")) == (6, 1)


def test_a_wrong_condition_is_one_line(options, database, capsys):
    main(["sync", "--no-digest", *options])
    capsys.readouterr()

    code = main(["show", *database, "account", "--where", "nme = 1"])

    assert code == 6
    assert "no such column: nme" in capsys.readouterr().err


def test_an_address_that_is_none_is_a_usage_error(options):
    with pytest.raises(SystemExit) as caught:
        main(["sync", *options, "--url", "ftp://example.com"])

    assert caught.value.code == 2
