"""Recorded calls beside the figures of finance: what was offered, with its seconds, or why nothing could be heard."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.command import CommandResult
from tests.support.paths import TESTS
from tests.support.recognisers import recognisers
from tests.support.whole_mesh import copied, quarantined, rows_of

CORPUS = TESTS / "files/corpus"
RECORDINGS = ("audio/sales_call.mp3", "audio/silence.wav", "bad/header_only.mp3")


def test_a_story_quotes_what_was_offered_in_a_call_with_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storymesh: Callable[..., CommandResult]
) -> None:
    with recognisers() as model:
        monkeypatch.setenv("SPEECH_MODEL", str(model))
        mesh = copied("tests/meshes/sales_insights", tmp_path / "mesh")
        (mesh / "domains/sales/sources/calls").mkdir()
        for name in RECORDINGS:
            shutil.copy(CORPUS / name, mesh / "domains/sales/sources/calls")
        ran = storymesh(mesh, "run")
        assert ran.code == 0, ran
        listed = storymesh(mesh, "files", "sales.transcripts")
    assert "3 files: refused 1, row 2" in listed.out

    assert [row["reasons"] for row in quarantined(mesh, "sales.transcripts")] == [["file: damaged"]]
    heard = {Path(row["recording"]).name: row["segments"] for row in rows_of(mesh, "sales.transcripts")}
    assert heard["silence.wav"] == []
    files = (mesh / "releases/sales-insights/1.0.0-r1/data/report").glob("*.parquet")
    stories = {row["case_id"]: row["text"] for path in files for row in pq.read_table(path).to_pylist()}
    offered = re.findall(r'^- from second (\d+) to (\d+): "(.*)"$', stories["C-1"], re.MULTILINE)
    [discount] = [(int(begin), int(end)) for begin, end, said in offered if "12%" in said]
    assert 11 <= discount[0] < discount[1] <= 20
    assert any("$40" in said for _, _, said in offered)
    assert len(offered) < len(heard["sales_call.mp3"])
    assert stories["C-1"].endswith("Revenue of EMEA in 2024Q2: 208,669 US dollars.\n")
    for case, words, revenue in (
        ("C-2", "No price was talked about.", "APAC in 2024Q2: 620,479"),
        ("C-3", "The recording could not be read.", "EMEA in 2024Q2: 208,669"),
    ):
        assert f"\n{words}\n" in stories[case]
        assert revenue in stories[case]
