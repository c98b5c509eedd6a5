"""What is compared of records: where all that a template reads is the same, it says the same."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.dataset.record_sources import read_values
from storymesh.engine.cse import eliminate_common
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import TooLarge
from storymesh.language.compile.templates import compile_template
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.language.typecheck.templates import check_template
from storymesh.narrative.typed_record import unprinted_paths
from tests.support.generated import SCOPE, accepted, looking, table_of, value_of, values_of

VARIANTS = 16


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine() as opened:
        yield opened


def varied(rng: random.Random, row: dict[str, Any]) -> dict[str, Any]:
    """The row with one value changed, at the top or in a row of its lists."""
    changed = deepcopy(row)
    if changed["rows"] and rng.random() < 0.5:
        item = rng.choice(changed["rows"])
        name = rng.choice(list(item))
        item[name] = value_of(SCOPE["rows"].type.item.type.fields[name], rng)  # type: ignore[union-attr]
    else:
        name = rng.choice([name for name in SCOPE if name != "rows" or rng.random() < 0.3])
        changed[name] = value_of(SCOPE[name], rng)  # type: ignore[arg-type]
    return changed


def read_and_text(checked: CheckedTemplate, rows: list[dict[str, Any]], engine: Engine) -> list[tuple[str, str]]:
    table = ibis.memtable(table_of(rows).append_column("place", pa.array(range(len(rows)))))
    names = {name: table[name] for name in table.columns if name != "place"}
    reads = checked.reads | {(name,) for name in checked.names}
    columns: dict[str, Any] = {"text": compile_template(checked.tree, names, ibis.literal("case-1"), b"key")}
    if paths := unprinted_paths(reads, ()):  # all that is read, as if nothing were printed
        columns["read"] = read_values(paths, names)
    found = engine.fetch_table(eliminate_common(table.select("place", **columns)).order_by("place")).to_pylist()
    return [(repr(row.get("read")), row["text"]) for row in found]


@pytest.mark.slow
@looking(lean=25, deep=2000)
@given(seed=st.integers(0, 2**48))
def test_where_all_that_is_read_is_the_same_the_text_is(seed: int, engine: Engine) -> None:
    text, partials, checked = accepted(seed)
    rng = random.Random(seed)
    row = values_of(rng)
    try:
        found = read_and_text(checked, [row, *(varied(rng, row) for _ in range(VARIANTS))], engine)
    except TooLarge:
        return
    texts: dict[str, str] = {}
    for read, told in found:
        assert texts.setdefault(read, told) == told, (text, partials)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("{{ t if n > 2 else 'few' }}", {"n": 1}),
        ("{% if b %}yes{% endif %}", {"b": False}),
        ("{% if rows %}some{% endif %}", {"rows": []}),
        ("{% for r in rows %}*{% endfor %}", {"rows": []}),
        ("{{ rows | selectattr('b') | length }}", {"rows": []}),
        ("{% if maybe is none %}none{% endif %}", {"maybe": None}),
        ("{% set x = n > 2 %}{% if x %}many{% endif %}", {"n": 1}),
        ("{{ u | default(t) }}", {"u": None}),
        ("{% if 'x' in texts %}x{% endif %}", {"texts": []}),
        ("{{ 'a' | replace('a', t) }}", {"t": "other"}),
    ],
)
def test_what_decides_between_words_is_read(text: str, changes: dict[str, Any], engine: Engine) -> None:
    checked = check_template(parse_template(text, "t", "t"), SCOPE, lambda name: None)
    row = values_of(random.Random(3)) | {"n": 5, "b": True, "u": "u", "t": "t", "texts": ["x"]}
    row |= {"rows": [{**row["row"], "b": True}], "maybe": row["row"]}
    (read, told), (other_read, other_told) = read_and_text(checked, [row, row | changes], engine)
    assert told != other_told
    assert read != other_read
