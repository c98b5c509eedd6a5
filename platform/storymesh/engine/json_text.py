"""JSON in text columns, read without a loss: what belongs to the dialect page and is about JSON alone.

Engines read a JSON number as a double, so that 0.30 becomes 0.3 and whole numbers beyond 2**53 become others. Here
every number of a document is made a text first, marked by a control character that JSON cannot hold as it is.
"""

from collections.abc import Sequence

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.engine.dialect import regex_found, substring

_STRING = r'"(?:[^"\\]|\\.)*"'
_BEFORE_NUMBER = rf'(?:[^"0-9-]|{_STRING})*'
_NUMBER = r"-?[0-9][0-9.eE+-]*"
_MARK = r"\\u0001"  # as JSON writes it
_LAST = " 0"  # a number at the end, so that all before it is looked at from the beginning and no text from its middle
_MARKED_LAST = ' "\\u00010"'


@ibis.udf.scalar.builtin(name="json_valid", signature=((dt.string,), dt.boolean))
def is_lenient_json(text):  # type: ignore[no-untyped-def]
    """Return True where a text is one JSON value; null where it is null."""


@ibis.udf.scalar.builtin(name="json_type", signature=((dt.string,), dt.string))
def _type(text):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="json_keys", signature=((dt.string,), dt.Array(dt.string)))
def json_keys(text):  # type: ignore[no-untyped-def]
    """Return the names of the members of a JSON object, in its order, one that stands twice twice."""


@ibis.udf.scalar.builtin(name="json_extract_string", signature=((dt.string, dt.string), dt.string))
def _member(text, pointer):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="json_extract_string", signature=((dt.string, dt.Array(dt.string)), dt.Array(dt.string)))
def _members(text, pointers):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="json_extract_string", signature=((dt.string, dt.string), dt.Array(dt.string)))
def _items(text, path):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="left", signature=((dt.string, dt.int64), dt.string))
def _left(text, count):  # type: ignore[no-untyped-def]
    ...


def json_kind(text: ir.StringValue) -> ir.StringValue:
    """Return `OBJECT`, `ARRAY` or another name of the kind of a JSON value; null where a text is none."""
    return ibis.ifelse(is_lenient_json(text), _type(text), ibis.null("string"))


def json_member(text: ir.StringValue, name: str) -> ir.StringValue:
    """Return a member of a JSON object as text: a string without its quotes; null where it is null or absent."""
    return _member(text, _pointer(name))


def json_members(text: ir.StringValue, names: Sequence[str]) -> ir.ArrayValue:
    """Return the members `names` of a JSON object as `json_member` does, for one reading of the object."""
    return _members(text, ibis.literal([_pointer(name) for name in names], "array<string>"))


def json_items(text: ir.StringValue) -> ir.ArrayValue:
    """Return the items of a JSON array as texts, strings without their quotes."""
    return _items(text, "$[*]")


def mark_numbers(text: ir.StringValue) -> ir.StringValue:
    """Return a JSON document with each number as a marked string of the same characters."""
    quoted = text.concat(_LAST).re_replace(rf"(?s)({_BEFORE_NUMBER})({_NUMBER})", rf'\1"{_MARK}\2"')
    return _left(quoted, -len(_MARKED_LAST))


def unmark_number(text: ir.StringValue) -> ir.StringValue:
    """Return what was a member of a marked document as the text that it is in JSON."""
    number = ibis.ifelse(regex_found(text, "^\x01-?[0-9]"), substring(text, 1), text)
    nested = text.re_replace(rf'"{_MARK}({_NUMBER})"', r"\1")
    # Expressions look at every text of a column, branches at those that come to them.
    return ibis.cases(
        (text.startswith("\x01"), number), (text.startswith("{") | text.startswith("["), nested), else_=text
    )


def is_markable(text: ir.StringValue) -> ir.BooleanValue:
    """Return False where a document has the mark itself in front of a number: the two could not be told apart."""
    return ~regex_found(text, rf"{_MARK}-?[0-9]")


def _pointer(name: str) -> str:
    """Return a member's name as a JSON pointer."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
