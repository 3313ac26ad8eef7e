"""Edits of devices: mutations accepted per CPU-second of web, PostgreSQL and Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID, uuid4

from benchmarks import cpu
from benchmarks.figures import Figure, measured
from benchmarks.pulling import loaded_security
from benchmarks.web import Phone, serving, token, trust
from benchmarks.world import World

# What a figure is called, mutations in a request, requests, and its target.
_UPLOADS = (
    ("mutations_accepted", 100, 100, 2_000),
    ("mutations_accepted_1000", 1_000, 10, 2_000),
    ("mutations_accepted_1", 1, 500, None),
)
FIGURES = tuple(name for name, *_ in _UPLOADS)
ACCOUNTS = 1_000


def figures(world: World) -> Iterator[Figure]:
    """Uploads of several sizes, each of a device of its own."""
    with world.sandbox(ACCOUNTS), loaded_security(world) as (organization, _):
        trust(world, organization)
        with serving() as web:
            for name, size, requests, target in _UPLOADS:
                if world.wants(name):
                    yield _accepted(world, web, name, size, requests, target)


def _accepted(
    world: World, web: int, name: str, size: int, requests: int, target: float | None
) -> Figure:
    phone = Phone("contoso", token(world))
    phone.register()
    # The first request warms up; it is not measured.
    bodies = [_body(phone.device, n * size + 1, size) for n in range(requests + 1)]
    phone.upload(bodies.pop(0))

    def upload() -> int:
        answers = [json.loads(phone.upload(body).body) for body in bodies]
        return sum(
            outcome["status"] == "accepted"
            for answer in answers
            for outcome in answer["outcomes"]
        )

    return measured(
        name,
        act=upload,
        expected=size * requests,
        cpu=lambda: cpu.seconds(world.postgres, world.redis, web),
        unit="mutations/CPU-s",
        target=target,
    )


def _body(device: UUID, first: int, size: int) -> str:
    mutations = [_update(sequence) for sequence in range(first, first + size)]
    return json.dumps({"device": str(device), "mutations": mutations})


def _update(sequence: int) -> dict[str, object]:
    """An edit as a form sends it: a few columns, with what they were before."""
    return {
        "id": str(uuid4()),
        "sequence": sequence,
        "op": "update",
        "table": "account",
        "key": str(uuid4()),
        "base_version": str(1_000_000 + sequence),
        "values": {
            "name": f"Fabrikam {sequence}",
            "telephone1": "555-0100",
            "revenue": "12500.0000",
            "description": "Called back; wants an offer until Friday.",
            "primarycontactid": str(uuid4()),
        },
        "base_values": {
            "name": "Fabrikam",
            "telephone1": None,
            "revenue": "12000.0000",
            "description": None,
            "primarycontactid": str(uuid4()),
        },
    }
