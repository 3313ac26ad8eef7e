"""The client model as the device needs it: tables, keys, types and local names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.device.errors import ProtocolError
from sandbox.device.values import Codec, codec_of, compact_json

VERSION_COLUMN = "_version"
MARK_COLUMN = "_mark"
OWN_TABLES = frozenset(
    {
        "waystation_meta",
        "waystation_marks",
        "waystation_edits",
        # Indexes, triggers and tables share their names.
        "waystation_edits_of_rows",
        "waystation_edits_gone",
        "waystation_file_pieces",
        "waystation_files",
        "waystation_overlay",
    }
)

# SQLite does not tell `Name` from `name`, some sources do: per table of the model
# its local name under "" and the local names of its columns. Names once given stay.
LocalNames = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    local: str

    @property
    def codec(self) -> Codec:
        return codec_of(self.type)


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    local: str
    primary_key: tuple[str, ...]
    columns: Mapping[str, Column]

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(self.columns[name] for name in self.primary_key)

    def key_of(self, values: Sequence[object]) -> str:
        """Return the key of a row as one string, from its key columns' values."""
        if len(values) > 1:
            return compact_json(list(values))
        return values[0] if isinstance(values[0], str) else compact_json(values[0])

    def key_values(self, key: str) -> tuple[object, ...]:
        """Return the key columns' values that a key string stands for.

        :raises ValueError: the string is no key of this table.
        """
        columns = self.key_columns
        if len(columns) == 1:
            accepts = columns[0].codec.accepts
            is_text = accepts is not None and str in accepts
            return (key if is_text else json.loads(key),)
        values = json.loads(key)
        if not isinstance(values, list) or len(values) != len(columns):
            raise ValueError(f"{len(columns)} key values expected.")
        return tuple(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one request with mutations may hold."""

    mutations_per_request: int = 1_000
    request_bytes: int = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Model:
    version: str
    tables: Mapping[str, Table]
    # Limits are no part of a version: a model with others is the same one.
    limits: Limits = field(default=Limits(), compare=False)

    @property
    def local_names(self) -> LocalNames:
        return {
            table.name: {
                "": table.local,
                **{column.name: column.local for column in table.columns.values()},
            }
            for table in self.tables.values()
        }


def model_of(document: object, *, held: LocalNames) -> Model:
    """Read a model document; names that are `held` keep their local name.

    :raises ProtocolError: the document is not a client model.
    """
    try:
        return _model_of(document, held)
    except (KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"The client model cannot be read: {error!r}.") from error


def _model_of(document: object, held: LocalNames) -> Model:
    if not isinstance(document, Mapping):
        raise TypeError("not an object")
    described = {table["name"]: table for table in document["tables"]}
    locals_held = {name: names[""] for name, names in held.items()}
    local_names = _local_names(described, held=locals_held, reserved=OWN_TABLES)
    tables = {
        name: _table_of(table, local=local_names[name], held=held.get(name, {}))
        for name, table in described.items()
    }
    return Model(str(document["version"]), tables, _limits_of(document.get("limits")))


def _limits_of(described: object) -> Limits:
    if described is None:
        return Limits()
    if not isinstance(described, Mapping):
        raise TypeError("limits is an object")
    known = {
        name: int(described[name])
        for name in ("mutations_per_request", "request_bytes")
        if name in described
    }
    if any(limit < 1 for limit in known.values()):
        raise TypeError("a limit is positive")
    return Limits(**known)


def _table_of(
    described: Mapping[str, object], *, local: str, held: Mapping[str, str]
) -> Table:
    columns, key = described["columns"], described["primary_key"]
    if not isinstance(columns, list) or not isinstance(key, list):
        raise TypeError("columns and primary_key are lists")
    types = {str(column["name"]): str(column["type"]) for column in columns}
    # Every table has it, whether or not the document says so.
    types[VERSION_COLUMN] = "string"
    local_names = _local_names(types, held=held, reserved=frozenset({MARK_COLUMN}))
    by_name = {
        name: Column(name, type_name, local_names[name])
        for name, type_name in types.items()
    }
    if not key or not by_name.keys() >= set(key):
        raise KeyError("primary_key")
    return Table(str(described["name"]), local, tuple(key), by_name)


def _local_names(
    wanted: Iterable[str], *, held: Mapping[str, str], reserved: frozenset[str]
) -> dict[str, str]:
    given = {name: held[name] for name in wanted if name in held}
    taken = reserved | {local.casefold() for local in given.values()}
    for name in wanted:
        if name not in given:
            given[name] = _free_name(name, taken=taken)
            taken |= {given[name].casefold()}
    return given


def _free_name(name: str, *, taken: frozenset[str]) -> str:
    # Names with this beginning belong to SQLite itself.
    stem = f"t_{name}" if name.casefold().startswith("sqlite_") else name
    local, number = stem, 2
    while local.casefold() in taken:
        local, number = f"{stem}~{number}", number + 1
    return local
