"""Answers that are wrong in many ways, about files of many shapes: no wrong value is evident, and no right one lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storymesh.files.extraction.answer_schema import Unreadable, rows_in_answer
from storymesh.files.extraction.verified_rows import EvidenceReader, ReadContent
from storymesh.mesh.file_collections import file_collection
from storymesh.mesh.mesh import load_mesh
from tests.support.paths import ROOT


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_of_seeded_faults_no_wrong_value_is_published_and_no_right_one_is_lost(tmp_path: Path) -> None:
    from benchmarks.extracted.faults import FAULTS
    from benchmarks.extracted.mesh import PRODUCTS, write_mesh
    from benchmarks.extraction import draw_answers, judge_rows

    answers = draw_answers(700, 0.6, seed=35)
    mesh = load_mesh(write_mesh(tmp_path, []))
    extractions = {name: file_collection(mesh, mesh.product(f"desk.{name}")).typed.extraction for name in PRODUCTS}

    def proven() -> Iterator[dict[str, Any]]:
        for item in answers:
            extraction = extractions[item.document.domain]
            assert extraction is not None
            try:
                rows = rows_in_answer(item.text, "stop", many=extraction.definition.rows == "many")
            except Unreadable:
                continue
            content = ReadContent("sha", item.document.text, (), "text 1", None)
            yield from (values for values, _ in EvidenceReader(extraction, content).verify(rows, "key").rows)

    found = judge_rows(answers, proven())
    assert found.wrong == {}
    assert found.kept >= 0.99, found.lost
    assert found.right > 300
    assert found.faulty.keys() == FAULTS.keys()
