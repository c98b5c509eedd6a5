"""Records that repeat an evaluation set drop, with the item that they repeat; the release is made again without it."""

import json
import os
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError
from storymesh.lifecycle.diff import compare_releases
from storymesh.lifecycle.rebuild import rebuild_release
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.check import check_files
from storymesh.mesh.mesh import load_mesh
from storymesh.release.curation.curate import CurationRules, apply_curation_rules
from storymesh.release.curation.decontaminate import read_evaluation_set
from tests.support.release_meshes import release_all
from tests.support.roadside import keep_two_configs
from tests.support.small_release import drops_of, rows_of

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@pytest.fixture(scope="module")
def engine() -> Any:
    with open_engine(memory="1GB", threads=1) as item:
        yield item


def table(engine: Engine, rows: list[dict[str, Any]], columns: dict[str, pa.DataType]) -> Any:
    names = [("id", pa.string()), ("split", pa.string()), ("at", pa.timestamp("us"))]
    told = [{"split": "train", "at": datetime(2024, 1, 1), **row} for row in rows]
    engine.connection.con.register("records", pa.Table.from_pylist(told, pa.schema([*names, *columns.items()])))
    return engine.connection.table("records")


def held(
    engine: Engine, files: dict[str, Path], rows: list[dict[str, Any]], columns: Any, length: int
) -> dict[str, Any]:
    evaluation = read_evaluation_set(engine, files, length)
    found = (
        apply_curation_rules(engine, table(engine, rows, columns), CurationRules(), evaluation).to_pyarrow().to_pylist()
    )
    assert len(found) == len(rows)
    assert {row["dropped"] for row in found} <= {None, "in evaluation set"}
    return {row["id"]: row["same_as"] for row in found}


words = st.lists(st.sampled_from(["ab", "Cd", "EF", "gh"]), max_size=9)
spoken = words.flatmap(lambda many: st.sampled_from([" ", ", ", "\n", " - "]).map(lambda gap: gap.join(many)))


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower())
    return {tuple(found[place : place + length]) for place in range(len(found) - length + 1)}


@settings(max_examples=1_000 if DEEP else 12, deadline=None)
@given(st.lists(spoken, max_size=6), st.lists(spoken, min_size=1, max_size=5), st.integers(3, 5))
def test_a_record_with_a_common_run_drops_naming_the_first_item_that_has_it(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, told: list[str], items: list[str], length: int
) -> None:
    path = tmp_path_factory.mktemp("evaluation") / "set.jsonl"
    path.write_text("".join(json.dumps({"question": item}) + "\n" for item in items))
    rows = [{"id": str(place), "text": text} for place, text in enumerate(told)]
    found = held(engine, {"set.jsonl": path}, rows, {"text": pa.string()}, length)
    for row in rows:
        # A run that several items have is known by the first of them.
        hits = [place for place, item in enumerate(items, 1) if runs(item, length) & runs(row["text"], length)]
        assert found[row["id"]] == (f"set.jsonl:{hits[0]}" if hits else None)


SAID = "the quick brown fox jumps over the lazy dog by the river bank today"


def test_every_text_of_every_format_is_read_and_its_item_named(engine: Engine, tmp_path: Path) -> None:
    text, lines, rows = tmp_path / "a.txt", tmp_path / "b.jsonl", tmp_path / "c.parquet"
    text.write_text("\n\nfirst paragraph\n\nThe quick BROWN fox,\njumps over the lazy dog\n\n\nlast one two three\n")
    talk = [{"role": "user", "content": "who says seven words in a row here"}, {"role": "assistant", "content": 5}]
    lines.write_text("\n" + json.dumps({"id": 1, "chat": talk}) + "\n" + json.dumps(["short", None]) + "\n")
    pq.write_table(
        pa.table({"n": [1, 2], "deep": [[{"t": "nothing"}], [{"t": "a row of a table that says something"}]]}), rows
    )
    files = {path.name: path for path in (text, lines, rows)}
    told = [
        {"id": "paragraph", "prompt": "quick brown fox jumps over", "completion": ""},
        {"id": "conversation", "prompt": "", "completion": "He asked: Who says SEVEN words in a row?"},
        {"id": "row", "prompt": "x", "completion": "A-row-of-a-table!"},
        {"id": "torn", "prompt": "the quick brown", "completion": "fox jumps over"},
        {"id": "keys", "prompt": "id 1 chat role user content", "completion": ""},
    ]
    found = held(engine, files, told, {"prompt": pa.string(), "completion": pa.string()}, 5)
    expected = {"paragraph": "a.txt:5", "conversation": "b.jsonl:2", "row": "c.parquet:2", "torn": None, "keys": None}
    assert found == expected
    summary = read_evaluation_set(engine, files, 5).summary
    assert (summary.items, summary.too_short) == (7, 4)
    assert set(summary.files) == set(files)


def test_the_first_of_several_items_is_named_and_every_message_is_searched(engine: Engine, tmp_path: Path) -> None:
    first, second = tmp_path / "b.txt", tmp_path / "a.txt"
    first.write_text(SAID)
    second.write_text(f"unlike all others it is\n\n{SAID}")
    rows = [
        {"id": "r", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": SAID.title()}]}
    ]
    assert held(engine, {"b.txt": first, "a.txt": second}, rows, {"messages": MESSAGES}, 13) == {"r": "a.txt:3"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"a": "b"}\n{"a": \n', "a.jsonl:2 of the evaluation set is no JSON"),
        ("a.txt", b"\xff\xfe", "a.txt of the evaluation set is no UTF-8 text"),
        ("a.parquet", b"PAR1", "a.parquet of the evaluation set is no Parquet"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_named(
    engine: Engine, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StorymeshError, match=re.escape(words)):
        read_evaluation_set(engine, {name: tmp_path / name}, 5)


# --- a mesh ---


def test_a_release_is_made_again_without_its_evaluation_set(
    published_mesh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")
    root = Path(shutil.copytree(published_mesh, tmp_path / "mesh"))
    narrative, evals = keep_two_configs(root), root / "narratives/roadside/evals"
    plain = narrative.read_text()
    asked = "\n  decontaminate: {against: [evals/*.jsonl, shared.txt], ngram: 8}\n"

    narrative.write_text(plain.rstrip() + asked)
    finding = next(finding for finding in check_files(root) if finding.rule == "no-file")
    assert "'evals/*.jsonl' meets no file in narratives/roadside, and none in the mesh" in finding.message
    assert finding.location.line == len(plain.rstrip().splitlines()) + 1

    evals.mkdir()
    (root / "shared.txt").write_text("words that no record has, and that are more than eight of them")
    mesh = load_mesh(root)
    (evals / "held_out.jsonl").write_text('{"question": "nothing of it"}\n')
    first = release_all(mesh)
    assert all("in evaluation set" not in reasons for reasons in first.drops.values())
    some = sorted(rows_of(first, "advice").items())[3]
    question = some[1]["messages"][1]["content"]
    (evals / "held_out.jsonl").write_text(
        json.dumps({"q": "nothing"}) + "\n" + json.dumps({"q": question.upper()}) + "\n"
    )
    release = release_all(load_mesh(root))
    assert drops_of(release, "advice")[some[0]]["reason"] == "in evaluation set"
    assert drops_of(release, "advice")[some[0]]["same_as"] == "narratives/roadside/evals/held_out.jsonl:2"
    assert some[0] not in rows_of(release, "advice")
    lock = json.loads((release.path / "release.json").read_text())
    assert lock["evaluation"]["items"] == 3
    assert set(lock["evaluation"]["files"]) == {"narratives/roadside/evals/held_out.jsonl", "shared.txt"}
    page = (release.path / "README.md").read_text()
    assert "A record with 8 words in a row that stand in evals/\\*.jsonl or shared.txt too is left out." in page
    assert pq.read_schema(release.path / "definition/evaluation.parquet").names == ["file", "item", "run"]
    assert not verify_release(release.path, open_engine).differences

    assert ("evaluation set", "narratives/roadside/evals/held_out.jsonl") in [
        (cause.what, cause.name) for cause in compare_releases(first, release, open_engine).causes
    ]

    shutil.rmtree(evals)
    again = rebuild_release(release, mesh.warehouse, open_engine, tmp_path / "again")
    assert again.same
    remade = json.loads((tmp_path / "again/release.json").read_text())
    assert remade["evaluation"] == lock["evaluation"]
