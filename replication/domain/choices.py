"""What a rule hands out: rows by a path, a predicate and key attributes. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

Shape = Literal["base", "deep"]
Opening = Literal["ancestors", "shares", "managers", "positions"]

BASE: Shape = "base"
DEEP: Shape = "deep"


class Hop(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="lower"
):
    """One step of a path: to the rows of `table` whose `far` equals our `near`.

    The types, where given, are what the companion column of a polymorphic lookup
    must say, on our side or on theirs.
    """

    table: str
    near: str
    far: str
    near_type: str | None = None
    far_type: str | None = None


class KeyColumn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column of the head row whose value is a key attribute of the entries.

    `optional`: rows without a value have entries too; a grant may leave it free.
    `negated`: grants name every value but the user's; no value is a value then.
    """

    column: str
    optional: bool = False
    negated: bool = False


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rows from which a path leads to a head row that satisfies the predicate.

    Without hops the row itself is the head. `predicate` is a filter's canonical text
    (domain.filters), empty for none.
    """

    hops: tuple[Hop, ...] = ()
    predicate: str = ""
    attributes: tuple[KeyColumn, ...] = ()

    @property
    def tables(self) -> frozenset[str]:
        """Tables that the path leads through."""
        return frozenset(hop.table for hop in self.hops)

    @property
    def is_negated(self) -> bool:
        """Whoever may have the rows is granted every value but his own."""
        return any(attribute.negated for attribute in self.attributes)

    def follows(self, hops: tuple[Hop, ...]) -> Choice:
        """The rows from which these hops lead to a row of this choice."""
        return Choice(
            hops=(*hops, *self.hops),
            predicate=self.predicate,
            attributes=self.attributes,
        )


# Every row of a table, handed out by its own owner and business unit.
PLAIN = Choice()


class RuleSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule's content.

    Shape `base`: one entry per row and combination of attributes. Shape `deep`: one
    per unit or principal, beyond owner and unit, through whom the row may be read;
    `opens` says which kinds there are. `served` is the organization filter.
    """

    shape: Shape
    choice: Choice = PLAIN
    opens: tuple[Opening, ...] = ()
    served: str = ""

    @property
    def text(self) -> str:
        return msgspec.json.encode(self, order="deterministic").decode()

    @property
    def is_for(self) -> tuple[Shape, Choice]:
        """What grants are looked up by; the rest may change under them."""
        return self.shape, self.choice


def spec_of(text: str) -> RuleSpec:
    return msgspec.json.decode(text, type=RuleSpec)
