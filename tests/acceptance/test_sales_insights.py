"""Recorded calls beside the figures of finance: what was promised, with its seconds, or why nothing could be heard."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.command import CommandResult
from tests.support.model_server import Call, Raw, Server
from tests.support.public_data import public_files
from tests.support.recognisers import recognisers
from tests.support.whole_mesh import copied, quarantined, rows_of

CORPUS = public_files()
ADDRESS = "http://127.0.0.1:8766"
RECORDINGS = ("audio/sales_call.mp3", "audio/silence.wav", "bad/header_only.mp3")


def invents(call: Call) -> Raw:
    """A model that heard the discount, and quotes words that nobody said."""
    discount = {"value": 12, "quote": "we give you 12 percent off, promised"}
    return Raw(json.dumps({"rows": [{"discount_percent": discount}]}))


def test_a_story_quotes_what_was_offered_in_a_call_with_its_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storymesh: Callable[..., CommandResult]
) -> None:
    with recognisers() as model, Server(invents) as server:
        monkeypatch.setenv("SPEECH_MODEL", str(model))
        monkeypatch.setenv("STORYMESH_NARRATOR_KEY", "none-needed")
        mesh = copied("tests/meshes/sales_insights", tmp_path / "mesh")
        definition = mesh / "domains/sales/sources/promises.files.yaml"
        definition.write_text(definition.read_text(encoding="utf-8").replace(ADDRESS, server.url), encoding="utf-8")
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
    [promise] = rows_of(mesh, "sales.promises")
    [proof] = [item for item in promise["evidence"] if item["property"] == "discount_percent"]
    assert (promise["discount_percent"], proof["how"], proof["quote"]) == (12, "found", "12%")
    assert 11 <= proof["seconds"][0] < proof["seconds"][1] <= 20

    files = (mesh / "releases/sales-insights/1.0.0-r1/data/report").glob("*.parquet")
    stories = {row["case_id"]: row["text"] for path in files for row in pq.read_table(path).to_pylist()}
    offered = re.findall(r'^- from second (\d+) to (\d+): "(.*)"$', stories["C-1"], re.MULTILINE)
    [discount] = [(int(begin), int(end)) for begin, end, said in offered if "12%" in said]
    assert 11 <= discount[0] < discount[1] <= 20
    assert any("$40" in said for _, _, said in offered)
    assert len(offered) < len(heard["sales_call.mp3"])
    assert 'Promised: a discount of 12 percent ("12%", within seconds 1' in stories["C-1"]
    assert stories["C-1"].endswith("Revenue of EMEA in 2024Q2: 208,669 US dollars.\n")
    for case, words, revenue in (
        ("C-2", "No price was talked about.", "APAC in 2024Q2: 620,479"),
        ("C-3", "The recording could not be read.", "EMEA in 2024Q2: 208,669"),
    ):
        assert f"\n{words}\n" in stories[case]
        assert revenue in stories[case]
