"""The version of a product's content: a digest of its rows as a bag, the same on every machine and in every order.

The algorithm, version 1:

1. A value becomes text: a whole number, a boolean (`true`, `false`) and a decimal (with its scale) as written; a float
   as C99's hexadecimal `%a` form (`-0x0p+0` counts as `0x0p+0`); a date as days, a timestamp as microseconds since
   1970-01-01; a text as it is; a list as `[n]` and its items, a struct as its fields in order.
2. A value in a row or in a list is `<number of UTF-8 bytes>:<text>`, a null is `~`: no two rows have one writing.
3. A row is the SHA-256 of its values in the contract's order. Its 256 bits are four unsigned numbers of 64.
4. Each of the four is summed over all rows, exactly: a sum has no order, and equal rows count as often as they occur.
5. The version is the SHA-256 of the JSON list `["storymesh/1", [[name, type], …], rows, [sum, sum, sum, sum]]` without
   spaces, in hexadecimal.

The contract's prose has no part in it: whoever rewords a description publishes nothing new.
"""

import hashlib
import json
from collections.abc import Sequence

from storymesh.contract.definition import Contract
from storymesh.contract.parquet import connect, scan_of
from storymesh.contract.types import duckdb_type, quoted
from storymesh.language.types import Array, Date, Field, Float, Struct, Text, Timestamp, Type

_LIMBS = 4


def digest_of_files(files: Sequence[str], contract: Contract) -> tuple[str, int]:
    """The version of the rows in Parquet `files` (with the contract's columns and types), and how many there are."""
    columns = [[name, duckdb_type(item.type)] for name, item in contract.properties.items()]
    if not files:
        return digest_of_sums(columns, 0, [0] * _LIMBS), 0
    values = ", ".join(_framed(quoted(name), item.type) for name, item in contract.properties.items())
    limbs = ", ".join(f"sum(CAST('0x' || substr(h, {1 + 16 * n}, 16) AS UBIGINT))" for n in range(_LIMBS))
    query = f"SELECT count(*), {limbs} FROM (SELECT sha256(concat({values})) AS h FROM {scan_of(files)})"
    with connect() as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    rows, *sums = row
    return digest_of_sums(columns, int(rows), [int(value or 0) for value in sums]), int(rows)


def digest_of_sums(columns: Sequence[Sequence[str]], rows: int, sums: Sequence[int]) -> str:
    """Step 5 of the algorithm."""
    text = json.dumps(["storymesh/1", columns, rows, list(sums)], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _framed(expression: str, kind: Type, depth: int = 0) -> str:
    text = _written(expression, kind, depth)
    return f"coalesce(strlen({text}) || ':' || {text}, '~')" if _simple(kind) else f"coalesce({text}, '~')"


def _simple(kind: Type) -> bool:
    return not isinstance(kind, Array | Struct)


def _written(expression: str, kind: Type, depth: int) -> str:
    """The text of a value; null when it is null (`||` keeps a null, `concat` would not)."""
    match kind:
        case Text():
            return expression
        case Float():
            return f"format('{{:a}}', {expression} + 0.0)"
        case Date():
            return f"CAST(epoch_us(CAST({expression} AS TIMESTAMP)) // 86400000000 AS VARCHAR)"
        case Timestamp():
            return f"CAST(epoch_us({expression}) AS VARCHAR)"
        case Array(item):
            name = f"x{depth}"
            each = f"lambda {name}: {_framed(name, item.type, depth + 1)}"
            items = f"array_to_string(list_transform({expression}, {each}), '')"
            return f"('[' || len({expression}) || ']' || {items})"
        case Struct(fields):
            kinds = [(name, field.type) for name, field in fields.items() if isinstance(field, Field)]
            inside = " || ".join(_framed(f"({expression})[{_literal(name)}]", kind, depth) for name, kind in kinds)
            return f"CASE WHEN {expression} IS NOT NULL THEN '{{' || {inside} || '}}' END"
        case _:
            return f"CAST({expression} AS VARCHAR)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
