"""Knows the marker table: rows that say that an edit was done, by its mutation's id."""

from __future__ import annotations

from typing import Any

import msgspec

from replication.odata.write_requests import WireRequest
from replication.odata.writes import Marker

TABLE = "ws_mutationmarker"
KEY = "ws_mutationmarkerid"
NAME = "ws_name"
CREATE_PRIVILEGE = "prvCreatews_MutationMarker"

_SCHEMA_NAME = "ws_MutationMarker"
_NAME_LENGTH = 200
_TYPE = "Microsoft.Dynamics.CRM"
_ENGLISH = 1033


def request(marker: Marker, *, entity_set: str) -> WireRequest:
    """Return the request that creates a marker."""
    body = {KEY: str(marker.id), NAME: marker.name[:_NAME_LENGTH]}
    return WireRequest(
        method="POST",
        path=entity_set,
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(body),
    )


def definition() -> dict[str, Any]:
    """Return what creates the table: nobody owns its rows, and it is not tracked."""
    return {
        "@odata.type": f"{_TYPE}.EntityMetadata",
        "SchemaName": _SCHEMA_NAME,
        "DisplayName": _label("Waystation edit"),
        "DisplayCollectionName": _label("Waystation edits"),
        "Description": _label(
            "One row for each edit that came from a device, so that none is made twice."
        ),
        "OwnershipType": "OrganizationOwned",
        "IsActivity": False,
        "HasActivities": False,
        "HasNotes": False,
        "ChangeTrackingEnabled": False,
        "Attributes": [
            {
                "@odata.type": f"{_TYPE}.StringAttributeMetadata",
                "SchemaName": NAME,
                "DisplayName": _label("Device and sequence"),
                "IsPrimaryName": True,
                "RequiredLevel": {"Value": "None"},
                "MaxLength": _NAME_LENGTH,
                "FormatName": {"Value": "Text"},
            }
        ],
    }


def _label(text: str) -> dict[str, Any]:
    return {
        "@odata.type": f"{_TYPE}.Label",
        "LocalizedLabels": [
            {
                "@odata.type": f"{_TYPE}.LocalizedLabel",
                "Label": text,
                "LanguageCode": _ENGLISH,
            }
        ],
    }
