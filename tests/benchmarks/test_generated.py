"""Drawn narratives are valid, and bare SQL prints what storymesh prints: an oracle that nobody wrote by hand."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.paths import ROOT


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_drawn_narratives_are_valid_and_differ(tmp_path: Path) -> None:
    from benchmarks.generated.narrative import draw_narrative

    from storymesh.contract.read import read_contract
    from storymesh.narrative.definition import read_narrative
    from storymesh.narrative.typed import type_narrative

    shapes = set()
    for seed in range(101, 107):
        root = tmp_path / str(seed)
        drawn = draw_narrative(seed)
        assert drawn.files == draw_narrative(seed).files
        narrative = read_narrative(drawn.write(root), root)
        paths = {role: root / "contracts" / "world" / f"{role}.odcs.yaml" for role in narrative.cast}
        typed = type_narrative(narrative, {role: read_contract(path, root) for role, path in paths.items()})
        shapes.add((*typed.records, *narrative.cast))
    assert len(shapes) > 3


def test_bare_sql_prints_what_storymesh_prints(tmp_path: Path) -> None:
    from benchmarks.generated import ours, twin
    from benchmarks.generated.__main__ import find_differences
    from benchmarks.generated.narrative import draw_narrative
    from benchmarks.generated.world import write_products
    from benchmarks.stories.inputs import Stages

    seed, folder = 3, tmp_path / "products"
    drawn = draw_narrative(seed)
    assert list(drawn.texts) == ["report", "advice", "choice", "verdict"]
    write_products(drawn.world, 600, folder)
    given = {"seed": seed, "folder": str(folder), "threads": 1, "memory": "1GB", "beside": True}
    (tmp_path / "inputs.json").write_text(json.dumps(given), encoding="utf-8")
    twin.main(tmp_path / "inputs.json", tmp_path / "twin")
    (tmp_path / "ours").mkdir()
    ours.render(ours.build_of(seed, folder, tmp_path / "ours"), Stages(tmp_path / "ours"), tmp_path / "ours")
    assert [words for config in drawn.texts for words in find_differences(tmp_path, config)] == []
    assert [_keys(tmp_path / "ours", config) for config in drawn.texts] == [
        _keys(tmp_path / "twin", config) for config in drawn.texts
    ]


def _keys(folder: Path, config: str) -> int:
    records = pq.read_table(folder / f"{config}.parquet", columns=["sources"])
    return len(records["sources"].combine_chunks().flatten())
