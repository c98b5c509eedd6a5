"""What stands behind the texts of a record: the facts that its templates print, and the rows that they come from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from storymesh.case.link import KEY
from storymesh.case.resolve import Cast
from storymesh.case.scopes import TypedCase
from storymesh.case.visibility import template_names
from storymesh.dataset.build import ProductVersions
from storymesh.engine import dialect
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.compile.expressions import compile_expression
from storymesh.language.compile.values import pseudonym
from storymesh.language.types import Struct
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import TypedRecord

NO_SOURCES = "array<struct<product: string, version: string, key: string>>"


def printed_facts(record: TypedRecord, names: Mapping[str, ir.Value], case_id: ir.Value, key: bytes) -> ir.StructValue:
    """Return every path that the templates print as one struct; the case's id, if they print none."""
    tree: dict[str, Any] = {}
    for path in sorted(record.prints):
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
    if not tree:
        return ibis.struct({"case": ibis.struct({"id": case_id})})
    facts = {name: _printed(names[name], branch, key) for name, branch in tree.items() if name != "option"}
    if "option" in tree:
        sides = [text.option for text in record.texts if text.option]
        facts["option"] = ibis.struct({side: _printed(names[f"option_{side}"], tree["option"], key) for side in sides})
    return ibis.struct(facts)


def _printed(value: ir.Value, branch: Mapping[str, Any], key: bytes) -> ir.Value:
    """Return what is printed of a value: all of it, its length (`#`), its pseudonym (`~`), or some properties."""
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
    versions: ProductVersions,
) -> ir.ArrayValue:
    """Return product, version and key of the rows behind a record, each once, by product and key.

    They are the rows of every role that the templates name, the rows behind `outcome.action` (`action`, as role and
    row), and the anchors of printed quotes.
    """
    rows: dict[tuple[str, str], list[ir.Value]] = {}
    for role in record.roles:
        if role in typed.cast.roles:
            rows.setdefault(versions[role], []).append(names[role])
    for role, row in action:
        rows.setdefault(versions[role], []).append(row)
    keys = {version: [_row_keys(value) for value in values] for version, values in rows.items()}
    quoting = [names["precedents"][kind] for kind in sorted(_quoting(record, "precedents"))]
    if _quoting(record, "option"):
        quoting += [names[f"option_{text.option}"] for text in record.texts if text.option]
    for options in quoting:
        keys.setdefault(versions[typed.cast.anchor.name], []).append(_quoted_keys(options))
    parts = [_product_sources(version, lists) for version, lists in sorted(keys.items())]
    return dialect.concat_lists(parts) if parts else ibis.literal([], type=NO_SOURCES)


def _row_keys(value: ir.Value) -> ir.Value:
    return dialect.map_items(value, lambda row: row[KEY]) if value.type().is_array() else value[KEY]


def _quoted_keys(options: ir.Value) -> ir.ArrayValue:
    if not options.type().is_array():
        return dialect.map_items(options["quoted"], lambda row: row["id"])
    return dialect.map_items(
        options, lambda option: dialect.map_items(option["quoted"], lambda row: row["id"])
    ).flatten()


def _product_sources(version: tuple[str, str], keys: Sequence[ir.Value]) -> ir.ArrayValue:
    """Return the rows of one product, each key once and in order. Only the keys are sorted, not whole structs."""
    product, digest = (ibis.literal(text) for text in version)

    def source(key: ir.Value) -> ir.StructValue:
        return ibis.struct({"product": product, "version": digest, "key": key})

    first = keys[0]
    if len(keys) == 1 and not first.type().is_array():
        alone = ibis.array([source(first)])
        return ibis.ifelse(first.isnull(), ibis.literal([], type=alone.type()), alone)
    lists = [key if key.type().is_array() else ibis.array([key]) for key in keys]
    joined = dialect.concat_lists(lists) if len(lists) > 1 else lists[0]
    return dialect.map_items(dialect.distinct_items(joined), source)


def _quoting(record: TypedRecord, root: str) -> set[str]:
    """Return the names below `root` whose quotes the templates print."""
    return {path[1] for path in record.prints if path[0] == root and "quoted" in path}


def action_rows(cases: ir.Table, typed: TypedNarrative, record: TypedRecord) -> list[tuple[str, ir.Value]]:
    """Return the rows behind `outcome.action`, as (role, row), if a record shows what was done; else none."""
    prints_outcome = record.format.needs_outcome or any(path[0] == "outcome" for path in record.prints)
    if not prints_outcome and not (record.format.shows_outcome and typed.case.outcome):
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
