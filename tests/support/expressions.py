"""One expression, two ways: by the interpreter for each row, and compiled to a column of the engine."""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal as Exact
from typing import Any

import ibis

from storymesh.engine.cse import eliminate_common
from storymesh.engine.engine import Engine
from storymesh.errors import DefinitionErrors, NotInLanguage
from storymesh.language import ast
from storymesh.language.compile.expressions import compile_expression
from storymesh.language.interpret import Interpreter, as_value
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.language.typecheck.templates import check_template
from tests.support.generated import DROPS, SCOPE, Maker, table_of, values_of

DROPPED = object()


@dataclass(frozen=True)
class Written:
    text: str
    expression: ast.Expression
    checked: CheckedTemplate


def written(text: str) -> Written | None:
    """An expression that the checker accepts as the value of a template's `set`: no null is computed with."""
    try:
        template = parse_template(f"{{% set result = {text} %}}", "t", "d/t")
        checked = check_template(template, SCOPE, lambda name: None)
    except DefinitionErrors:
        return None
    assign = checked.tree.body[0]
    assert isinstance(assign, ast.Assign)
    return Written(text, assign.value, checked)


def random_expressions(rng: random.Random, count: int) -> list[Written]:
    maker = Maker(rng, template=False)
    makers = [maker.whole, maker.exact, maker.float_, maker.text, maker.text, maker.test, lambda depth: maker.moment()]
    found: list[Written] = []
    while len(found) < count:
        if (made := written(rng.choice(makers)(2))) is not None and "pseudonym" not in made.text:
            found.append(made)
    return found


def interpreted(made: Written, rows: Sequence[dict[str, Any]]) -> list[Any]:
    interpreter = Interpreter(made.checked.tree, b"key")
    return [_value(interpreter, row) for row in rows]


def _value(interpreter: Interpreter, row: dict[str, Any]) -> Any:
    names = {name: as_value(value) for name, value in row.items()}
    try:
        return plain(interpreter.value("result", names))
    except NotInLanguage as drop:
        if any(words in str(drop) for words in DROPS):
            return DROPPED
        raise


def compiled(made: Sequence[Written], rows: Sequence[dict[str, Any]], engine: Engine) -> list[list[Any]]:
    table = ibis.memtable(table_of(list(rows)))
    names = {name: table[name] for name in table.columns}
    columns = {f"r{n}": compile_expression(item.expression, names) for n, item in enumerate(made)}
    found = engine.fetch_table(eliminate_common(table.select(**columns)))  # as a narrative's are
    return [[plain(as_value(value)) for value in found[f"r{n}"].to_pylist()] for n in range(len(made))]


def plain(value: Any) -> Any:
    """A value that equals another where they are the same: floats by their bits, decimals with their scale."""
    match value:
        case bool() | str() | None | int():
            return value
        case float():
            return "NaN" if value != value else struct.pack("<d", value + 0.0).hex()  # no minus zero is ever shown
        case Exact():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case date():
            return datetime(value.year, value.month, value.day).isoformat()
        case list():
            return [plain(item) for item in value]
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case _:
            raise AssertionError(value)


def rows_of(rng: random.Random, count: int, *, huge: bool = False) -> list[dict[str, Any]]:
    return [values_of(rng) if huge else small(values_of(rng)) for _ in range(count)]


def small(value: Any) -> Any:
    """The same value with no number so large that a sum or a product drops the record."""
    match value:
        case dict():
            return {name: small(item) for name, item in value.items()}
        case list():
            return [small(item) for item in value]
        case bool():
            return value
        case int() if abs(value) > 10**6:
            return value % 1000
        case float() if not abs(value) < 1e9:
            return 12.5
        case _:
            return value
