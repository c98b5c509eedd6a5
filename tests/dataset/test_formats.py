"""Every format as its readers take it: `datasets` streams each config, and TRL's own trainers prepare and learn it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from readers import reader
from release_builds import DROPS, Told, make, write

from storymesh.narrative.definition import read_narrative
from storymesh.release.cut import cut
from storymesh.release.release import Release

FORMATS = {
    "report": "text",
    "advice": "messages",
    "verdict": "unpaired_preference",
    "answer": "prompt_completion",
    "choice": "preference",
}
MORE = """
  answer: {format: prompt_completion, prompt: a.jinja, completion: a.jinja}
  choice: {format: preference, prompt: a.jinja, option: a.jinja}
dataset:
"""
# What a trainer makes of a format: the columns that it learns from.
LEARNT = {
    "text": {"input_ids"},
    "messages": {"input_ids"},
    "prompt_completion": {"input_ids", "labels"},
    "preference": {"prompt_ids", "chosen_ids", "rejected_ids"},
    "unpaired_preference": {"prompt_ids", "completion_ids", "label"},
}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release with a config of each format that is trained on, nine records in each."""
    root = tmp_path_factory.mktemp("formats")
    first = datetime(2023, 5, 1)
    told = [
        Told(f"d{n}", first + timedelta(days=n), answer=f"wait {n} days", label=n % 2 == 0, hours=str(n))
        for n in range(8)
    ]
    build = make(root, [*told, Told("d9", datetime(2024, 8, 1), "test")])
    path = root / "narratives" / "canal_exceptions" / "narrative.yaml"
    path.write_text(path.read_text().replace("\ndataset:\n", MORE))
    rows = pq.read_table(build.records_path("verdict")).drop_columns("label").to_pylist()
    for config in ("answer", "choice"):
        made = []
        for row in rows:
            one = {**row, "id": f"{config}/{row['case_id']}"}
            if config == "choice":
                one |= {"chosen": one.pop("completion"), "rejected": "reroute around the cape"}
            made.append(one)
        old = pq.read_schema(build.records_path("verdict"))
        texts = ("prompt", "completion") if config == "answer" else ("prompt", "chosen", "rejected")
        fields = [*(old.field(name) for name in ("id", "case_id", "split")), *((name, pa.string()) for name in texts)]
        write(
            build.records_path(config), pa.schema([*fields, *(old.field(n) for n in ("at", "facts", "sources"))]), made
        )
        write(build.record_drops_path(config), DROPS, [])
    return cut(replace(build, narrative=read_narrative(path, root)))


STREAMING = """
import json, sys
from datasets import load_dataset
found = {}
for config in sys.argv[2:]:
    parts = load_dataset(sys.argv[1], config, streaming=True)
    found[config] = {split: [row["id"] for row in rows] for split, rows in parts.items()}
print(json.dumps(found))
"""


def test_datasets_streams_every_record_of_every_config(release: Release, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    told = subprocess.run(
        [sys.executable, "-c", STREAMING, str(release.path), *FORMATS],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    for config in FORMATS:
        assert {split: len(ids) for split, ids in found[config].items()} == {"train": 8, "test": 1}
        assert found[config]["train"] == [f"{config}/d{n}" for n in range(8)]


@pytest.mark.parametrize(("config", "format_"), FORMATS.items())
def test_the_trainer_of_a_format_prepares_its_records_and_learns_a_step(
    release: Release, config: str, format_: str
) -> None:
    program = str(Path(__file__).with_name("trl_reader.py"))
    done = subprocess.run(
        [reader("python"), program, str(release.path), config, format_],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["rows"] == 8
    assert set(said["columns"]) >= LEARNT[format_]
    assert (said["steps"], said["loss"] > 0) == (1, True)
