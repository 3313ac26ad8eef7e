"""How tables relate to each other, as the metadata of Contoso tells it."""

from __future__ import annotations

from typing import Any

import msgspec

from replication.domain.source_profiles import Relationship
from replication.odata.relationships import load_relationships

ONE = {
    "SchemaName": "contact_customer_accounts",
    "ReferencedEntity": "account",
    "ReferencingEntity": "contact",
    "ReferencingAttribute": "parentcustomerid",
}
MANY = {
    "SchemaName": "account_leads",
    "IntersectEntityName": "accountleads",
    "Entity1LogicalName": "account",
    "Entity1IntersectAttribute": "accountid",
    "Entity2LogicalName": "lead",
    "Entity2IntersectAttribute": "leadid",
}


class Metadata:
    """Answers with one relationship of each kind."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def document(self, path: str, *, shape: type[Any]) -> Any:
        self.paths.append(path)
        found = ONE if "/OneToMany" in path else MANY
        return msgspec.convert({"value": [found]}, type=shape)


def test_both_kinds_are_read() -> None:
    found = list(load_relationships(Metadata(), ["account"]))

    assert found == [
        Relationship(
            name="contact_customer_accounts",
            one="account",
            many="contact",
            column="parentcustomerid",
        ),
        Relationship(
            name="account_leads",
            one="account",
            many="lead",
            column="accountid",
            intersect="accountleads",
            other_column="leadid",
        ),
    ]


def test_a_name_that_is_none_is_not_asked_for() -> None:
    metadata = Metadata()

    assert list(load_relationships(metadata, ["account')/x", ""])) == []
    assert metadata.paths == []
