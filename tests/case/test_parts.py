"""Cases that are made in parts, because the memory asks for it, are the cases that are made at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.dataset import stages
from storymesh.dataset.build import Build
from storymesh.dataset.stages import write_cases
from storymesh.engine.duckdb.engine import DuckDBEngine
from storymesh.errors import OutOfMemory
from tests.case.test_snapshots import NARRATIVE, PRODUCTS, REPORT, rows
from tests.support.small_build import build_of


def made(root: Path) -> Build:
    return build_of(root, NARRATIVE, REPORT, PRODUCTS, rows())


def cases(build: Build) -> list[dict[str, Any]]:
    write_cases(build)
    found: list[dict[str, Any]] = pq.read_table(build.files.cases).sort_by("case_id").to_pylist()
    return found


def test_parts_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cases(made(tmp_path / "whole"))
    assert len(whole) == 8
    monkeypatch.setattr(stages, "CASE_BYTES", 10**9)
    assert cases(made(tmp_path / "parts")) == whole


def test_what_does_not_fit_is_parted_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cases(made(tmp_path / "whole"))
    tried: list[int] = []
    write = DuckDBEngine.write_parquet_parts

    def small(engine: DuckDBEngine, parts: Sequence[Any], path: Path) -> int:
        tried.append(len(parts))
        if len(parts) < 4:
            raise OutOfMemory("the engine ran out of memory")
        return write(engine, parts, path)

    monkeypatch.setattr(DuckDBEngine, "write_parquet_parts", small)
    with pytest.raises(OutOfMemory):  # so few cases are not the matter
        cases(made(tmp_path / "few"))
    tried.clear()
    monkeypatch.setattr(stages, "MIN_PART_CASES", 1)
    assert cases(made(tmp_path / "parts")) == whole
    assert tried == [1, 2, 4]
