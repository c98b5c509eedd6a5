"""Rows as a source or dbt gave them, cast value by value to the contract's types; what does not fit is kept as text.

A cast never loses anything in silence: 1.7 is not an integer, a moment of a day is not a date, and a text with three
decimals is no decimal of two. Such a value becomes null in the typed column and stands, as it was, in a `raw` column.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_type, duckdb_type, quoted
from storymesh.language.types import (
    Array,
    Boolean,
    Date,
    Decimal,
    Float,
    Integer,
    Struct,
    Text,
    Timestamp,
    Type,
)

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_WHOLE = r"[+-]?[0-9]+(\.0*)?"
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?"
_ZONE = r"[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)? ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)"


@dataclass(frozen=True)
class CastPlan:
    """SQL that reads the relation `source`: one typed column for each property, then `raw` columns for those where a
    value may not fit (`fallible`, in this order, each named `raw_<n>`)."""

    query: str
    fallible: tuple[str, ...]


def plan_cast(contract: Contract, source_schema: "pa.Schema", columns: dict[str, str], source: str) -> CastPlan:
    """How to read `source` (of `source_schema`) as rows of the contract; `columns` maps properties to its columns."""
    typed: list[str] = []
    raw: list[str] = []
    fallible: list[str] = []
    for name, item in contract.properties.items():
        column = quoted(columns[name])
        met = source_schema.field(columns[name]).type
        if met == arrow_type(item.type):
            typed.append(f"{column} AS {quoted(name)}")
            continue
        expression = _cast(column, met, item.type)
        typed.append(f"{expression} AS {quoted(name)}")
        if not _always_fits(met, item.type):
            text = f"left(CAST({column} AS VARCHAR), 1000)"
            raw.append(f"CASE WHEN {column} IS NOT NULL AND ({expression}) IS NULL THEN {text} END AS raw_{len(raw)}")
            fallible.append(name)
    return CastPlan(f"SELECT {', '.join([*typed, *raw])} FROM {source}", tuple(fallible))


def _always_fits(met: "pa.DataType", kind: Type) -> bool:
    import pyarrow.types as at

    match kind:
        case Text():
            return bool(not at.is_binary(met) and not at.is_large_binary(met))
        case Integer():
            return bool(at.is_integer(met) and met != "uint64")
        case Float():
            return bool(at.is_integer(met) or at.is_floating(met) or at.is_decimal(met))
        case Timestamp():
            return bool(at.is_timestamp(met) or at.is_date(met))
        case Date():
            return bool(at.is_date(met))
        case _:
            return bool(at.is_null(met))


def _cast(column: str, met: "pa.DataType", kind: Type) -> str:
    import pyarrow.types as at

    target = duckdb_type(kind)
    if at.is_null(met):
        return f"CAST(NULL AS {target})"
    if at.is_dictionary(met):
        met = met.value_type
    is_text = at.is_string(met) or at.is_large_string(met) or at.is_string_view(met)
    if is_text and not isinstance(kind, Text):
        return _cast_text(f"trim(CAST({column} AS VARCHAR))", kind, target)
    is_number = at.is_integer(met) or at.is_floating(met) or at.is_decimal(met)
    match kind:
        case Integer() if at.is_floating(met) or at.is_decimal(met):
            return f"CASE WHEN {column} = trunc({column}) THEN TRY_CAST({column} AS {target}) END"
        case Integer() | Float() if not is_number:
            return f"CAST(NULL AS {target})"
        case Decimal() if at.is_floating(met):
            # A double is the nearest binary number to what was meant, so it is rounded to the contract's digits.
            return f"TRY_CAST({column} AS {target})"
        case Decimal() if is_number:
            return f"CASE WHEN TRY_CAST({column} AS {target}) = {column} THEN TRY_CAST({column} AS {target}) END"
        case Decimal():
            return f"CAST(NULL AS {target})"
        case Boolean() if is_number:
            return f"CASE {column} WHEN 1 THEN true WHEN 0 THEN false END"
        case Boolean() if not at.is_boolean(met):
            return f"CAST(NULL AS {target})"
        case Date() if at.is_timestamp(met):
            moment = f"make_timestamp(epoch_us({column}))"
            return f"CASE WHEN date_trunc('day', {moment}) = {moment} THEN CAST({moment} AS DATE) END"
        case Date() | Timestamp() if not (at.is_date(met) or at.is_timestamp(met)):
            return f"CAST(NULL AS {target})"
        case Timestamp() if at.is_timestamp(met):
            return f"make_timestamp(epoch_us({column}))"
        case Text() if at.is_binary(met) or at.is_large_binary(met):
            return "CAST(NULL AS VARCHAR)"
        case _:
            return f"TRY_CAST({column} AS {target})"


def _cast_text(text: str, kind: Type, target: str) -> str:
    match kind:
        case Integer():
            whole = f"regexp_extract({text}, '^[+-]?[0-9]+')"
            return f"CASE WHEN regexp_full_match({text}, '{_WHOLE}') THEN TRY_CAST({whole} AS BIGINT) END"
        case Float():
            return f"CASE WHEN regexp_full_match({text}, '{_NUMBER}') THEN TRY_CAST({text} AS DOUBLE) END"
        case Decimal(_, scale):
            digits = rf"[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{max(scale, 1)}}}0*)"
            return f"CASE WHEN regexp_full_match({text}, '{digits}') THEN TRY_CAST({text} AS {target}) END"
        case Boolean():
            return (
                f"CASE WHEN lower({text}) IN ('true', 't', 'yes', 'y', '1') THEN true "
                f"WHEN lower({text}) IN ('false', 'f', 'no', 'n', '0') THEN false END"
            )
        case Date() | Timestamp():
            day = rf"regexp_extract({text}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
            # DuckDB ignores the offset of a text that is cast to TIMESTAMP and wants seconds before one.
            clock = rf"regexp_extract({text}, '[ T]([0-9]{{2}}:[0-9]{{2}})', 1)"
            seconds = rf"regexp_extract({text}, ':[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]+)?)', 1)"
            zone = rf"regexp_extract({text}, '[+-][0-9]{{2}}(:?[0-9]{{2}})?$')"
            colon = rf"regexp_replace({zone}, '^([+-][0-9]{{2}})([0-9]{{2}})$', '\1:\2')"
            rest = f"coalesce(nullif({seconds}, ''), ':00'), coalesce(nullif({colon}, ''), '+00')"
            full = f"concat({day}, ' ', {clock}, {rest})"
            zoned = f"make_timestamp(epoch_us(TRY_CAST({full} AS TIMESTAMPTZ)))"
            moment = (
                f"CASE WHEN regexp_full_match({text}, '{_MOMENT}') THEN TRY_CAST({text} AS TIMESTAMP) "
                rf"WHEN regexp_full_match({text}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_ZONE}') THEN {zoned} END"
            )
            if isinstance(kind, Timestamp):
                return moment
            return f"CASE WHEN date_trunc('day', {moment}) = {moment} THEN CAST({moment} AS DATE) END"
        case Array() | Struct():
            return f"TRY_CAST(TRY_CAST({text} AS JSON) AS {target})"
        case _:
            return f"TRY_CAST({text} AS {target})"
