"""The JSON schema of an answer, made from the contract, and the values in an answer as the contract has them."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal as Exact
from decimal import InvalidOperation
from typing import Any

from storymesh.contract.definition import Contract, Property
from storymesh.contract.type_options import parse_moment
from storymesh.language.types import Boolean, Date, Decimal, Float, Integer, Text, Timestamp

ANSWERABLE = (Text, Integer, Decimal, Float, Boolean, Date, Timestamp)
ROWS, VALUE, QUOTE = "rows", "value", "quote"
MAX_ROWS = 10_000
_CUT_OFF = ("oversize", "length", "max_tokens", "MAX_TOKENS")
_REFUSED = ("refusal", "content_filter", "SAFETY")
_MAX_NUMBER_LENGTH = 60  # signs


class Unreadable(Exception):
    """An answer, or a value in one, that is not what was asked for. The message completes "the answer …"."""


def answer_schema(contract: Contract, asked: Sequence[Property], *, many: bool) -> Mapping[str, Any]:
    """Return the schema of an answer: `rows`, of which each has for each property a value and the words that say it."""
    row = {item.name: _property_schema(item) for item in asked}
    rows = {
        "type": "array",
        "description": f"{_words(contract.title, contract.description) or contract.name}: "
        + ("one item for each that the file tells of, none if it tells of none." if many else "exactly one item."),
        "items": {"type": "object", "properties": row, "required": [*row], "additionalProperties": False},
    }
    return {
        "title": re.sub(r"[^A-Za-z0-9_-]", "_", contract.name)[:64],
        "description": "What the file says, and the words in it that say so.",
        "type": "object",
        "properties": {ROWS: rows},
        "required": [ROWS],
        "additionalProperties": False,
    }


def _property_schema(item: Property) -> dict[str, Any]:
    value = _value_schema(item)
    if not item.required and item.key_position is None:
        value = {**value, "type": [value["type"], "null"]}
        if "enum" in value:
            value["enum"] = [*value["enum"], None]
    quote = {"type": ["string", "null"], "description": "The words of the file that say it, copied exactly."}
    return {
        "type": "object",
        "description": _describe_property(item),
        "properties": {VALUE: value, QUOTE: quote},
        "required": [VALUE, QUOTE],
        "additionalProperties": False,
    }


def _value_schema(item: Property) -> dict[str, Any]:
    schema: dict[str, Any]
    match item.type:
        case Integer():
            schema = {"type": "integer"}
        case Decimal() | Float():
            schema = {"type": "number"}
        case Boolean():
            schema = {"type": "boolean"}
        case Date():
            schema = {"type": "string", "format": "date"}
        case Timestamp():
            schema = {"type": "string", "format": "date-time"}
        case _:
            schema = {"type": "string"}
            if "pattern" in item.options:
                schema["pattern"] = item.options["pattern"]
    for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if name in item.options and schema["type"] in ("integer", "number"):
            schema[name] = item.options[name]
    if item.enum:
        schema["enum"] = [*item.enum]
    return schema


def _describe_property(item: Property) -> str:
    """Return the description of a property for a model: its text, its unit, and the label of each code."""
    parts = [_words(item.title, item.description) or item.name.replace("_", " ")]
    if item.unit:
        parts.append(f"in {item.unit}")
    labels = item.type.labels if isinstance(item.type, Text) else {}
    called = [f"{code}: {labels[str(code)]}" for code in item.enum if str(code) in labels]
    return ", ".join(parts) + (f" ({'; '.join(called)})" if called else "")


def _words(*texts: str) -> str:
    return ". ".join(" ".join(text.split()).rstrip(".") for text in texts if text.strip())


def rows_in_answer(text: str, finish: str | None, *, many: bool) -> list[Mapping[str, Any]]:
    """Return the rows of an answer as they stand in it. Raises Unreadable."""
    if finish in _CUT_OFF:
        raise Unreadable("reached the limit of its length and was cut off")
    if finish in _REFUSED:
        raise Unreadable("is that it will not answer")
    found = _last_object(text)
    if found is None:
        raise Unreadable("is not the JSON that was asked for")
    rows = found[ROWS]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable("is not the JSON that was asked for")
    if len(rows) > MAX_ROWS:
        raise Unreadable(f"has more than {MAX_ROWS:,} rows")
    if not many and len(rows) != 1:
        raise Unreadable("has no row" if not rows else "has more than the one row of a file")
    return rows


def _last_object(text: str) -> dict[str, Any] | None:
    """Return the last object of an answer that has rows: thoughts and fences may stand around it."""
    decoder = json.JSONDecoder(parse_float=_number, parse_constant=_no_number)
    begins = [match.start() for match in re.finditer(rf'\{{\s*"{ROWS}"\s*:', text)][-16:]
    for begin in (*reversed(begins), *([first] if (first := text.find("{")) >= 0 else [])):
        with suppress(ValueError, RecursionError, ArithmeticError):
            value, _ = decoder.raw_decode(text, begin)
            if isinstance(value, dict) and ROWS in value:
                return value
    return None


def _number(text: str) -> Exact:
    if len(text) > _MAX_NUMBER_LENGTH:
        raise ValueError(text[:_MAX_NUMBER_LENGTH])
    return Exact(text)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def value_and_quote(row: Mapping[str, Any], item: Property) -> tuple[Any, str | None]:
    """Return a value of a row as the contract has it, and the words that are to say it. Raises Unreadable."""
    cell = row.get(item.name)
    quote = None
    if isinstance(cell, dict) and VALUE in cell:
        quote = cell.get(QUOTE)
        cell = cell[VALUE]
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None, None
    value = _cast(cell, item)
    if value is None:
        raise Unreadable(f"has a value that is no {_type_word(item)}")
    if item.enum and value not in item.enum:
        raise Unreadable("has a value that the enum does not have")
    return value, _clean(quote) if isinstance(quote, str) and quote.strip() else None


def _cast(cell: Any, item: Property) -> Any:
    """Return a value of JSON as the type of its property, None where it is none."""
    match item.type:
        case Boolean():
            return cell if isinstance(cell, bool) else None
        case Text():
            if isinstance(cell, str):
                return _code(_clean(cell.strip()), item)
            return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else None
        case Integer() | Decimal() | Float():
            return _cast_number(cell, item)
        case Date():
            found = parse_moment(cell)
            return found.date() if found is not None and len(cell) == len("2024-03-12") else None
        case Timestamp():
            return parse_moment(cell)
        case _:
            return None


def _code(text: str, item: Property) -> str:
    """Return the code of an enum where its label was answered."""
    labels = item.type.labels if isinstance(item.type, Text) else {}
    if item.enum and text not in item.enum:
        called = [code for code in item.enum if labels.get(str(code), "").casefold() == text.casefold()]
        if len(called) == 1:
            return str(called[0])
    return text


def _cast_number(cell: Any, item: Property) -> Any:
    if isinstance(cell, bool) or not isinstance(cell, int | Exact | str):
        return None
    if isinstance(cell, str) and len(cell) > _MAX_NUMBER_LENGTH:
        return None
    try:
        number = Exact(cell)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number) >= Exact(10) ** 38:
        return None
    match item.type:
        case Integer():
            return int(number) if number == number.to_integral_value() and abs(number) < 2**63 else None
        case Decimal(precision, scale):
            exponent = number.normalize().as_tuple().exponent
            whole = precision - scale
            fits = isinstance(exponent, int) and -exponent <= scale and abs(number) < Exact(10) ** whole
            return number if fits else None
        case _:
            found = float(number)
            return found if math.isfinite(found) else None


def _clean(text: str) -> str:
    """Return a text that a file can hold: JSON can spell half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _type_word(item: Property) -> str:
    return str(item.type)


def value_in_words(value: Any) -> str:
    """Return a value as a key is written."""
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
