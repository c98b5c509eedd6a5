"""The facts that a record's templates print, the other values that they read, and the source rows of both."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir

from storymesh.case.link import KEY
from storymesh.case.resolve import Cast
from storymesh.case.scopes import TypedCase
from storymesh.case.visibility import template_names
from storymesh.dataset.build import ProductVersions
from storymesh.engine import dialect
from storymesh.engine.enum_text import enum_text
from storymesh.language import ast
from storymesh.language.ast import Expression, Template
from storymesh.language.compile.expressions import compile_expression
from storymesh.language.compile.printed_rows import compile_printed_rows
from storymesh.language.compile.values import pseudonym
from storymesh.language.static_values import Path
from storymesh.language.types import Struct
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import TypedRecord

_OPTIONS = (("precedents", "best"), ("precedents", "worst"), ("precedents", "options"), ("option",))
_QUOTES = frozenset((*option, "quoted") for option in _OPTIONS)
NO_SOURCES = "array<struct<product: string, version: string, key: string>>"


def printed_facts(record: TypedRecord, names: Mapping[str, ir.Value], case_id: ir.Value, key: bytes) -> ir.StructValue:
    """Return every path that the templates print as one struct; the case's id, if they print none."""
    if not record.prints:
        return ibis.struct({"case": ibis.struct({"id": case_id})})
    return _struct_of(record.prints, _by_text(record, names), partial(_printed, key=key))


def unprinted_values(record: TypedRecord, names: Mapping[str, ir.Value]) -> ir.StructValue | None:
    """Return the values that influence a record's texts and are not among its facts, as one struct; None without any.

    Of a row it holds whether it is there, of a list of rows how many there are.
    """
    return read_values(record.unprinted, _by_text(record, names)) if record.unprinted else None


def read_values(paths: Iterable[Path], names: Mapping[str, ir.Value | Mapping[str, ir.Value]]) -> ir.StructValue:
    """Return the values at some paths as one struct, as `unprinted_values` does."""
    return _struct_of(paths, names, _read)


def _by_text(record: TypedRecord, names: Mapping[str, ir.Value]) -> dict[str, ir.Value | Mapping[str, ir.Value]]:
    """Return the names with `option` as the one of each text that has one."""
    return {**names, "option": {text.option: names[f"option_{text.option}"] for text in record.texts if text.option}}


def _struct_of(
    paths: Iterable[Path],
    names: Mapping[str, ir.Value | Mapping[str, ir.Value]],
    value_of: Callable[[ir.Value, Mapping[str, Any]], ir.Value],
) -> ir.StructValue:
    """Return values as a struct of their paths. `value_of` gives what is taken of a value, from the tree of paths below
    it; a name that stands for several values is a struct of them."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
    fields: dict[str, ir.Value] = {}
    for name, branch in tree.items():
        value = names[name]
        fields[name] = (
            ibis.struct({side: value_of(part, branch) for side, part in value.items()})
            if isinstance(value, Mapping)
            else value_of(value, branch)
        )
    return ibis.struct(fields)


def _read(value: ir.Value, branch: Mapping[str, Any]) -> ir.Value:
    """Return the parts of a value that are read, given the tree of paths below it."""
    kind = value.type()
    if kind.is_array() and (branch or kind.value_type.is_nested()):
        if not branch and kind.value_type.is_struct():
            return value.length()
        return dialect.map_items(value, lambda item: _read(item, branch))
    if not kind.is_struct():
        return value
    if not branch:
        return value.notnull()
    row = ibis.struct({name: _read(value[name], below) for name, below in branch.items()})
    return ibis.ifelse(value.isnull(), ibis.null(row.type()), row)


def _printed(value: ir.Value, branch: Mapping[str, Any], key: bytes) -> ir.Value:
    """Return the printed parts of a value: all of it, its length (`#`), its pseudonym (`~`), or some properties."""
    if not branch:
        return value
    if "#" in branch and len(branch) == 1:
        return value.length().cast("int64")
    if "~" in branch:
        return (
            dialect.map_items(value, lambda item: pseudonym(item, key))
            if value.type().is_array()
            else pseudonym(value, key)
        )
    inner = {name: parts for name, parts in branch.items() if name != "#"}
    if value.type().is_array():
        return dialect.map_items(value, lambda row: _printed_row(row, inner, key))
    row = _printed_row(value, inner, key)
    return ibis.ifelse(value.isnull(), ibis.null(row.type()), row)


def _printed_row(row: ir.StructValue, branch: Mapping[str, Any], key: bytes) -> ir.StructValue:
    return ibis.struct({name: _printed(row[name], parts, key) for name, parts in branch.items()})


def source_rows(
    typed: TypedNarrative,
    record: TypedRecord,
    names: Mapping[str, ir.Value],
    action: Sequence[tuple[str, ir.Value]],
    quoted: Sequence[ir.ArrayValue],
    versions: ProductVersions,
) -> ir.ArrayValue:
    """Return product, version and key of the rows behind a record, each once, by product and key.

    They are the rows of every role that the templates name, the rows behind `outcome.action` (`action`, as role and
    row), and the anchors of the quotes that this record prints (`quoted`, as lists of their keys).
    """
    rows: dict[tuple[str, str], list[ir.Value]] = {}
    unclear: set[tuple[str, str]] = set()  # the products of which one list may have a key twice
    for role in record.roles:
        if role in typed.cast.roles:
            rows.setdefault(versions[role], []).append(names[role])
            # The rows of a list have different keys, but of different keys the pseudonyms may be the same.
            if any((role, column) in typed.pseudonymised for column in typed.contracts[role].key):
                unclear.add(versions[role])
    for role, row in action:
        if typed.cast.roles[role].link is None and role in record.roles:
            continue  # there already: the anchor is one row in every view
        rows.setdefault(versions[role], []).append(row)
    keys = {version: [_row_keys(value) for value in values] for version, values in rows.items()}
    for printed in quoted:
        keys.setdefault(versions[typed.cast.anchor.name], []).append(printed)
        unclear.add(versions[typed.cast.anchor.name])
    few = [{version[place] for version in keys} for place in range(2)]
    parts = [
        _product_sources(
            [enum_text(text, texts) for text, texts in zip(version, few, strict=True)],
            lists,
            distinct=version not in unclear,
        )
        for version, lists in sorted(keys.items())
    ]
    return dialect.concat_lists(parts) if parts else ibis.literal([], type=NO_SOURCES)


def _row_keys(value: ir.Value) -> ir.Value:
    return dialect.map_items(value, lambda row: row[KEY]) if value.type().is_array() else value[KEY]


def _product_sources(version: Sequence[ir.StringValue], keys: Sequence[ir.Value], *, distinct: bool) -> ir.ArrayValue:
    """Return the rows of one product, each key once and in order. Only the keys are sorted, not whole structs.

    With `distinct`, no list of `keys` has a key twice.
    """
    product, digest = version

    def source(key: ir.Value) -> ir.StructValue:
        return ibis.struct({"product": product, "version": digest, "key": key})

    first = keys[0]
    if len(keys) == 1 and not first.type().is_array():
        alone = ibis.array([source(first)])
        return ibis.ifelse(first.isnull(), ibis.literal([], type=alone.type()), alone)
    lists = [key for key in keys if key.type().is_array()]
    singles = [key for key in keys if not key.type().is_array()]
    if not lists or len(singles) > 1:
        lists, singles = [*lists, *(ibis.array([key]) for key in singles)], []
    # Of a list that only precedents decide, each key is sought once a probe.
    alone = distinct and len(lists) == 1
    found = dialect.sort_items(lists[0]) if alone else dialect.distinct_items(dialect.concat_lists(lists))
    for key in singles:
        there = key.isnull() | found.contains(key)
        found = ibis.ifelse(there, found, dialect.sort_items(dialect.concat_lists([found, ibis.array([key])])))
    return dialect.map_items(found, source)


def quoted_keys(
    template: Template, names: Mapping[str, ir.Value], case_id: ir.StringValue, key: bytes
) -> ir.ArrayValue | None:
    """Return the ids of the quoted cases that a typed template prints something of; None if it never does."""
    return compile_printed_rows(template, names, case_id, key, _QUOTES, lambda row: row["id"])


def action_rows(cases: ir.Table, typed: TypedNarrative, record: TypedRecord) -> list[tuple[str, ir.Value]]:
    """Return the rows behind `outcome.action`, as (role, row), if a record says something of the outcome; else none.

    A text that only decides by it, such as "it worked" or "it did not", says so too.
    """
    tells_outcome = record.format.needs_outcome or any(path[0] == "outcome" for path in (*record.prints, *record.reads))
    if not tells_outcome and not (record.format.shows_outcome and typed.case.outcome):
        return []
    hindsight = template_names(cases, typed.cast, typed.case, "hindsight")
    return list(_rows_read(typed.case.outcome["action"].expression, typed.case, typed.cast, hindsight))


def _rows_read(
    expression: Expression, typed_case: TypedCase, cast: Cast, names: Mapping[str, ir.Value]
) -> Iterator[tuple[str, ir.Value]]:
    """Yield the rows whose properties an expression reads, as (role, row); facts are followed to what they read."""
    match expression:
        case ast.Attribute():
            kind = expression.base.typed.type
            if isinstance(kind, Struct) and kind.origin is not None and kind.origin in cast.roles:
                yield kind.origin, compile_expression(expression.base, names)
            else:
                yield from _rows_read(expression.base, typed_case, cast, names)
        case ast.Name() if expression.name in typed_case.facts:
            yield from _rows_read(typed_case.facts[expression.name].expression, typed_case, cast, names)
        case ast.Name() if expression.name in cast.roles:
            yield expression.name, names[expression.name]
        case _:
            for part in vars(expression).values():
                for inner in part if isinstance(part, tuple) else (part,):
                    if isinstance(inner, Expression):
                        yield from _rows_read(inner, typed_case, cast, names)
