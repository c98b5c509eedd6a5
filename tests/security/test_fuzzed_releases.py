"""Locks, cards, definitions and Parquet files that hypothesis makes up: read, or refused in words; never anything else.

Each test says how many it made up and what became of them (`record_property`, printed with `-s`); more of them:

    FUZZ_EXAMPLES=5000 python -m pytest -s tests/security/test_fuzzed_releases.py
"""

import copy
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storymesh.engine.open import open_engine
from storymesh.errors import EngineFailed, StorymeshError
from storymesh.lifecycle.pull import load_config
from storymesh.release.catalog import Release, find_release, read_release
from storymesh.release.definition_snapshot import read_definition_snapshot
from storymesh.release.layout import MANIFEST
from storymesh.release.manifest import parse_manifest
from storymesh.release.parquet_file import parquet_faults
from tests.support.built_once import built_once
from tests.support.edited_release import SMALL_LOCK, relist

DATA = "data/report/train-00000-of-00001.parquet"
Record = Callable[[str, Any], None]

nasty = st.sampled_from(
    [
        "a' AS config, 1; COPY (SELECT 1) TO '/tmp/fuzzed'; --",
        "x\" FROM (SELECT 1); COPY (SELECT 1) TO '/tmp/fuzzed'; --",
        "../../out",
        "/etc/passwd",
        "1.0.0-r1/../x",
        "\x1b]0;x\x07",
        "\u202e",
        "a\0b",
        "9" * 5_000,
        "*",
        "$(id)",
        "{{ 7 * 7 }}",
        "%n",
    ]
)
texts = st.one_of(nasty, st.text(max_size=40), st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True))
numbers = st.one_of(st.integers(), st.floats(), st.just(10**400), st.just(-1), st.booleans(), st.none())
values = st.recursive(
    st.one_of(texts, numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


def fuzz(
    name: str, record: Record, examples: int, strategy: st.SearchStrategy[Any], outcome: Callable[[Any], str]
) -> None:
    """Run `outcome` on made-up values, count what it returns, and report the counts. FUZZ_EXAMPLES says how many."""
    examples = int(os.environ.get("FUZZ_EXAMPLES", examples))
    counts: Counter[str] = Counter()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(strategy)
    def run(value: Any) -> None:
        counts[outcome(value)] += 1

    run()
    record(name, dict(counts))
    print(f"{name}: {sum(counts.values())} made up, {dict(counts)}")
    assert sum(counts.values()) >= examples // 2


def refusal(error: StorymeshError) -> str:
    assert error.message.isprintable(), repr(error.message)
    assert len(error.message) < 5_000
    return "refused in words"


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [path, *(inner for name in value for inner in paths_of(value[name], (*path, name)))]
    return [path]


@st.composite
def locks(draw: st.DrawFn) -> bytes:
    """A lock of which one to three members have other names or values."""
    lock = copy.deepcopy(SMALL_LOCK)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths_of(lock)[1:]))
        inner: Any = lock
        for name in path[:-1]:
            inner = inner[name]
        if draw(st.booleans()):
            inner[path[-1]] = draw(values)
        else:
            inner[draw(texts)] = inner.pop(path[-1])
        if not isinstance(lock, dict) or len(lock) == 0:
            break
    return json.dumps(lock).encode("utf-8", "surrogatepass")


def read_lock(content: bytes) -> str:
    try:
        manifest = parse_manifest(content, Path("sent") / MANIFEST)
    except StorymeshError as error:
        return refusal(error)
    # What was read obeys the grammar: nothing of it leads anywhere.
    for text in (manifest.narrative, manifest.version, *manifest.configs, *manifest.cast, *(manifest.files or ())):
        assert not text.startswith(("/", ".")), text
        assert ".." not in text.split("/"), text
        assert not set(text) & set("\"'`;\\*$\0\n\x1b"), text
    return "read"


def test_made_up_locks(record_property: Record) -> None:
    fuzz("locks", record_property, 400, locks(), read_lock)


def test_locks_with_other_bytes(record_property: Record) -> None:
    whole = json.dumps(SMALL_LOCK).encode()
    edits = st.lists(st.tuples(st.integers(0, len(whole) - 1), st.binary(max_size=4)), min_size=1, max_size=4)

    def edited(changes: list[tuple[int, bytes]]) -> str:
        content = bytearray(whole)
        for place, new in changes:
            content[place : place + len(new) // 2 + 1] = new
        return read_lock(bytes(content))

    fuzz("bytes of locks", record_property, 1_500, edits, edited)


kinds = st.recursive(
    st.sampled_from([pa.string(), pa.int64(), pa.timestamp("us"), pa.float64(), pa.decimal128(20, 3), pa.date32()]),
    lambda inner: st.one_of(
        inner.map(pa.list_),
        st.dictionaries(texts, inner, min_size=1, max_size=3).map(lambda parts: pa.struct(list(parts.items()))),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
    ),
    max_leaves=5,
)


def test_made_up_columns_of_parquet(record_property: Record, tmp_path: Path) -> None:
    def outcome(columns: dict[str, pa.DataType]) -> str:
        path = tmp_path / "sent.parquet"
        try:
            pq.write_table(pa.table({name: pa.nulls(2, kind) for name, kind in columns.items()}), path)
        except (pa.ArrowException, UnicodeError):
            return "not written"
        with path.open("rb") as file:
            faults = list(parquet_faults(file))
        assert all(fault.isprintable() for fault in faults), faults
        if faults:
            return "refused in words"
        with open_engine(only=[path], threads=1) as engine:
            assert len(engine.content_digest(engine.read_parquet(path))) == 64
        assert [entry.name for entry in tmp_path.iterdir()] == ["sent.parquet"]
        return "read"

    fuzz("columns of Parquet", record_property, 150, st.dictionaries(texts, kinds, min_size=1, max_size=4), outcome)
    assert not Path("/tmp/fuzzed").exists()


def test_parquet_files_with_other_bytes(record_property: Record, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    rows = [{"id": f"report/{number}", "facts": {"a": number}, "sources": [{"key": "k"}]} for number in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    whole = buffer.getvalue()
    edits = st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=6)

    def outcome(changes: list[tuple[int, int]]) -> str:
        content = bytearray(whole)
        for place, byte in changes:
            content[-1 - place] = byte  # the footer is drawn first
        path = tmp_path / "sent.parquet"
        path.write_bytes(content)
        with path.open("rb") as file:
            faults = list(parquet_faults(file))
        assert all(fault.isprintable() for fault in faults), faults
        if faults:
            return "refused in words"
        try:
            with open_engine(only=[path], threads=1) as engine:
                engine.content_digest(engine.read_parquet(path))
        except (EngineFailed, TypeError):
            return "refused by the engine"
        return "read"

    fuzz("bytes of Parquet", record_property, 250, edits, outcome)


@pytest.fixture(scope="module")
def small_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of one record, with the parts of one that are looked at when it is loaded."""

    def build(folder: Path) -> None:
        for name in (DATA, "drops/case.parquet", "drops/report.parquet"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"id": ["report/1"], "case_id": ["1"], "reason": [""]}), folder / name)
        (folder / "README.md").write_text("---\n---\n", encoding="utf-8")
        (folder / MANIFEST).write_text(json.dumps(SMALL_LOCK), encoding="utf-8")
        relist(folder)

    return built_once(tmp_path_factory, "small-release", build)


card_values = st.one_of(
    nasty,
    st.sampled_from(["https://127.0.0.1:1/x", "hf://datasets/a/b/c", "zip://x::/etc/passwd", "data/**", "../*"]),
)


def test_made_up_cards_do_not_say_what_is_loaded(record_property: Record, small_release: Path) -> None:
    def outcome(card: tuple[str, str, bytes]) -> str:
        config, path, rest = card
        header = json.dumps({"configs": [{"config_name": config, "data_files": path, "data_dir": path}]})
        (small_release / "README.md").write_bytes(f"---\n{header}\n---\n".encode("utf-8", "replace") + rest)
        relist(small_release)
        with patch("datasets.load_dataset") as load:
            load_config(read_release(small_release), "report")
        (builder,), options = load.call_args
        assert builder == "parquet"
        assert options["data_files"] == {"train": [str(small_release.resolve() / DATA)]}
        return "loaded what the lock lists"

    cards = st.tuples(st.one_of(st.just("report"), texts), card_values, st.binary(max_size=200))
    fuzz("cards", record_property, 150, cards, outcome)


@pytest.mark.parametrize("name", ["narratives/roadside/narrative.yaml", "contracts/fleet/trucks.odcs.yaml"])
def test_made_up_definitions(record_property: Record, roadside: Any, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(find_release(roadside.releases, "roadside@1.0.0-r1").path, tmp_path / "sent"))
    release: Release = read_release(folder)
    path = folder / "definition" / name
    whole = path.read_text(encoding="utf-8")
    edits = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 12), texts)

    def outcome(edit: tuple[int, int, str]) -> str:
        place, length, new = edit
        text = whole[:place] + new + whole[place + length :]
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            read_definition_snapshot(release)
        except StorymeshError as error:
            return "refused in words" if len(error.message) < 20_000 else "refused at length"
        return "read"

    fuzz(name, record_property, 60, edits, outcome)
