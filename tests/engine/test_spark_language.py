"""The language on Spark: random expressions and templates, and what the interpreter makes of them.

`SPARK_ORACLE=1000` looks at as many batches of expressions and templates instead of a few.
"""

import os
import random
from typing import Any

import ibis
import pyarrow as pa
import pytest

from storymesh.engine.cse import eliminate_common
from storymesh.engine.dialect import UNPRINTABLE
from storymesh.engine.engine import Engine
from storymesh.errors import NotInLanguage
from storymesh.language.compile.expressions import compile_expression
from storymesh.language.compile.templates import compile_template
from tests.support.expressions import DROPPED, interpreted, plain, random_expressions, rows_of
from tests.support.generated import accepted, rendered, table_of, values_of
from tests.support.locales import as_table, checked_in, told
from tests.support.locales import rows as locale_rows

BATCHES = int(os.environ.get("SPARK_ORACLE", "2"))


@pytest.mark.parametrize("seed", range(BATCHES))
def test_spark_computes_what_the_interpreter_says(spark: Engine, seed: int) -> None:
    rng = random.Random(seed)
    made, rows = random_expressions(rng, 12), rows_of(rng, 8, huge=bool(seed % 2))
    table = ibis.memtable(table_of(rows))
    names = {name: table[name] for name in table.columns}
    columns = {f"r{place}": compile_expression(written.expression, names) for place, written in enumerate(made)}
    found = spark.fetch_table(eliminate_common(table.select(**columns)))  # as a narrative's, or Spark repeats its work
    for place, written in enumerate(made):
        values = [plain(value) for value in found[f"r{place}"].to_pylist()]
        for wanted, value, row in zip(interpreted(written, rows), values, rows, strict=True):
            assert wanted is DROPPED or value == wanted, (written.text, row)


@pytest.mark.parametrize("seed", range(BATCHES))
def test_spark_tells_what_the_interpreter_tells(spark: Engine, seed: int) -> None:
    text, partials, checked = accepted(seed)
    rng = random.Random(seed)
    rows = [values_of(rng) for _ in range(6)]
    table = ibis.memtable(table_of(rows).append_column("place", pa.array(range(6))))
    names: dict[str, Any] = {name: table[name] for name in table.columns if name != "place"}
    told = compile_template(checked.tree, names, ibis.literal("case-1"), b"key")
    found = spark.fetch_rows(eliminate_common(table.select("place", text=told)).order_by("place"))
    for row, values in zip(found, rows, strict=True):
        wanted = rendered(checked, values)
        if isinstance(wanted, NotInLanguage):
            assert UNPRINTABLE in row["text"], (text, partials, values)  # the record drops
        else:
            assert row["text"] == wanted, (text, partials, values)


@pytest.mark.parametrize("locale", ["de", "ar"])
def test_spark_writes_a_language_as_python_does(spark: Engine, locale: str) -> None:
    checked, values = checked_in(locale), locale_rows()
    table = ibis.memtable(as_table(values).append_column("place", pa.array(range(len(values)))))
    names: dict[str, Any] = {name: table[name] for name in table.columns if name != "place"}
    text = compile_template(checked.tree, names, ibis.literal("case-1"), b"key")
    found = spark.fetch_rows(eliminate_common(table.select("place", text=text)).order_by("place"))
    for row, values_of_row in zip(found, values, strict=True):
        assert row["text"] == told(checked, values_of_row)
