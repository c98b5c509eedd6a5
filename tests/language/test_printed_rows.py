"""The engine says of the same rows that their values are printed as the interpreter that traces values does."""

import random
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storymesh.engine.cse import eliminate_common
from storymesh.engine.engine import Engine
from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language.compile.printed_rows import compile_printed_rows
from storymesh.language.interpret import as_value
from storymesh.language.parse import parse_template
from storymesh.language.provenance import TracingInterpreter
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.language.typecheck.templates import check_template
from tests.support.generated import SCOPE, accepted, looking, table_of, values_of

ROWS = 6


def keyed(rng: random.Random) -> dict[str, Any]:
    """Random values, in which each of the `rows` has a text of its own, by which it is told."""
    row = values_of(rng)
    for place, item in enumerate(row["rows"]):
        item["t"] = f"R{place}"
    return row


def compiled(checked: CheckedTemplate, rows: list[dict[str, Any]], engine: Engine) -> list[set[str]] | None:
    numbered = table_of(rows).append_column("place", pa.array(range(len(rows))))
    table = ibis.memtable(numbered)
    names = {name: table[name] for name in table.columns if name != "place"}
    case_id = ibis.literal("case-1")
    keys = compile_printed_rows(checked.tree, names, case_id, b"key", {("rows",)}, lambda row: row["t"])
    if keys is None:
        return None
    found = engine.fetch_table(eliminate_common(table.select("place", keys=keys)).order_by("place"))
    return [{key for key in keys if key is not None} for keys in found["keys"].to_pylist()]


def traced(checked: CheckedTemplate, row: dict[str, Any]) -> set[str] | None:
    """The rows that printed values come from; None where the record drops."""
    try:
        told = TracingInterpreter(checked.tree, b"key").trace_text("case-1", as_value(row))
    except NotInLanguage:
        return None
    origins = [path for span in told.spans for path in span.origins if path[0] == "rows" and path[-1] != "#"]
    return {row["rows"][path[1]]["t"] for path in origins if len(path) > 1}


@pytest.mark.slow
@looking(lean=60, deep=3000)
@given(seed=st.integers(0, 2**48))
@example(seed=7_705_913_769)  # a property of the greatest of no rows
def test_the_rows_behind_printed_values_are_those_that_the_interpreter_follows(seed: int, engine: Engine) -> None:
    text, partials, checked = accepted(seed)
    rng = random.Random(seed)
    rows = [keyed(rng) for _ in range(ROWS)]
    expected = [traced(checked, row) for row in rows]
    try:
        met = compiled(checked, rows, engine)
    except TooLarge:
        return
    for row, rows_met, rows_expected in zip(rows, met or [set()] * ROWS, expected, strict=True):
        assert rows_expected is None or rows_met == rows_expected, (text, partials, row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for r in rows %}{% if loop.first %}{{ r.n }}{% endif %}{% endfor %}", {"R0"}),
        ("{% for r in rows %}{% if r.b %}{{ r.n }}{% endif %}{% endfor %}", {"R1"}),
        ("{% for r in rows if r.b %}{{ r.k }}{% else %}{{ t }}{% endfor %}", {"R1"}),
        ("{% set r = rows | first %}{% if r %}{{ r.n }}{% endif %}", {"R0"}),
        ("{% set r = rows | last %}{% if r %}{% set x = r.n %}{% if x > 1 %}{{ x + 1 }}{% endif %}{% endif %}", {"R2"}),
        ("{{ rows | map(attribute='n') | max | default(0) }}", {"R2"}),
        ("{{ rows | map(attribute='n') | sort(reverse=true) | first | default(0) }}", {"R2"}),
        ("{{ rows | selectattr('b') | map(attribute='k') | listing }}", {"R1"}),
        ("{% for x in rows | map(attribute='n') if x < 2 %}{{ x }}{% endfor %}", {"R0"}),
        ("{{ rows | sum(attribute='n') }}", {"R0", "R1", "R2"}),
        ("{{ rows | join(', ', attribute='n') }}", {"R0", "R1", "R2"}),
        ("{{ rows | length }}{% for r in rows %}{{ loop.index }}{% endfor %}", set()),
        ("{% if rows | selectattr('b') %}yes{% endif %}", set()),
        ("{% for r in rows %}{{ 'good' if r.b else r.k }}{% endfor %}", {"R0", "R2"}),
        ("{% for r in rows %}{{ r.u | default(t) }}{% endfor %}", {"R1"}),
        ("{% for r in rows %}{{ r.t | pseudonym }}{% endfor %}", {"R0", "R1", "R2"}),
        ("{% for r in rows %}{% for i in r.items %}{{ i.n }}{% endfor %}{% endfor %}", {"R2"}),
        ("{% for r in rows %}{{ r.u or t }}{% endfor %}", {"R1"}),
        ("{{ rows | unique(attribute='k') | map(attribute='n') | sum }}", {"R0", "R1"}),
    ],
)
def test_a_condition_decides_whose_values_are_printed(text: str, expected: set[str], engine: Engine) -> None:
    rng = random.Random(7)
    row = keyed(rng)
    item = values_of(rng)["row"]
    row["rows"] = [
        {**item, "t": f"R{n}", "n": n + 1, "b": n == 1, "u": "u" if n == 1 else None, "k": "AbA"[n], "items": []}
        for n in range(3)
    ]
    row["rows"][2]["items"] = [dict(item)]
    checked = check_template(parse_template(text, "t", "t"), SCOPE, lambda name: None)
    assert traced(checked, row) == expected
    assert (compiled(checked, [row], engine) or [set()])[0] == expected
