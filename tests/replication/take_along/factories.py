"""Organizations and people as `take_along` finds them, made by hand."""

from __future__ import annotations

from typing import Any

from replication.services.looking import TakenTable
from replication.take_along.people import PersonSet, StagedTable, TakeAlong, Unit
from tests.staged import guid

ACCOUNTS = StagedTable(name="account", rows=2_000, columns=70)


def unit(name: str, *, level: int = 0) -> Unit:
    return Unit(id=guid(name), name=name, level=level)


def person(
    name: str, *, of: str = "North", accounts: int = 5, **more: Any
) -> PersonSet:
    refused = more.get("refused")
    tables = {} if refused else {"account": taken("account", accounts)}
    return PersonSet(**{"name": name, "unit": guid(of), "tables": tables, **more})


def taken(table: str, rows: int, *, masked: tuple[str, ...] = ()) -> TakenTable:
    return TakenTable(table=table, rows=rows, columns=7, masked=masked, writable=False)


def found(*people: PersonSet, **more: Any) -> TakeAlong:
    return TakeAlong(
        **{
            "organization": "Fabrikam",
            "units": (unit("North"),),
            "people": people,
            "more_people": 0,
            "tables": (ACCOUNTS,),
            "profiles": (),
            "names": {},
            **more,
        }
    )
