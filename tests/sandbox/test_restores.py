"""Snapshots and restores of the whole organization."""

from __future__ import annotations

from tests.sandbox.test_tracking import assert_expired, load


def test_a_restore_brings_back_rows_versions_and_metadata(alone):
    kept = alone.created("accounts", name="Kept")
    before = alone.control("POST", "snapshot", {"name": "monday"}).json()["version"]
    link = load(alone)
    alone.api("DELETE", f"accounts({kept['accountid']})")
    late = load(alone)
    spec = {"name": "cr_late", "type": "String"}
    alone.control(
        "POST", "metadata", {"kind": "add_column", "table": "account", "column": spec}
    )

    restored = alone.control("POST", "restore", {"name": "monday"}).json()

    assert restored["version"] == before
    row = alone.get(f"accounts({kept['accountid']})").json()
    assert row["@odata.etag"] == kept["@odata.etag"]
    assert "cr_late" not in row
    assert alone.get("accounts?$select=cr_late").status_code == 400
    assert alone.get(link).json()["value"] == []
    assert_expired(alone.get(late))


def test_the_organization_keeps_its_id_unless_another_is_asked_for(alone):
    first = alone.get("WhoAmI").json()["OrganizationId"]
    alone.control("POST", "snapshot")

    alone.control("POST", "restore")
    same = alone.get("WhoAmI").json()["OrganizationId"]
    told = alone.control("POST", "restore", {"new_organization": True}).json()

    assert same == first
    assert alone.get("WhoAmI").json()["OrganizationId"] == told["organization_id"]
    assert told["organization_id"] != first


def test_a_restore_may_end_all_tokens(alone):
    alone.control("POST", "snapshot")
    link = load(alone)

    alone.control("POST", "restore", {"expire_tokens": True})

    assert_expired(alone.get(link))


def test_a_snapshot_that_was_never_made_is_refused(contoso):
    for name in ("never", "../etc"):
        answer = contoso.control("POST", "restore", {"name": name})
        assert answer.status_code == 400
