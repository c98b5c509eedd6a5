"""The type of a number by its `physicalType`, the column type of a database.

The standard's `number` leaves open whether a number is whole, and how many digits it has.
"""

import re

from storymesh.language.types import Decimal, Float, Integer

MAX_DIGITS = 38
INTEGERS = frozenset({
    "bigint", "bigserial", "byte", "byteint", "int", "int1", "int2", "int3", "int4", "int8", "int16", "int24", "int32",
    "int64", "integer", "long", "mediumint", "serial", "serial2", "serial4", "serial8", "short", "smallint",
    "smallserial", "tinyint", "uint8", "uint16", "uint32", "uinteger", "usmallint", "utinyint",
})  # fmt: skip
"""Names of whole numbers that 64 bits hold."""

WIDE_INTEGERS = {
    "hugeint": 38, "int128": 38, "int256": 38, "largeint": 38, "ubigint": 20, "uhugeint": 38, "uint64": 20,
    "uint128": 38, "uint256": 38,
}  # fmt: skip
"""Names of wider whole numbers -> how many digits are kept."""

DECIMALS = {
    "bigdecimal": Decimal(38, 19), "bignumeric": Decimal(38, 19), "dec": Decimal(38, 9), "decimal": Decimal(38, 9),
    "decimal32": Decimal(9, 0), "decimal64": Decimal(18, 0), "decimal128": Decimal(38, 0), "decimal256": Decimal(38, 0),
    "fixed": Decimal(38, 9), "money": Decimal(19, 4), "number": None, "numeric": Decimal(38, 9),
    "smallmoney": Decimal(10, 4),
}  # fmt: skip
"""Names of exact numbers -> the digits that they have where none are written; None: no engine agrees with another."""

FLOATS = frozenset({
    "bfloat16", "binary_double", "binary_float", "binaryfloat", "double", "doubleprecision", "float", "float4",
    "float8", "float16", "float32", "float64", "half", "real",
})  # fmt: skip

_WRITTEN = re.compile(
    r"(?P<name>[a-z][a-z0-9_]*(?: precision)?)(?:\((?P<first>\d{1,4})(?:,(?P<second>-?\d{1,4}))?\))?"
    r"(?P<rest>(?: (?:unsigned|signed|zerofill|identity|auto_increment|null|not null))*)"
)


def number_type(physical: str) -> Integer | Decimal | Float | None:
    """Return the type of the numbers of a column of the type `physical`; None where it says nothing of digits.

    A decimal of more digits than are kept has as many as are. Raises ValueError for what looks like an exact number
    and is none, such as `decimal(12.2)`; its text completes "… is no decimal: ".
    """
    plain = re.sub(r"\s*([(),])\s*", r"\1", " ".join(physical.lower().split())).replace(")", ") ").strip()
    match = _WRITTEN.fullmatch(plain)
    if match is None:
        name = re.split(r"[^a-z0-9_]", plain, maxsplit=1)[0]
        if name in DECIMALS and "(" in plain:
            raise ValueError("write its digits and those after the decimal point, as in decimal(12,2)")
        return None
    name, first, second = match["name"].replace(" ", ""), match["first"], match["second"]
    if name in INTEGERS:
        wide = "unsigned" in match["rest"] and name in ("bigint", "int8", "int64")
        return Decimal(20, 0) if wide else Integer()
    if name in WIDE_INTEGERS:
        return Decimal(WIDE_INTEGERS[name], 0)
    if name in FLOATS:
        return Float()
    if name not in DECIMALS:
        return None
    if first is None:
        return DECIMALS[name]
    if name.startswith("decimal") and name != "decimal" and second is None:  # ClickHouse: Decimal64(scale)
        return _decimal((DECIMALS[name] or Decimal()).precision, int(first))
    return _decimal(int(first), int(second or 0))


def _decimal(precision: int, scale: int) -> Decimal:
    """Return the decimal of these digits, as far as they are kept.

    Some databases count digits left of the point as a negative scale, and zeros after it as one beyond the precision.
    """
    if precision == 0:
        raise ValueError(f"it has no digits, 1 to {MAX_DIGITS} are wanted")
    precision = max(precision - min(scale, 0), scale)
    whole = precision - max(scale, 0)
    return Decimal(min(precision, MAX_DIGITS), min(max(scale, 0), MAX_DIGITS - min(whole, MAX_DIGITS // 2)))
