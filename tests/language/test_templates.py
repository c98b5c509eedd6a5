"""One template, two ways: told by the interpreter case by case, and compiled into a column of the engine."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.engine.cse import eliminate_common
from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language.ast import Template
from storymesh.language.compile.expressions import UNPRINTABLE
from storymesh.language.compile.templates import Resolved, compile_template
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.static_values import Checked
from tests.support.generated import accepted, looking, rendered, table_of, values_of

ROWS = 6


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    yield engine
    engine.disconnect()


def compiled(
    text: str, partials: Mapping[str, str], checked: Checked, rows: list[dict[str, Any]], connection: Any
) -> list[str]:
    """The engine's text for each row, in the order of the rows."""

    def partial(name: str) -> Template:
        return parse_template(partials[name], name, f"d/{name}")

    numbered = table_of(rows).append_column("place", pa.array(range(len(rows))))
    table = ibis.memtable(numbered)
    names = {name: table[name] for name in table.columns if name != "place"}
    resolved = Resolved(checked.labels, checked.replaced, b"key")
    template = parse_template(text, "t.jinja", "d/t.jinja")
    told = compile_template(template, names, ibis.literal("case-1"), partial, resolved)
    found = connection.to_pyarrow(eliminate_common(table.select("place", text=told)).order_by("place"))
    texts: list[str] = found["text"].to_pylist()
    return texts


@looking(lean=60, deep=3000)
@given(seed=st.integers(0, 2**48))
def test_the_engine_tells_what_the_interpreter_tells(seed: int, connection: Any) -> None:
    made = accepted(seed)
    if made is None:
        return
    text, partials, checked = made
    rng = random.Random(seed)
    rows = [values_of(rng) for _ in range(ROWS)]
    wanted = [rendered(text, partials, checked, row) for row in rows]
    try:
        met = compiled(text, partials, checked, rows, connection)
    except TooLarge:
        return
    for row, expected, told in zip(rows, wanted, met, strict=True):
        if isinstance(expected, NotInLanguage):
            assert UNPRINTABLE in told, (text, partials, row, str(expected))  # the record drops
        else:
            assert told == expected, (text, partials, row)


def test_what_cannot_be_printed_is_marked(connection: Any) -> None:
    made = None
    seed = 0
    while made is None:
        made, seed = accepted(seed), seed + 1
    _, _, checked = made
    row = {**values_of(random.Random(1)), "f": float("inf")}
    assert compiled("{{ f | number(2) }}", {}, checked, [row], connection) == [UNPRINTABLE]
