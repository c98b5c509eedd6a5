"""The expectations of Great Expectations that a contract may name, and the arguments that each may have.

A contract may come from a stranger, and some of what the library takes is code or an address: `row_condition` is
evaluated by pandas, a JSON schema's `$ref` is fetched, `{"$PARAMETER": …}` is looked up, a type's name is called. So
only what is listed here, and known to be data, reaches it.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from storymesh.document import Step
from storymesh.engine.patterns import HINT, pattern_fault
from storymesh.errors import suggest_name

Fault = tuple[tuple[Step, ...], str, str]
"""Where in the arguments something is wrong, what, and what to do."""

_BETWEEN = "min_value max_value strict_min strict_max"
_ALLOWED: Mapping[str, str] = {
    "expect_column_distinct_values_to_be_in_set": "column value_set",
    "expect_column_distinct_values_to_contain_set": "column value_set",
    "expect_column_distinct_values_to_equal_set": "column value_set",
    "expect_column_kl_divergence_to_be_less_than": "column partition_object threshold internal_weight_holdout "
    "tail_weight_holdout bucketize_data min_value max_value",
    "expect_column_max_to_be_between": f"column {_BETWEEN}",
    "expect_column_mean_to_be_between": f"column {_BETWEEN}",
    "expect_column_median_to_be_between": f"column {_BETWEEN}",
    "expect_column_min_to_be_between": f"column {_BETWEEN}",
    "expect_column_most_common_value_to_be_in_set": "column value_set ties_okay",
    "expect_column_pair_values_a_to_be_greater_than_b": "column_A column_B mostly or_equal ignore_row_if",
    "expect_column_pair_values_to_be_equal": "column_A column_B mostly ignore_row_if",
    "expect_column_pair_values_to_be_in_set": "column_A column_B mostly value_pairs_set ignore_row_if",
    "expect_column_proportion_of_non_null_values_to_be_between": f"column {_BETWEEN}",
    "expect_column_proportion_of_unique_values_to_be_between": f"column {_BETWEEN}",
    "expect_column_quantile_values_to_be_between": "column quantile_ranges allow_relative_error",
    "expect_column_stdev_to_be_between": f"column {_BETWEEN}",
    "expect_column_sum_to_be_between": f"column {_BETWEEN}",
    "expect_column_to_exist": "column column_index",
    "expect_column_type_to_be": "column type_",
    "expect_column_unique_value_count_to_be_between": f"column {_BETWEEN}",
    "expect_column_value_lengths_to_be_between": f"column mostly {_BETWEEN}",
    "expect_column_value_lengths_to_equal": "column mostly value",
    "expect_column_value_z_scores_to_be_less_than": "column mostly threshold double_sided",
    "expect_column_values_to_be_between": f"column mostly {_BETWEEN}",
    "expect_column_values_to_be_dateutil_parseable": "column mostly",
    "expect_column_values_to_be_decreasing": "column mostly strictly",
    "expect_column_values_to_be_in_set": "column mostly value_set",
    "expect_column_values_to_be_in_type_list": "column mostly type_list",
    "expect_column_values_to_be_increasing": "column mostly strictly",
    "expect_column_values_to_be_json_parseable": "column mostly",
    "expect_column_values_to_be_null": "column mostly",
    "expect_column_values_to_be_of_type": "column mostly type_",
    "expect_column_values_to_be_unique": "column mostly",
    "expect_column_values_to_match_json_schema": "column mostly json_schema",
    "expect_column_values_to_match_regex": "column mostly regex",
    "expect_column_values_to_match_regex_list": "column mostly regex_list match_on",
    "expect_column_values_to_match_strftime_format": "column mostly strftime_format",
    "expect_column_values_to_not_be_in_set": "column mostly value_set",
    "expect_column_values_to_not_be_null": "column mostly",
    "expect_column_values_to_not_be_outliers": "column mostly method multiplier",
    "expect_column_values_to_not_match_regex": "column mostly regex",
    "expect_column_values_to_not_match_regex_list": "column mostly regex_list",
    "expect_compound_columns_to_be_unique": "column_list mostly ignore_row_if",
    "expect_multicolumn_sum_to_equal": "column_list mostly ignore_row_if sum_total",
    "expect_multicolumn_values_to_be_equal": "column_list mostly ignore_row_if",
    "expect_select_column_values_to_be_unique_within_record": "column_list mostly ignore_row_if",
    "expect_table_column_count_to_be_between": "min_value max_value",
    "expect_table_column_count_to_equal": "value",
    "expect_table_columns_to_match_ordered_list": "column_list",
    "expect_table_columns_to_match_set": "column_set exact_match",
    "expect_table_row_count_to_be_between": _BETWEEN,
    "expect_table_row_count_to_equal": "value",
}
_REQUIRED = frozenset(
    {"column", "column_A", "column_B", "column_list", "column_set", "regex", "regex_list", "json_schema"}
)
_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("row_condition", "condition_parser"), "a rule of type sql has a WHERE of its own"),
    **dict.fromkeys(("result_format", "catch_exceptions", "batch_id", "meta", "windows"), "leave it away"),
}
_FLAGS = frozenset(
    {"strict_min", "strict_max", "ties_okay", "or_equal", "strictly", "double_sided", "exact_match", "bucketize_data"}
)
_NUMBERS = frozenset(
    {"mostly", "threshold", "internal_weight_holdout", "tail_weight_holdout", "column_index", "value", "multiplier"}
    | {"sum_total"}
)
_BOUNDS = frozenset({"min_value", "max_value"})
# Names of types are looked up in numpy and pandas, and what is found there is called.
_TYPES = frozenset({
    "bool", "bool_", "boolean", "BooleanDtype", "int", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "Int8Dtype", "Int16Dtype", "Int32Dtype", "Int64Dtype", "UInt8Dtype", "UInt16Dtype", "UInt32Dtype",
    "UInt64Dtype", "float", "float32", "float64", "double", "Float32Dtype", "Float64Dtype", "str", "string",
    "StringDtype", "object", "object_", "datetime64", "datetime64[ns]", "datetime64[us]", "datetime", "date",
    "Timestamp", "timedelta64", "timedelta64[ns]", "Decimal", "list", "dict", "category", "CategoricalDtype",
})  # fmt: skip
_SCHEMA_KEYWORDS = frozenset({
    "type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems", "uniqueItems", "enum",
    "const", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
    "minProperties", "maxProperties", "allOf", "anyOf", "oneOf", "not", "title", "description", "default", "examples",
})  # fmt: skip


def allowed_arguments(name: str) -> tuple[str, ...] | None:
    """Return the arguments that an expectation may have; None for one that is not allowed."""
    return tuple(_ALLOWED[name].split()) if name in _ALLOWED else None


def argument_name(name: str, written: str) -> str:
    """Return an argument's name in Great Expectations. The standard writes it in camel case."""
    if written in (allowed_arguments(name) or ()):
        return written
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in written)


def faults_of(name: str, arguments: Mapping[str, Any], properties: Collection[str]) -> Iterator[Fault]:
    """Yield what is wrong with an expectation and its arguments, for a contract with these properties."""
    allowed = allowed_arguments(name)
    if allowed is None:
        words = f"'{name}' is not among the expectations of Great Expectations that are run"
        yield (), words, suggest_name(name, _ALLOWED)
        return
    given = {argument_name(name, written) for written in arguments}
    if missing := [argument for argument in allowed if argument in _REQUIRED and argument not in given]:
        yield (), f"{name} has no '{missing[0]}', which it needs", ""
    for written, value in arguments.items():
        argument = argument_name(name, written)
        if argument not in allowed:
            hint = _REFUSED.get(argument) or suggest_name(argument, allowed)
            yield (written,), f"{name} has no argument '{written}' that may be given", hint
            continue
        if name.startswith("expect_table_") or name == "expect_column_to_exist":
            properties = ()
        for steps, words, hint in _faults_of_value(argument, value, properties):
            yield (written, *steps), f"'{written}' {words}", hint


def _faults_of_value(argument: str, value: Any, properties: Collection[str]) -> Iterator[Fault]:
    match argument:
        case "column" | "column_A" | "column_B":
            yield from _column_faults(value, properties)
        case "column_list" | "column_set":
            yield from _each(value, lambda item: _column_faults(item, properties))
        case "regex":
            yield from _pattern_faults(value)
        case "regex_list":
            yield from _each(value, _pattern_faults)
        case "type_":
            yield from _type_faults(value)
        case "type_list":
            yield from _each(value, _type_faults)
        case "value_set":
            yield from _each(value, _plain_faults)
        case "value_pairs_set":
            yield from _each(value, lambda pair: _each(pair, _plain_faults))
        case "json_schema":
            yield from _schema_faults(value)
        case "quantile_ranges" | "partition_object":
            known = ("quantiles", "value_ranges", "values", "weights", "bins", "tail_weights")
            if not isinstance(value, dict) or not set(value) <= set(known):
                yield (), "does not hold the fields that it should", f"known: {', '.join(known)}"
                return
            for field, listed in value.items():
                for steps, words, hint in _each(listed, _listed_faults):
                    yield (field, *steps), words, hint
        case _:
            yield from _plain_faults(value)
            yield from _kind_faults(argument, value)


def _kind_faults(argument: str, value: Any) -> Iterator[Fault]:
    """Yield that a plain value is of another kind than its argument; null leaves it away."""
    flag, number = isinstance(value, bool), isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or isinstance(value, dict | list):
        return
    if argument in _FLAGS:
        if not flag:
            yield (), f"is {value!r}, true or false is wanted", ""
    elif argument in _NUMBERS:
        if not number:
            yield (), f"is {value!r}, a number is wanted", ""
        elif argument == "mostly" and not 0 <= value <= 1:
            yield (), f"is {value!r}, a share between 0 and 1 is wanted", "0.9 is nine rows of ten"
    elif argument in _BOUNDS and flag:
        yield (), f"is {value!r}, a number or a date is wanted", ""


def _each(value: Any, faults: Callable[[Any], Iterator[Fault]]) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield (), "has to be a list", ""
        return
    for index, item in enumerate(value):
        for steps, words, hint in faults(item):
            yield (index, *steps), words, hint


def _listed_faults(value: Any) -> Iterator[Fault]:
    return _each(value, _plain_faults) if isinstance(value, list) else _plain_faults(value)


def _plain_faults(value: Any) -> Iterator[Fault]:
    if isinstance(value, dict | list):
        yield (), "has to be a plain value", "nothing is looked up: write the value itself"
    elif isinstance(value, float) and not math.isfinite(value):
        yield (), f"is {value}, a number is wanted", ""


def _column_faults(value: Any, properties: Collection[str]) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield (), "has to name a property", ""
    elif properties and value not in properties:
        yield (), f"names '{value}', which is no property", suggest_name(value, properties)


def _pattern_faults(value: Any) -> Iterator[Fault]:
    if fault := pattern_fault(value):
        yield (), f"is no pattern that can be run: {fault}", HINT


def _type_faults(value: Any) -> Iterator[Fault]:
    if not isinstance(value, str) or value not in _TYPES:
        yield (), "names no type of a value", suggest_name(str(value)[:100], _TYPES)


def _schema_faults(schema: Any) -> Iterator[Fault]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield (), "has to be a JSON schema", ""
        return
    for keyword, value in schema.items():
        if keyword not in _SCHEMA_KEYWORDS:
            words = f"has the keyword '{keyword}', which is not run: no address is opened and no pattern goes back"
            yield (keyword,), words, "write the schema out, and a pattern as expect_column_values_to_match_regex"
            continue
        match keyword, value:
            case "properties", dict():
                inside = list(value.items())
            case (("allOf" | "anyOf" | "oneOf"), list()):
                inside = list(enumerate(value))
            case (("items" | "not" | "additionalProperties"), _):
                inside = [(None, value)]
            case _:
                inside = []
        for step, below in inside:
            for steps, words, hint in _schema_faults(below):
                yield (keyword, *((step,) if step is not None else ()), *steps), words, hint
