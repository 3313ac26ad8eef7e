"""Who belongs to which team, holds which role, and stands above whom: plain loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from replication.domain.profiles import Hierarchy

Row = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, Row]]


class People:
    """The security tables of one state of staging."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def teams(self, user: str) -> list[str]:
        return [
            link["teamid"]
            for link in self._rows["teammembership"].values()
            if link["systemuserid"] == user and link["teamid"] in self._rows["team"]
        ]

    def principals(self, user: str) -> list[str]:
        return [user, *self.teams(user)]

    def unit(self, user: str) -> str | None:
        unit: str | None = self._rows["systemuser"][user].get("businessunitid")
        return unit

    def roles(self, user: str) -> Iterator[tuple[Row, str | None]]:
        """Roles with the team through which they are held."""
        roles = self._rows["role"]
        for link in self._rows["systemuserroles"].values():
            if link["systemuserid"] == user and link["roleid"] in roles:
                yield roles[link["roleid"]], None
        for team in self.teams(user):
            for link in self._rows["teamroles"].values():
                if link["teamid"] == team and link["roleid"] in roles:
                    yield roles[link["roleid"]], team

    def line_of(self, unit: str | None) -> list[str]:
        """The unit, known or not, and all above it; a circle is walked once."""
        units = self._rows["businessunit"]
        line: list[str] = []
        while unit is not None and unit not in line:
            line.append(unit)
            unit = units.get(unit, {}).get("parentbusinessunitid")
        return line

    def has_whole_tree(self) -> bool:
        """No unit hangs on one that is on its way still."""
        units = self._rows["businessunit"]
        return all(
            unit.get("parentbusinessunitid") in (None, *units)
            for unit in units.values()
        )

    # What filters ask

    def reports(self, user: str) -> list[str]:
        """Everybody who reports to the user, or to somebody who does."""
        found: list[str] = []
        waiting = [user]
        while waiting:
            above = waiting.pop()
            for person, row in self._rows["systemuser"].items():
                if row.get("parentsystemuserid") == above and person not in found:
                    found.append(person)
                    waiting.append(person)
        return found

    def language(self, user: str) -> int | None:
        language: int | None = (
            self._rows["usersettings"].get(user, {}).get("uilanguageid")
        )
        return language

    # Hierarchy security

    def below(self, user: str, hierarchy: Hierarchy) -> list[str]:
        """Whose rows the user may read as their superior."""
        is_above = {"manager": self._manages, "position": self._outranks}
        return [
            person
            for person in self._rows["systemuser"]
            if person != user
            and is_above[hierarchy.model](user, person, hierarchy.depth)
        ]

    def _manages(self, user: str, report: str, depth: int) -> bool:
        people = self._rows["systemuser"]
        line = self._climb("systemuser", "parentsystemuserid", report, depth)
        if user not in line or people[report].get("businessunitid") is None:
            return False
        unit = people[user].get("businessunitid")
        return unit in self.line_of(people[report]["businessunitid"])

    def _outranks(self, user: str, report: str, depth: int) -> bool:
        people = self._rows["systemuser"]
        held = people[report].get("positionid")
        line = self._climb("position", "parentpositionid", held, depth)
        return people[user].get("positionid") in line

    def _climb(
        self, table: str, column: str, begin: str | None, depth: int
    ) -> list[str]:
        line: list[str] = []
        place = begin
        for _ in range(depth):
            place = self._rows[table].get(place or "", {}).get(column)
            if place is None:
                break
            line.append(place)
        return line
