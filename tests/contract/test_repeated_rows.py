"""Rows that share what has to be unique are found as a comparison of each row with all others finds them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.contract import repeated_rows
from storymesh.contract.audited_files import AuditedFile
from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.contract.repeated_rows import find_repeated_rows
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: d.t
version: 1.0.0
status: active
schema:
  - name: t
    customProperties: [{property: timeless, value: true}]
    properties:
      - {name: text, logicalType: string}
      - {name: whole, logicalType: integer}
      - {name: part, logicalType: number}
      - {name: day, logicalType: date}
      - {name: list, logicalType: array, items: {logicalType: integer}}
      - {name: parts, logicalType: array, items: {logicalType: number}}
"""
VALUES = {
    "text": st.sampled_from([None, "", "a", "A", "é"]),
    "whole": st.sampled_from([None, 0, 1, 2**53, 2**53 + 1]),
    "part": st.sampled_from([None, 0.0, -0.0, 0.1]),
    "day": st.sampled_from([None, date(1970, 1, 1), date(1971, 1, 1)]),
    "list": st.sampled_from([None, [], [None], [1], [1, 2]]),
    "parts": st.sampled_from([None, [], [None], [0.0], [-0.0], [1.0]]),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), max_size=8)


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    root = tmp_path_factory.mktemp("contract")
    path = root / "contracts/d/t.odcs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(CONTRACT)
    return read_contract(path, root)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine() as engine:
        yield engine


def key_of(row: dict[str, Any], names: Sequence[str]) -> str | None:
    """Return the values of a row as a text, None where one is null; the two zeros are one."""
    values = [row[name] for name in names]
    return None if None in values else repr(values).replace("-0.0", "0.0")


numbers = count()


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(ROWS, min_size=1, max_size=3),
    kept=ROWS,
    names=st.sets(st.sampled_from(list(VALUES)), min_size=1),
    at_once=st.sampled_from([2, 5, 100]),
)
def test_rows_are_repeated_as_a_comparison_with_all_others_says(
    parts: list[list[dict[str, Any]]],
    kept: list[dict[str, Any]],
    names: set[str],
    at_once: int,
    contract: Contract,
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    chosen = sorted(names)
    folder, schema = tmp_path_factory.getbasetemp(), arrow_schema(contract)
    # What is beside is unlike each other.
    unlike = list({key: row for row in kept if (key := key_of(row, chosen)) is not None}.values())
    files = [str(folder / f"rows-{next(numbers)}.parquet") for _ in (*parts, unlike)]
    for path, rows in zip(files, (*parts, unlike), strict=True):
        pq.write_table(pa.Table.from_pylist(rows, schema), path)
    keys = [key_of(row, chosen) for part in parts for row in part]
    beside = {key_of(row, chosen) for row in unlike}
    counts = Counter(keys)
    wanted = [place for place, key in enumerate(keys) if key is not None and (counts[key] > 1 or key in beside)]
    with mock.patch.object(repeated_rows, "ROWS_AT_ONCE", at_once):
        audited = [AuditedFile(path, len(part), 1) for path, part in zip(files, parts, strict=False)]
        found, reaches = find_repeated_rows(engine, contract, chosen, audited, files[-1:])
    assert found.tolist() == wanted
    assert reaches == bool(beside & set(keys))
    for path in map(Path, files):
        path.unlink()
