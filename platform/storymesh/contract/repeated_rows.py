"""Rows that share what has to be unique. The engine finds their keys, a part at a time: memory does not grow with the
rows."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from storymesh.contract.audited_files import AuditedFile, group_files
from storymesh.contract.conditions import has_value
from storymesh.contract.definition import Contract
from storymesh.contract.frames import pandas_frame
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.language.types import Array, Date, Decimal, Integer, Struct, Text, Timestamp

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import pandas as pd
    import pyarrow as pa

_ROWS, _BESIDE = "storymesh:rows", "storymesh:beside"
ROWS_AT_ONCE = 1 << 22
_HASHED = Text | Integer | Decimal | Date | Timestamp
"""Types of which equal values have equal hashes on every engine; of floats, zero has two forms."""


def find_repeated_rows(
    engine: Engine,
    contract: Contract,
    names: Sequence[str],
    files: Sequence[AuditedFile],
    beside: Collection[str],
) -> "tuple[np.ndarray[Any, Any], bool]":
    """Return the numbers of the rows in `files` whose values of the properties `names` are those of another row, and
    whether one of these is in the files `beside`. A row with a null among them is like none.

    The rows in the files `beside` are known to be unlike each other.
    """
    import numpy as np
    import pyarrow as pa

    nothing = np.empty(0, np.int64)
    if not files:
        return nothing, False
    nested = [name for name in names if isinstance(contract.properties[name].type, Array | Struct)]
    hashed = [name for name in names if isinstance(contract.properties[name].type, _HASHED)]
    parts = -(-sum(file.rows for file in files) // ROWS_AT_ONCE) if hashed else 1
    paths = [file.path for file in files]
    found_keys = [
        engine.fetch_table(_repeated_keys(engine, contract, names, paths, beside, _part_of(hashed, parts, part)))
        for part in range(max(parts, 1))
    ]
    repeated = _hashable(pa.concat_tables(found_keys), nested)
    if repeated.empty:
        return nothing, False
    keys = repeated[list(names)]
    numbers = [nothing]
    for group in group_files(files):
        rows = engine.read_parquet(group.paths, arrow_schema(contract)).select(*names)
        frame = _hashable(engine.fetch_table(rows), nested)
        found = frame.merge(keys, how="left", on=list(names), indicator=_ROWS)[_ROWS] == "both"
        numbers.append(np.flatnonzero(found) + group.start)
    return np.concatenate(numbers), bool(repeated[_BESIDE].any())


def _part_of(names: Sequence[str], parts: int, part: int) -> "Callable[[ir.Table], ir.Table]":
    """Return what takes from a table the rows of one of so many parts. Rows with equal values are in the same."""
    import ibis

    def rows_of_part(table: "ir.Table") -> "ir.Table":
        hashes = ibis.struct({name: table[name] for name in names}).hash()
        return table.filter((hashes % parts).abs() == part)

    return rows_of_part if parts > 1 else lambda table: table


def _repeated_keys(
    engine: Engine,
    contract: Contract,
    names: Sequence[str],
    files: Sequence[str],
    beside: Collection[str],
    rows_of_part: "Callable[[ir.Table], ir.Table]",
) -> "ir.Table":
    """Return the values that more than one row has, with 1 in a column where one of these rows is in `beside`."""
    import ibis

    def keys_of(paths: Collection[str], mark: int) -> "ir.Table":
        table = engine.read_parquet(list(paths), arrow_schema(contract))
        filled = rows_of_part(table.filter([has_value(name)(table) for name in names]))
        return filled.select(*names, **{_BESIDE: ibis.literal(mark, "int8")})

    rows = keys_of(files, 0)
    if beside:
        rows = ibis.union(rows, keys_of(beside, 1).semi_join(rows, list(names)))
    counted = rows.group_by(list(names)).agg(**{_ROWS: rows.count(), _BESIDE: rows[_BESIDE].max()})
    return counted.filter(counted[_ROWS] > 1)


def _hashable(rows: "pa.Table", nested: Sequence[str]) -> "pd.DataFrame":
    """Return rows as pandas joins them: equal lists and structs are one text, whatever stands in the rows beside."""
    import pyarrow as pa

    for name in nested:
        texts = [None if value is None else repr(_without_minus_zero(value)) for value in rows[name].to_pylist()]
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(texts, pa.string()))
    return pandas_frame(rows)


def _without_minus_zero(value: Any) -> Any:
    match value:
        case float():
            return value + 0.0
        case list():
            return [_without_minus_zero(item) for item in value]
        case dict():
            return {name: _without_minus_zero(item) for name, item in value.items()}
        case _:
            return value
