"""A device as its requests and answers are seen on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.test import Client

PATH = "/sync/v1/orgs/contoso"


@dataclass
class Answered:
    """An answer to `/changes`, by line."""

    status: int
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        return [
            outcome
            for line in self.lines
            if line["type"] == "outcomes"
            for outcome in line["outcomes"]
        ]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == "rows"]

    @property
    def kinds(self) -> list[str]:
        return [line["type"] for line in self.lines]

    @property
    def through(self) -> Any:
        return self.lines[-1].get("through_mutation")


class Phone:
    def __init__(self, client: Client, *, device: UUID | None = None) -> None:
        self.client = client
        self.device = device or uuid4()
        self.checkpoint: str | None = None

    def register(self) -> Any:
        return self.client.put(
            f"{PATH}/devices/{self.device}",
            {"name": "x"},
            content_type="application/json",
        )

    def upload(self, *mutations: dict[str, Any], **body: Any) -> Any:
        content = {"device": str(self.device), "mutations": list(mutations)} | body
        return self.client.post(
            f"{PATH}/mutations", content, content_type="application/json"
        )

    def accepted(self, *mutations: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.upload(*mutations)
        assert answer.status_code == 200, answer.content
        outcomes: list[dict[str, Any]] = answer.json()["outcomes"]
        return outcomes

    def outcomes(self, *, after: int = 0) -> list[dict[str, Any]]:
        answer = self.client.get(f"{PATH}/mutations?device={self.device}&after={after}")
        assert answer.status_code == 200, answer.content
        outcomes: list[dict[str, Any]] = answer.json()["outcomes"]
        return outcomes

    def changes(self, *, stores: bool = True) -> Answered:
        """Ask once; what is not stored is as if it had been lost on the way."""
        model = self.client.get(f"{PATH}/model").json()["version"]
        path = f"{PATH}/changes?device={self.device}&model={model}"
        if self.checkpoint:
            path += f"&checkpoint={self.checkpoint}"
        answer = self.client.get(path)
        if answer.status_code == 204:
            self.checkpoint = answer.headers["Waystation-Checkpoint"]
            return Answered(204)
        content = answer.getvalue()
        lines = [json.loads(line) for line in content.splitlines()]
        if answer.status_code == 200 and stores:
            self.checkpoint = lines[-1]["checkpoint"]
        return Answered(answer.status_code, lines)


def update(sequence: int, *, key: object, **members: Any) -> dict[str, Any]:
    return {
        "id": str(UUID(int=1_000_000 + sequence)),
        "sequence": sequence,
        "op": "update",
        "table": "account",
        "key": str(key),
        "base_version": "1",
        "values": {"name": "Edited"},
    } | members


def void(sequence: int) -> dict[str, Any]:
    return {
        "id": str(UUID(int=1_000_000 + sequence)),
        "sequence": sequence,
        "op": "void",
    }
