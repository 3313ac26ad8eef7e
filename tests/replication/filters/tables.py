"""The table that filters of these tests are about."""

from __future__ import annotations

from replication.domain.filter_operators import Operator
from replication.domain.filters import Condition, Expr, Value, canonical
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.visibility.filter_check import check

_TYPES = {
    "accountid": ColumnType.GUID,
    "name": ColumnType.STRING,
    "city": ColumnType.STRING,
    "employees": ColumnType.INT,
    "revenue": ColumnType.DECIMAL,
    "rating": ColumnType.DOUBLE,
    "donotphone": ColumnType.BOOL,
    "interests": ColumnType.CHOICES,
    "modifiedon": ColumnType.DATETIME,
    "founded": ColumnType.DATE,
    "opens": ColumnType.TIME,
    "picture": ColumnType.BINARY,
}
ACCOUNT = TableDef(
    name="account",
    entity_set="accounts",
    key=("accountid",),
    columns=(
        *(
            ColumnDef(name=name, type=kind, source_name=name)
            for name, kind in _TYPES.items()
        ),
        ColumnDef(name="ownerid", type=ColumnType.GUID, source_name="_ownerid_value"),
        ColumnDef(
            name="ownerid__type",
            type=ColumnType.STRING,
            source_name="_ownerid_value",
            from_annotation=True,
        ),
    ),
    ownership="user",
)


def condition(column: str, operator: str, *values: Value) -> Condition:
    return Condition(column, Operator(operator), values)


def meaning(expr: Expr) -> Expr:
    """The canonical form of a filter of accounts."""
    return canonical(check(expr, table=ACCOUNT))
