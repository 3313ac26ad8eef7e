"""The rows with which the plain service begins."""

from __future__ import annotations

import random
from uuid import UUID

from sandbox.plain.rows import Rows

DEFAULT_SCALE = 2_000

_WORDS = ("lamp", "chair", "bolt", "table", "wheel", "rope", "mirror", "kettle")


def fill(rows: Rows, *, scale: int, seed: int) -> None:
    """Make `scale` products, and others in proportion; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311  no secret
    for number in range(scale):
        rows.put(
            "Products",
            {
                "ID": number,
                "Name": f"{chance.choice(_WORDS)} {number}",
                "Price": f"{chance.randrange(10_000_000) / 10_000:.4f}",
                "Condition": chance.choice(("New", "Used", "Broken")),
                "Tags": chance.sample(_WORDS, 2),
                "MadeAt": {"Street": "Main", "City": chance.choice(("Oslo", "Rome"))},
            },
        )
        rows.put(
            "OrderLines",
            {
                "Order": number // 3,
                "Line": f"L{number % 3}",
                "ProductID": chance.randrange(scale),
                "Amount": str(chance.randrange(1, 50)),
            },
        )
    for number in range(scale // 4):
        name = f"Customer {number}"
        rows.put("Customers", {"Code": f"C{number:05}", "Name": name, "Visits": number})
        guid = str(UUID(int=chance.getrandbits(128)))
        rows.put("Notes", {"Id": guid, "Text": name, f"Extra{number % 3}": number})
        person = {"Id": guid, "Name": name}
        if number % 2:
            person |= {"@odata.type": "#Example.Shop.Employee", "Salary": "100.0000"}
        rows.put("People", person)
