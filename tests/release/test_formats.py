"""Every format as its readers take it: `datasets` streams each config, and TRL's own trainers prepare and learn it."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from storymesh.narrative.definition import read_narrative
from storymesh.narrative.formats.tool_calls import TOOL_CALLS, CalledTool
from storymesh.release.catalog import Release
from storymesh.release.write import write_release
from tests.support.paths import TESTS
from tests.support.readers import llama_factory, reader
from tests.support.release_builds import DROPS, Told, make, with_narrative, write

FORMATS = {
    "report": "text",
    "advice": "messages",
    "verdict": "unpaired_preference",
    "answer": "prompt_completion",
    "choice": "preference",
    "lookup": "tool_calls",
}
CHATS = {"reply": "answer", "mark": "verdict", "duel": "choice"}  # the same as messages: config -> the plain one
PASSAGE = "passage"  # a config that nobody trains on
METADATA = pa.struct([("case_at", pa.string()), ("delay_hours", pa.float64()), ("worked", pa.bool_())])
MORE = """
  answer: {format: prompt_completion, prompt: a.jinja, completion: a.jinja}
  choice: {format: preference, prompt: a.jinja, option: a.jinja}
  reply: {format: prompt_completion, system: a.jinja, prompt: a.jinja, completion: a.jinja}
  mark: {format: unpaired_preference, system: a.jinja, prompt: a.jinja, option: a.jinja}
  duel: {format: preference, system: a.jinja, prompt: a.jinja, option: a.jinja}
  passage: {format: retrieval, text: a.jinja}
  lookup:
    format: tool_calls
    system: a.jinja
    user: a.jinja
    tool: {name: find, description: Find., arguments: {sea: delay.waterway}}
    result: a.jinja
    assistant: a.jinja
dataset:
"""
# What a trainer makes of a format: the columns that it learns from.
LEARNT = {
    "text": {"input_ids"},
    "messages": {"input_ids"},
    "tool_calls": {"input_ids"},
    "prompt_completion": {"input_ids", "labels"},
    "preference": {"prompt_ids", "chosen_ids", "rejected_ids"},
    "unpaired_preference": {"prompt_ids", "completion_ids", "label"},
}


MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def as_messages(row: dict[str, Any], config: str) -> dict[str, Any]:
    """The same record with messages in place of texts."""
    turns = {
        name: [{"role": "assistant", "content": row[name]}]
        for name in ("completion", "chosen", "rejected")
        if name in row
    }
    asked = [{"role": "system", "content": "You advise."}, {"role": "user", "content": row["prompt"]}]
    return {**row, "id": f"{config}/{row['case_id']}", "prompt": asked, **turns}


PARAMETERS = {"type": "object", "properties": {"sea": {"type": "string"}}, "required": ["sea"]}
DECLARED = [{"type": "function", "function": {"name": "find", "description": "Find.", "parameters": PARAMETERS}}]
TOOL = TOOL_CALLS.with_tool(CalledTool("find", json.dumps(DECLARED), {"sea": "string"}))
ARGUMENTS = pa.struct([("name", pa.string()), ("arguments", pa.struct([("sea", pa.string())]))])
CALLS = pa.list_(pa.struct([("type", pa.string()), ("function", ARGUMENTS)]))
CALLING = [("role", pa.string()), ("content", pa.string()), ("tool_calls", CALLS), ("name", pa.string())]


def as_lookup(row: dict[str, Any]) -> dict[str, Any]:
    """The same record as a question, a call, what came of it, and an answer."""
    question, answer = (turn["content"] for turn in row.pop("messages")[-2:])
    found = f"Found {row['case_id']}."
    texts = {"system": "You advise.", "user": question, "arguments.sea": "suez", "result": found, "assistant": answer}
    return {**row, "id": f"lookup/{row['case_id']}", **TOOL.assemble_row(texts)}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release with a config of each format, nine records in each."""
    root = tmp_path_factory.mktemp("formats")
    first = datetime(2023, 5, 1)
    told = [
        Told(f"d{n}", first + timedelta(days=n), answer=f"wait {n} days", label=n % 2 == 0, hours=str(n))
        for n in range(8)
    ]
    build = make(root, [*told, Told("d9", datetime(2024, 8, 1), "test")])
    path = root / "narratives" / "canal_exceptions" / "narrative.yaml"
    path.write_text(path.read_text().replace("\ndataset:\n", MORE))
    rows = pq.read_table(build.files.records("verdict")).drop_columns("label").to_pylist()
    for config in ("answer", "choice"):
        made = []
        for row in rows:
            item = {**row, "id": f"{config}/{row['case_id']}"}
            if config == "choice":
                item |= {"chosen": item.pop("completion"), "rejected": "reroute around the cape"}
            made.append(item)
        old = pq.read_schema(build.files.records("verdict"))
        texts = ("prompt", "completion") if config == "answer" else ("prompt", "chosen", "rejected")
        fields = [*(old.field(name) for name in ("id", "case_id", "split")), *((name, pa.string()) for name in texts)]
        write(
            build.files.records(config), pa.schema([*fields, *(old.field(n) for n in ("at", "facts", "sources"))]), made
        )
        write(build.files.record_drops(config), DROPS, [])
    for config, plain in CHATS.items():
        table = pq.read_table(build.files.records(plain))
        made = [as_messages(row, config) for row in table.to_pylist()]
        turns = ("prompt", "completion", "chosen", "rejected")
        schema = pa.schema(
            [pa.field(field.name, MESSAGES if field.name in turns else field.type) for field in table.schema]
        )
        write(build.files.records(config), schema, made)
        write(build.files.record_drops(config), DROPS, [])
    advice = pq.read_table(build.files.records("advice"))
    fields = [*list(advice.schema)[:3], ("messages", pa.list_(pa.struct(CALLING))), ("tools", pa.string())]
    fields += list(advice.schema)[4:]
    write(build.files.records("lookup"), pa.schema(fields), [as_lookup(row) for row in advice.to_pylist()])
    write(build.files.record_drops("lookup"), DROPS, [])
    report = pq.read_table(build.files.records("report"))
    fields = [*list(report.schema)[:4], pa.field("metadata", METADATA), *list(report.schema)[4:]]
    flat = {"case_at": "2023-05-01T00:00:00Z", "delay_hours": 4.5, "worked": None}
    passages = [{**row, "id": f"{PASSAGE}/{row['case_id']}", "metadata": flat} for row in report.to_pylist()]
    write(build.files.records(PASSAGE), pa.schema(fields), passages)
    write(build.files.record_drops(PASSAGE), DROPS, [])
    return write_release(with_narrative(build, read_narrative(path, root)))


STREAMING = """
import json, os, sys
from datasets import load_dataset
found = {}
for config in sys.argv[2:]:
    parts = load_dataset(sys.argv[1], config, streaming=True)
    found[config] = {split: [row["id"] for row in rows] for split, rows in parts.items()}
print(json.dumps(found), flush=True)
os._exit(0)  # a stream has threads of Arrow, over which Python's own end may abort
"""


def test_datasets_streams_every_record_of_every_config(release: Release, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    told = subprocess.run(
        [sys.executable, "-c", STREAMING, str(release.path), *FORMATS, PASSAGE],
        capture_output=True, text=True, env=environment, timeout=600, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    for config in (*FORMATS, PASSAGE):
        assert {split: len(ids) for split, ids in found[config].items()} == {"train": 8, "test": 1}
        assert found[config]["train"] == [f"{config}/d{n}" for n in range(8)]


STAGES = {"sft": "lookup", "dpo": "duel", "kto": "mark"}
RECIPES = TESTS.parent / "examples/train"
OFFLINE = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def printed(release: Release, recipes: Path) -> str:
    """What the trainers say of every config, and then the recipe, in whose folder they leave a random `model`: all in
    one process, since importing them takes longer than they do."""
    wanted = [f"{config}={format_}" for config, format_ in FORMATS.items()]
    wanted += [f"{config}={FORMATS[plain]}" for config, plain in CHATS.items()]
    recipe = [str(RECIPES / "train.py"), str(release.path), "--model", "model", "--into", "out", "--steps", "1"]
    recipe += [word for kind, config in STAGES.items() for word in ("--stage", f"{kind}={config}")]
    program = str(TESTS / "support/trl_reader.py")
    return run_reader(recipes, program, str(release.path), *wanted, "--then", *recipe)


@pytest.fixture(scope="module")
def learnt(printed: str) -> dict[str, dict[str, Any]]:
    """Config -> what its trainer said."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith('{"config"')]
    return {item["config"]: item for item in lines}


def run_reader(folder: Path, *command: str, packages: Path | None = None) -> str:
    """Return what a program of the readers' environment prints; `packages` come before those that it has."""
    paths = [TESTS / "support", *([packages] if packages else [])]
    environment = {**os.environ, **OFFLINE, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [reader("python"), *command],
        capture_output=True, text=True, timeout=600, check=False, cwd=folder, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


@pytest.mark.parametrize(("config", "format_"), FORMATS.items())
def test_the_trainer_of_a_format_prepares_its_records_and_learns_a_step(
    learnt: dict[str, dict[str, Any]], config: str, format_: str
) -> None:
    training = learnt[config]
    assert "error" not in training, training["error"]
    assert training["rows"] == 8
    assert set(training["columns"]) >= LEARNT[format_]
    assert (training["steps"], training["loss"] > 0) == (1, True)


@pytest.mark.parametrize("config", ["advice", "lookup"])
def test_of_a_conversation_only_what_the_assistant_says_is_learnt(
    learnt: dict[str, dict[str, Any]], config: str
) -> None:
    taught, shown = learnt[config]["learnt"]
    assert "wait 0 days" in taught
    assert "Found" not in taught
    assert len(taught) < len(shown) / 2
    assert ("Found d0." in shown) == (config == "lookup")


@pytest.mark.parametrize(("config", "plain"), CHATS.items())
def test_messages_are_put_into_the_chat_template_and_only_the_answer_is_learnt(
    learnt: dict[str, dict[str, Any]], config: str, plain: str
) -> None:
    training = learnt[config]
    assert "error" not in training, training["error"]
    assert set(training["columns"]) >= LEARNT[FORMATS[plain]]
    assert (training["rows"], training["steps"], training["loss"] > 0) == (8, 1, True)
    taught, *shown = training["learnt"]
    assert "<user>" not in taught
    assert "<assistant>" in taught or "<assistant>" in shown[-1]
    assert "<system> You advise." in shown[-1]


def test_real_chat_templates_show_the_tool_its_call_and_what_came_of_it(
    learnt: dict[str, dict[str, Any]], release: Release
) -> None:
    """Those of Qwen, Llama and others, as transformers applies them."""
    (path,) = (release.path / "data/lookup").glob("train*")
    messages = pq.read_table(path).to_pylist()[0]["messages"]
    question, result, answer = (messages[place]["content"] for place in (1, 3, 4))
    for name, text in learnt["lookup"]["templates"].items():
        declared = text.index("Find.")
        assert declared < text.rindex("suez") < text.index(result) < text.rindex(answer), name
        assert text.index(question) < text.rindex("suez"), name
        assert text.count("find") >= 2, name


def test_the_recipe_trains_one_stage_on_the_model_of_the_stage_before(printed: str, recipes: Path) -> None:
    lines = [line for line in printed.splitlines() if line.startswith(tuple(STAGES))]
    assert lines == [f"{kind}={config}: out/{n}-{kind}-{config}" for n, (kind, config) in enumerate(STAGES.items(), 1)]
    assert (recipes / "out/3-kto-mark/model.safetensors").is_file()


@pytest.fixture(scope="module")
def lines(release: Release, recipes: Path) -> Path:
    """A folder with the lines of the recipes, under the names that these have for configs like them."""
    folder = recipes / "lines"
    done = subprocess.run(
        [sys.executable, str(RECIPES / "to_chat_lines.py"), str(release.path), str(folder), *CHATS, "advice", "lookup"],
        capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **OFFLINE},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    for config, name in {"reply": "recall", "duel": "choice", "mark": "verdict"}.items():
        (folder / f"{config}.jsonl").rename(folder / f"{name}.jsonl")
    shutil.copy(folder / "advice.jsonl", folder / "follow_up.jsonl")
    return folder


def test_the_lines_of_the_recipes_are_conversations(lines: Path) -> None:
    first = {path.stem: json.loads(path.read_text("utf-8").splitlines()[0]) for path in sorted(lines.glob("*.jsonl"))}
    assert [turn["role"] for turn in first["recall"]["messages"]] == ["system", "user", "assistant"]
    assert [turn["role"] for turn in first["choice"]["messages"]] == ["system", "user"]
    assert first["choice"]["chosen"]["role"] == first["choice"]["rejected"]["role"] == "assistant"
    assert first["verdict"]["label"] in (True, False)
    assert set(first["advice"]) == {"messages"}
    assert [set(turn) for turn in first["lookup"]["messages"]][-1] == {"role", "content"}


def test_the_recipes_name_the_configs_of_the_reference_mesh(lines: Path) -> None:
    narrative = read_narrative(TESTS.parent / "narratives/canal_exceptions/narrative.yaml", TESTS.parent)
    asked = set(FORMATS.values()) - {"text"}
    answered = {name for name, record in narrative.records.items() if record.format in asked}
    info = json.loads((RECIPES / "dataset_info.json").read_text("utf-8"))
    assert info.keys() == answered == {path.stem for path in lines.glob("*.jsonl")}
    assert {name: item["file_name"] for name, item in info.items()} == {name: f"{name}.jsonl" for name in info}
    axolotl = yaml.safe_load((RECIPES / "axolotl.yaml").read_text("utf-8"))
    assert {Path(item["path"]).stem for item in axolotl["datasets"]} <= answered


@pytest.mark.usefixtures("printed")
def test_llama_factory_trains_one_stage_on_the_model_of_the_stage_before(lines: Path, recipes: Path) -> None:
    shutil.copy(RECIPES / "dataset_info.json", lines)
    program = str(TESTS / "support/llama_factory_reader.py")
    shown = run_reader(recipes, program, str(lines), "model", "factory", packages=llama_factory())
    assert (recipes / "factory/kto/model.safetensors").is_file()
    taught = re.findall(r"^((?:chosen_|rejected_)?labels):\n(.*)<\|im_end\|>$", shown, re.MULTILINE)
    answer, other = "wait 0 days", "reroute around the cape"
    assert taught == [
        ("labels", answer),
        ("chosen_labels", answer),
        ("rejected_labels", other),
        ("labels", answer),
    ], "of the first example of each stage the answer, and no more"


def test_the_card_of_every_format_says_the_columns_that_its_files_have(release: Release) -> None:
    """Read by `datasets` itself: the features of the card's header, and those of the files."""
    from datasets import Features
    from huggingface_hub import DatasetCard

    infos = DatasetCard.load(release.path / "README.md").data.to_dict()["dataset_info"]
    assert [item["config_name"] for item in infos] == list(release.configs)
    for item in infos:
        for file in (release.path / "data" / item["config_name"]).glob("*.parquet"):
            assert Features._from_yaml_list(item["features"]) == Features.from_arrow_schema(pq.read_schema(file))


def test_mlcroissant_reads_every_format(release: Release) -> None:
    program = (
        "import json, sys, mlcroissant\n"
        "found = mlcroissant.Dataset(jsonld=sys.argv[1])\n"
        "print(json.dumps({name: [sorted(row) for row in found.records(name)][0] for name in sys.argv[2:]}))"
    )
    path = str(release.path / "croissant.json")
    done = subprocess.run(
        [reader("python"), "-c", program, path, *release.configs],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    assert set(read) == {*FORMATS, *CHATS, PASSAGE}
    assert "passage/metadata" in read[PASSAGE] or "passage/metadata/worked" in read[PASSAGE]
