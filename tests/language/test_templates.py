"""One template, two ways: told by the interpreter case by case, and compiled into a column of the engine."""

import random
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.engine import dialect
from storymesh.engine.cse import eliminate_common
from storymesh.engine.dialect import UNPRINTABLE
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language.compile.templates import compile_template
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.language.typecheck.templates import check_template
from tests.support import locales
from tests.support.generated import SCOPE, accepted, looking, rendered, table_of, values_of

ROWS = 6


def compiled(checked: CheckedTemplate, rows: list[dict[str, Any]], engine: Engine, below: int = 0) -> list[str]:
    """The engine's text for each row, in the order of the rows; `below` is how many walks inside each other have made
    their lists."""
    numbered = table_of(rows).append_column("place", pa.array(range(len(rows))))
    table = _walked(ibis.memtable(numbered), below)
    names = {name: table[name] for name in table.columns if name != "place"}
    told = compile_template(checked.tree, names, ibis.literal("case-1"), b"key")
    found = engine.fetch_table(eliminate_common(table.select("place", text=told)).order_by("place"))
    texts: list[str] = found["text"].to_pylist()
    return texts


def _walked(table: ibis.Table, depth: int) -> ibis.Table:
    """The same rows, whose lists are made by walks inside each other."""

    def walked(values: Any, depth: int) -> Any:
        if not depth:
            return values
        inner = lambda place: walked(ibis.array([place]), depth - 1)[0]  # noqa: E731
        return dialect.map_indexed(values, lambda item, place: ibis.ifelse(inner(place) == place, item, item))

    lists = {name: walked(table[name], depth) for name, kind in table.schema().items() if kind.is_array()}
    return dialect.materialization_barrier(table.mutate(**lists)) if depth else table


@looking(lean=60, deep=3000)
@given(seed=st.integers(0, 2**48))
def test_the_engine_tells_what_the_interpreter_tells(seed: int, engine: Engine) -> None:
    made = accepted(seed)
    text, partials, checked = made
    rng = random.Random(seed)
    rows = [values_of(rng) for _ in range(ROWS)]
    wanted = [rendered(checked, row) for row in rows]
    try:
        met = compiled(checked, rows, engine)
    except TooLarge:
        return
    for row, expected, told in zip(rows, wanted, met, strict=True):
        if isinstance(expected, NotInLanguage):
            assert UNPRINTABLE in told, (text, partials, row, str(expected))  # the record drops
        else:
            assert told == expected, (text, partials, row)


@pytest.mark.parametrize("below", [1, 2, 3])
def test_each_loop_keeps_its_own_places_over_lists_that_were_made_by_walks(below: int, engine: Engine) -> None:
    end = '{{ ", " if not loop.last else ". " }}'
    inner = f"{{% for x in r.items if x.n > 1 %}}{{{{ outer }}}}.{{{{ loop.index }}}} {{{{ x.n }}}}{end}{{% endfor %}}"
    text = (
        f"{{% for r in rows %}}{{% set outer = loop.index %}}{inner}{{{{ outer * outer * outer }}}}{end}{{% endfor %}}"
    )
    checked = check_template(parse_template(text, "t", "t"), SCOPE, lambda name: None)
    rows = [values_of(random.Random(seed)) for seed in range(12)]
    assert compiled(checked, rows, engine, below) == [rendered(checked, row) for row in rows]


def test_what_cannot_be_printed_is_marked(engine: Engine) -> None:
    checked = check_template(parse_template("{{ f | number(2) }}", "t", "t"), SCOPE, lambda name: None)
    row = {**values_of(random.Random(1)), "f": float("inf")}
    assert compiled(checked, [row], engine) == [UNPRINTABLE]


def test_a_variable_may_be_set_from_another_many_times() -> None:
    """Time and text of what is compiled grow with the steps: by naming a column ibis would double both with each."""
    steps = 40
    sets = "".join(f"{{% set a{n} = a{n - 1} - 1 if a{n - 1} > {n} else a{n - 1} + 1 %}}" for n in range(1, steps))
    checked = locales.checked_in("en", f"{{% set a0 = n %}}{sets}{{{{ a{steps - 1} }}}}")
    values = locales.rows()
    with open_engine() as engine:
        table = ibis.memtable(locales.as_table(values))
        names = {name: table[name] for name in table.columns}
        text = compile_template(checked.tree, names, ibis.literal("case-1"), b"key")
        told_there = engine.fetch_rows(eliminate_common(table.select(**dialect.name_columns({"text": text}))))
    assert [row["text"] for row in told_there] == [locales.told(checked, row) for row in values]
