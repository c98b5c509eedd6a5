"""The differences between engines, in one file, so that nobody has to look for them.

All else is ibis; nothing above this page asks which engine runs.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir


@ibis.udf.scalar.builtin(name="format", signature=((dt.string, dt.float64), dt.string))
def format_float(pattern, value):  # type: ignore[no-untyped-def]
    """Return a float in a format such as '{:,.2f}': ties to even on the binary value, as Python's format does."""


@ibis.udf.scalar.builtin(name="format", signature=((dt.string, dt.int64), dt.string))
def _format_integer(pattern, value):  # type: ignore[no-untyped-def]
    ...


def round_half_even(value: ir.NumericValue, digits: int) -> ir.FloatingValue:
    """Return a float rounded to `digits`, ties to even on the binary value, as Python's round does."""
    return format_float(f"{{:.{digits}f}}", value.cast("float64")).cast("float64")


def float_division(left: ir.NumericValue, right: ir.NumericValue) -> ir.FloatingValue:
    """Divide as IEEE 754 does: by zero it is infinite or not a number, never an error."""
    return left.cast("float64") / right.cast("float64")


def sum_int64(value: ir.IntegerValue) -> ir.IntegerValue:
    """Return a sum of whole numbers as int64: DuckDB adds them as HUGEINT, which ibis takes for int64."""
    return decimal_to_int64(value.cast(dt.Decimal(38, 0)))


def decimal_to_int64(value: ir.DecimalValue) -> ir.IntegerValue:
    """Return a decimal without digits after the decimal point as int64, null where it does not fit."""
    return value.try_cast("int64")


@ibis.udf.scalar.builtin(name="divide", signature=((dt.int64, dt.int64), dt.int64))
def integer_division(value, divisor):  # type: ignore[no-untyped-def]
    """Return the quotient of integers, truncated towards zero."""


@ibis.udf.scalar.builtin(name="strftime", signature=((dt.timestamp, dt.string), dt.string))
def _strftime(moment, pattern):  # type: ignore[no-untyped-def]
    ...


def format_moment(moment: ir.Value, pattern: str) -> ir.StringValue:
    """Format a date or timestamp by Python's codes; names of months and days are English on every machine."""
    return _strftime(moment.cast("timestamp"), pattern)


@ibis.udf.scalar.builtin(name="trim", signature=((dt.string, dt.string), dt.string))
def _trim(text, letters):  # type: ignore[no-untyped-def]
    ...


def strip_characters(text: ir.StringValue, letters: str) -> ir.StringValue:
    """Return `text` without any of `letters` at both ends."""
    return _trim(text, letters)


@ibis.udf.scalar.builtin(name="regexp_matches", signature=((dt.string, dt.string), dt.boolean))
def regex_found(text, pattern):  # type: ignore[no-untyped-def]
    """Return True where RE2's `pattern` is found somewhere in a text; `.` matches no line end."""


@ibis.udf.scalar.builtin(name="regexp_full_match", signature=((dt.string, dt.string), dt.boolean))
def regex_matches_whole(text, pattern):  # type: ignore[no-untyped-def]
    """Return True where RE2's `pattern` matches a whole text."""


@ibis.udf.scalar.builtin(name="regexp_extract", signature=((dt.string, dt.string, dt.int64), dt.string))
def regex_group(text, pattern, group):  # type: ignore[no-untyped-def]
    """Return `group` (0: all) of the first match of RE2's `pattern`, the empty text where there is none."""


@ibis.udf.scalar.builtin(name="json_valid", signature=((dt.string,), dt.boolean))
def _json_valid(text):  # type: ignore[no-untyped-def]
    ...


def is_strict_json(text: ir.StringValue) -> ir.BooleanValue:
    """Return True for a text that is JSON by RFC 8259: engines also take NaN, Infinity and a comma at the end."""
    without_strings = text.re_replace(r'"(?:[^"\\]|\\.)*"', '""')
    return _json_valid(text) & ~regex_found(without_strings, r",\s*[\]}]|[Nn][Aa][Nn]|[Ii][Nn][Ff]")


@ibis.udf.scalar.builtin(name="epoch_us", signature=((dt.timestamp,), dt.int64))
def _epoch_us(moment):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="make_timestamp", signature=((dt.int64,), dt.timestamp))
def _make_timestamp(microseconds):  # type: ignore[no-untyped-def]
    ...


def microseconds(moment: ir.TimestampValue | ir.DateValue) -> ir.IntegerValue:
    """Return how many microseconds after 1970 began in UTC a moment is; a date is its midnight."""
    return _epoch_us(moment.cast("timestamp") if moment.type().is_date() else moment)


def utc_microseconds(moment: ir.TimestampValue) -> ir.TimestampValue:
    """Return a timestamp of any unit and zone as one of UTC in microseconds, without a zone."""
    return _make_timestamp(_epoch_us(moment))


@ibis.udf.scalar.builtin(name="epoch_ns", signature=((dt.timestamp,), dt.int64))
def _epoch_ns(moment):  # type: ignore[no-untyped-def]
    ...


def has_whole_microseconds(moment: ir.TimestampValue) -> ir.BooleanValue:
    """Return True for a timestamp in nanoseconds that one in microseconds holds whole."""
    return _epoch_ns(moment) % 1000 == 0


def truncate_number(value: ir.NumericValue) -> ir.NumericValue:
    """Return a float or decimal truncated towards zero, of the same type."""
    return _of_number("trunc", value.type())(value)


def round_number(value: ir.NumericValue) -> ir.NumericValue:
    """Return a float or decimal rounded half away from zero, of the same type."""
    return _of_number("round", value.type())(value)


@lru_cache
def _of_number(name: str, kind: dt.DataType) -> Callable[[ir.NumericValue], ir.NumericValue]:
    def function(value):  # type: ignore[no-untyped-def]
        ...

    return ibis.udf.scalar.builtin(function, name=name, signature=((kind,), kind))  # type: ignore[no-any-return]


def remove_tag(text: ir.StringValue, tag: str) -> ir.StringValue:
    """Return `text` in which no tag of the XML element `tag` begins or ends: its `<` is written `&lt;`."""
    return text.re_replace(rf"(?i)<(\s*/?\s*{tag})", r"&lt;\1")


def item_at(values: ir.ArrayValue, index: int) -> ir.Value:
    """Return the item at `index` (from 0, negative from the end), null when there is none."""
    return values[index]


# What stands in a text for a number that cannot be printed exactly: a noncharacter that no data has, so that the text
# is found afterwards and its record dropped with that reason.
UNPRINTABLE = "\ufdd0"


def format_thousands(value: ir.NumericValue, digits: int) -> ir.StringValue:
    """Format an integer or float with commas and `digits` decimals, ties to even on the binary value, no minus zero."""
    text: ir.StringValue
    if value.type().is_integer():
        text = _format_integer("{:,d}", value.cast("int64"))
        return text.concat("." + "0" * digits) if digits else text
    text = format_float(f"{{:,.{digits}f}}", value.cast("float64"))
    # No other number of so many digits contains this one.
    zero = "-0" + ("." + "0" * digits if digits else "")
    text = text.replace(zero, zero[1:])
    return ibis.ifelse(~is_exactly_printable(value), UNPRINTABLE, text)


@lru_cache
def _concat(count: int) -> Callable[..., ir.StringValue]:
    # `concat(…)` takes two thirds of the time of a chain of `||`.
    def concat(*texts):  # type: ignore[no-untyped-def]
        ...

    names = [f"text_{index}" for index in range(count)]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
    concat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    signature = ((dt.string,) * count, dt.string)
    # Under its bare name sqlglot would write the chain again.
    return ibis.udf.scalar.builtin(concat, name="concat", database="main", signature=signature)  # type: ignore[no-any-return]


def concat_texts(texts: Sequence[ir.StringValue]) -> ir.StringValue:
    """Concatenate texts; a null counts as empty."""
    return _concat(len(texts))(*texts) if len(texts) > 1 else texts[0] if texts else ibis.literal("")


def concat_operands(node: ops.Node) -> tuple[ops.Value, ...]:
    """Return the operands of a `concat_texts` expression; of any other, none."""
    made = isinstance(node, ops.ScalarUDF) and type(node).__func_name__ == "concat"
    return node.__args__ if made else ()


SECRET_VARIABLE = "pseudonym_key"  # noqa: S105 - its name


@ibis.udf.scalar.builtin(name="greatest", signature=((dt.string,), dt.string))
def secret_text(text):  # type: ignore[no-untyped-def]
    """Return a text that no query spells: an engine passes it as SECRET_VARIABLE, a variable of its session.

    Elsewhere it is the greatest of one text, which is that text.
    """


@ibis.udf.scalar.builtin(name="getvariable", signature=((dt.string,), dt.string))
def session_variable(name):  # type: ignore[no-untyped-def]
    """Return a text variable of the session, null where it is not set."""


_SECRET: type[ops.Node] = type(secret_text("").op())


def is_secret(node: ops.Node) -> bool:
    """Return True for a `secret_text`."""
    return isinstance(node, _SECRET)


def separate_secret(node: ops.Node) -> tuple[ops.Node, str | None]:
    """Return an expression with SECRET_VARIABLE in place of its secret text, and that text; None if it has none.

    Raises ValueError for an expression with two.
    """
    found = {secret: secret.__args__[0].value for secret in node.find(_SECRET)}
    if not found:
        return node, None
    if len(set(found.values())) > 1:
        raise ValueError("an expression has one secret text at most")
    variable = session_variable(SECRET_VARIABLE).op()
    return node.replace(dict.fromkeys(found, variable)), next(iter(found.values()))


def sha256_hex(text: ir.StringValue) -> ir.StringValue:
    return text.hexdigest("sha256")


@ibis.udf.scalar.builtin(name="md5_number_lower", signature=((dt.string,), dt.uint64))
def hash_text(text):  # type: ignore[no-untyped-def]
    """Return 64 bits of the MD5 of a text as a number, the same on any machine."""


@ibis.udf.scalar.builtin(name="nfc_normalize", signature=((dt.string,), dt.string))
def normalize_nfc(text):  # type: ignore[no-untyped-def]
    """Return a text in Unicode's normal form C."""


@ibis.udf.scalar.builtin(name="strip_accents", signature=((dt.string,), dt.string))
def strip_accents(text):  # type: ignore[no-untyped-def]
    """Return a text without the marks on its letters."""


def hash_choice(text: ir.StringValue, count: int) -> ir.IntegerValue:
    """Return the first 8 hex digits of the MD5 of `text`, modulo `count`."""
    return ibis.literal("0x").concat(substring(text.hexdigest("md5"), 0, 8)).cast("int64") % count


def hash_bucket(text: ir.StringValue, count: int) -> ir.IntegerValue:
    """Return one of `count` numbers from 0, about equally often; another engine or version may give another."""
    return (text.hash() & 0xFFFF) % count


@ibis.udf.scalar.builtin(name="isfinite", signature=((dt.float64,), dt.boolean))
def is_finite(value):  # type: ignore[no-untyped-def]
    """Return True for a float that is neither infinite nor not a number."""


def is_exactly_printable(value: ir.NumericValue) -> ir.BooleanValue:
    """Return True where a float can be printed exactly: finite, and below 2**63."""
    floating = value.cast("float64")
    return is_finite(floating) & (floating.abs() < 2.0**63)


@ibis.udf.scalar.builtin(name="substr", signature=((dt.string, dt.int64, dt.int64), dt.string))
def _substr(text, start, length):  # type: ignore[no-untyped-def]
    ...


def substring(text: ir.StringValue, start: int | ir.IntegerValue, length: int = 2**31 - 1) -> ir.StringValue:
    """Return `length` characters from `start` (from 0). ibis's own repeats the text in the arguments."""
    return _substr(text, start + 1, length)


def characters(text: ir.StringValue) -> ir.ArrayValue:
    """Return the characters of a text, one code point each."""
    return text.split("")


def split_words(text: ir.StringValue) -> ir.ArrayValue:
    """Return the words of a text: runs of letters, marks and digits, in lower case and Unicode's normal form C."""
    # To replace and then split by one character takes half the time of a split by a pattern.
    parts = normalize_nfc(text).lower().re_replace(r"[^\p{L}\p{M}\p{N}]+", " ").split(" ")
    return filter_items(parts, lambda word: word != "")


def word_ngrams(words: ir.ArrayValue, length: int) -> ir.ArrayValue:
    """Return all n-grams of `length` words as texts with spaces; one of all words where they are fewer."""
    places = ibis.range(0, ibis.greatest(words.length() - length + 1, 1))
    # One item after another, since a slice copies the list for each place. The join leaves out what is absent.
    return map_items(places, lambda place: ibis.literal(" ").join([words[place + next_] for next_ in range(length)]))


def reverse_items(values: ir.ArrayValue) -> ir.ArrayValue:
    """Return the items of a list in reverse order."""
    return _of_list("list_reverse", values.type())(values)


def sort_items(values: ir.ArrayValue) -> ir.ArrayValue:
    """Return the items of a list, none of which is null, sorted."""
    return _of_list("list_sort", values.type())(values)


def distinct_items(values: ir.ArrayValue) -> ir.ArrayValue:
    """Return the distinct items of a list, sorted and without its nulls."""
    return sort_items(_of_list("list_distinct", values.type())(values))


def item_at_number(values: ir.ArrayValue, number: ir.IntegerValue) -> ir.Value:
    """Return the item with a number that is computed, counted from 1, null when there is none; `number` stands there
    once, where ibis's own index stands twice."""
    return _of_list_and_number("list_extract", values.type())(values, number)


@lru_cache
def _of_list_and_number(name: str, kind: dt.Array) -> Callable[[ir.ArrayValue, ir.IntegerValue], ir.Value]:
    def function(values, number):  # type: ignore[no-untyped-def]
        ...

    signature = ((kind, dt.int64), kind.value_type)
    return ibis.udf.scalar.builtin(function, name=name, signature=signature)  # type: ignore[no-any-return]


def pick_items(values: ir.ArrayValue, places: ir.ArrayValue) -> ir.ArrayValue:
    """Return the items at some places (from 0) of a list, all of which it has, in the order of the places."""
    select = _of_two_lists("list_select", values.type())
    return select(values, map_items(places, lambda place: place + 1))


@lru_cache
def _of_two_lists(name: str, kind: dt.DataType) -> Callable[[ir.ArrayValue, ir.ArrayValue], ir.ArrayValue]:
    def function(values, numbers):  # type: ignore[no-untyped-def]
        ...

    signature = ((kind, dt.Array(dt.int64)), kind)
    return ibis.udf.scalar.builtin(function, name=name, signature=signature)  # type: ignore[no-any-return]


@lru_cache
def _of_list(name: str, kind: dt.DataType) -> Callable[[ir.ArrayValue], ir.ArrayValue]:
    def function(values):  # type: ignore[no-untyped-def]
        ...

    return ibis.udf.scalar.builtin(function, name=name, signature=((kind,), kind))  # type: ignore[no-any-return]


@ibis.udf.scalar.builtin(name="list_sum", signature=((dt.Array(dt.int64),), dt.int64))
def _list_sum(values):  # type: ignore[no-untyped-def]
    ...


def sum_items(values: ir.ArrayValue) -> ir.IntegerValue:
    """Return the sum of a list of whole numbers, 0 for an empty one."""
    return _list_sum(values).fill_null(0)


def concat_lists(lists: Sequence[ir.ArrayValue]) -> ir.ArrayValue:
    """Concatenate lists of one type; a null list counts as empty."""
    return ibis.array(lists).flatten()


def concat_items(texts: ir.ArrayValue) -> ir.StringValue:
    """Concatenate the texts of a list; an empty list gives the empty text."""
    return texts.join("")


def name_columns(values: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
    """Return the values with the names that they get in a selection.

    To name a value that has none, ibis first writes out what it is computed from, each part as often as it is used:
    time that doubles with each variable that is set from another.
    """
    return {name: ops.Alias(value, name).to_expr() for name, value in values.items()}


# ibis writes one selection over another as one, so that a value stands as often as its name is used. What is not pure
# keeps them apart: a random column, which nothing above reads by its name, so the engine never draws it.
BARRIER: Mapping[str, ir.Value] = {"fence": ibis.random()}


def materialization_barrier(table: ir.Table) -> ir.Table:
    """Return the same rows as a query of their own."""
    return table.mutate(**BARRIER).drop("fence")


def map_items(values: ir.ArrayValue, function: Callable[[ir.Value], ir.Value]) -> ir.ArrayValue:
    """Return `function` of every item."""
    argument, body = _body(values, function)
    return ops.ArrayMap(values, body=body, param=argument, index=None).to_expr()


def map_indexed(values: ir.ArrayValue, function: Callable[[ir.Value, ir.IntegerValue], ir.Value]) -> ir.ArrayValue:
    """Return `function` of every item and its index, counted from 0."""
    # ibis looks for the name of an index in the relations below as well. So it may be above the item's: a level apart.
    level = max(_index_depth.get(), _level(values, ops.Node))
    place = ops.Argument(name=f"{INDEX_NAME}{level}", shape=values.op().shape, dtype=dt.int64)
    token = _index_depth.set(level + 1)
    try:
        argument, body = _body(values, lambda item: function(item, place.to_expr()))
    finally:
        _index_depth.reset(token)
    return ops.ArrayMap(values, body=body, param=argument, index=place).to_expr()


def filter_items(values: ir.ArrayValue, holds: Callable[[ir.Value], ir.BooleanValue]) -> ir.ArrayValue:
    """Return the items for which `holds` is true."""
    argument, body = _body(values, holds)
    return ops.ArrayFilter(values, body=body, param=argument, index=None).to_expr()


# ibis names a lambda's argument after Python's, so that an inner one hides an outer one of the same name. Here the name
# is a level: above those of the lambdas around it, and above those in the list itself, which the body may read again.
# So the same expression gives the same SQL every time.
INDEX_NAME = "place"
_depth: ContextVar[int] = ContextVar("depth", default=0)
_index_depth: ContextVar[int] = ContextVar("index_depth", default=0)


def _level(values: ir.ArrayValue, within: type[ops.Node] = ops.Value) -> int:
    inside = [int(argument.name.lstrip("itemplac")) for argument in values.op().find(ops.Argument, within)]
    return max([_depth.get(), *(level + 1 for level in inside)])


def _body(values: ir.ArrayValue, function: Callable[[ir.Value], ir.Value]) -> tuple[ops.Argument, ir.Value]:
    level = _level(values)
    argument = ops.Argument(name=f"item{level}", shape=values.op().shape, dtype=values.type().value_type)
    token = _depth.set(level + 1)
    try:
        return argument, function(argument.to_expr())
    finally:
        _depth.reset(token)
