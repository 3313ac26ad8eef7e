"""`$batch`: requests in order, change sets all or nothing, references between them."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from sandbox.contoso.people import PEOPLE_BY_KEY

NOBODY = "00000000-0000-0000-0000-000000000009"
ROOT = "/api/data/v9.2"


def part(method: str, path: str, body: object = None, **headers: str) -> str:
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if "Content_ID" in headers:
        lines.append(f"Content-ID: {headers.pop('Content_ID')}")
    lines += ["", f"{method} {path} HTTP/1.1"]
    if body is not None:
        lines.append("Content-Type: application/json; type=entry")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", "" if body is None else json.dumps(body)])


def change_set(*parts: str) -> str:
    pieces = "".join(f"--changes\r\n{one}\r\n" for one in parts)
    return (
        'Content-Type: multipart/mixed; boundary="changes"\r\n\r\n'
        f"{pieces}--changes--\r\n"
    )


def post(client, *parts: str, **headers: str):
    body = "".join(f"--batch_1\r\n{one}\r\n" for one in parts) + "--batch_1--\r\n"
    return client.request(
        "POST",
        f"{ROOT}/$batch",
        data=body.encode(),
        headers={
            "Content-Type": "multipart/mixed; boundary=batch_1",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


def statuses(answer) -> list[int]:
    return [int(code) for code in re.findall(r"HTTP/1\.1 (\d{3})", answer.text)]


def bodies(answer) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r"(?m)^\{.*\}\r?$", answer.text)]


def test_requests_are_answered_in_order(contoso):
    row_id = str(uuid4())

    answer = post(
        contoso,
        part("POST", f"{ROOT}/accounts", {"accountid": row_id, "name": "Batched"}),
        part("GET", f"{contoso.running.url}{ROOT}/accounts({row_id})?$select=name"),
        part("GET", "accounts?$select=name&$filter=name eq 'Batched'&$top=1"),
    )

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(
        "multipart/mixed; boundary=batchresponse_"
    )
    assert statuses(answer) == [204, 200, 200]
    assert [body.get("name") for body in bodies(answer)] == ["Batched", None]
    assert bodies(answer)[1]["value"][0]["name"] == "Batched"


def test_a_change_set_is_done_as_a_whole_and_refers_to_itself(contoso):
    answer = post(
        contoso,
        change_set(
            part("POST", "contacts", {"lastname": "Within"}, Content_ID="1"),
            part(
                "POST",
                "accounts",
                {"name": "Around", "primarycontactid@odata.bind": "$1"},
                Content_ID="2",
                Prefer="return=representation",
            ),
            part("PATCH", "$1", {"jobtitle": "Buyer"}, Content_ID="3"),
            part("POST", "$2/Account_Tasks", {"subject": "Below"}, Content_ID="4"),
        ),
    )

    assert statuses(answer) == [204, 201, 204, 204]
    assert "boundary=changesetresponse_" in answer.text
    account = bodies(answer)[0]
    path = f"accounts({account['accountid']})"
    contact = contoso.get(f"contacts({account['_primarycontactid_value']})").json()
    assert (contact["lastname"], contact["jobtitle"]) == ("Within", "Buyer")
    tasks = contoso.rows(f"{path}/Account_Tasks?$select=subject")
    assert [task["subject"] for task in tasks] == ["Below"]


def test_a_change_set_that_fails_leaves_nothing_and_one_answer(contoso):
    row_id = str(uuid4())
    first = part("POST", "accounts", {"accountid": row_id, "name": "Undone"})
    second = part("POST", "accounts", {"nosuch": 1})

    answer = post(contoso, change_set(first, second))

    assert (answer.status_code, statuses(answer)) == (400, [400])
    assert bodies(answer)[0]["error"]["code"] == "0x80048d19"
    assert contoso.get(f"accounts({row_id})").status_code == 404


def test_an_error_ends_the_batch_unless_it_is_to_go_on(contoso):
    missing, there = part("GET", f"accounts({NOBODY})"), part("GET", "WhoAmI")

    ended = post(contoso, missing, there)
    continued = post(contoso, missing, there, Prefer="odata.continue-on-error")

    assert (ended.status_code, statuses(ended)) == (400, [404])
    assert (continued.status_code, statuses(continued)) == (200, [404, 200])


@pytest.mark.parametrize(
    "parts",
    [
        [change_set(part("GET", "accounts"))],
        [part("POST", "$batch", {})],
        [part("GET", "WhoAmI")] * 1001,
        ["nonsense"],
        [change_set(part("PATCH", "$9", {"name": "x"}))],
    ],
    ids=["get in a change set", "nested", "too long", "nonsense", "no such reference"],
)
def test_a_batch_that_cannot_be_is_refused(contoso, parts):
    answer = post(contoso, *parts)

    assert answer.status_code == 400


def test_versions_and_keys_hold_within_a_batch(contoso):
    row = contoso.created("accounts", name="Old", accountnumber=str(uuid4())[:20])

    answer = post(
        contoso,
        part(
            "PATCH",
            f"accounts(accountnumber='{row['accountnumber']}')",
            {"name": "New"},
            If_Match=row["@odata.etag"],
        ),
        part(
            "PATCH",
            f"accounts({row['accountid']})",
            {"name": "Newer"},
            If_Match=row["@odata.etag"],
        ),
    )

    assert statuses(answer) == [204, 412]


def test_only_the_batch_says_who_is_impersonated(contoso):
    ada, hedy = PEOPLE_BY_KEY["ada"], PEOPLE_BY_KEY["hedy"]
    named = part(
        "POST",
        "accounts",
        {"name": "Whose?"},
        Prefer="return=representation",
        CallerObjectId=hedy.object_id,
    )

    alone = bodies(post(contoso, change_set(named)))[0]
    within = bodies(post(contoso, change_set(named), CallerObjectId=ada.object_id))[0]

    assert alone["_createdby_value"] == PEOPLE_BY_KEY["waystation"].id
    assert within["_createdby_value"] == ada.id


def test_a_change_set_that_fails_names_the_part(contoso):
    first = part("POST", "accounts", {"name": "Undone"}, Content_ID="1")
    second = part("POST", "accounts", {"nosuch": 1}, Content_ID="2")

    answer = post(contoso, change_set(first, second))

    assert re.findall(r"Content-ID: (\d)", answer.text) == ["2"]
