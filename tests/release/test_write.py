"""Releases are whole or not there, numbered once, the same on any machine, and never leak over a cut."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.expr.types import Table

from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError
from storymesh.release.catalog import Release, list_releases, read_release
from storymesh.release.digests import compute_digests
from storymesh.release.layout import drops_file, record_files
from storymesh.release.refusal import ReleaseRefused
from storymesh.release.release_state import ReleaseState
from storymesh.release.write import write_release
from tests.support.paths import importable
from tests.support.release_builds import Told, make, sealed, usual


def rows_of(release: Release, config: str, split: str) -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in record_files(release.path, config).get(split, [])]
    return pa.concat_tables(tables).to_pylist() if tables else []


def dropped(release: Release, name: str) -> dict[str, str]:
    return {row["case_id"]: row["reason"] for row in pq.read_table(drops_file(release.path, name)).to_pylist()}


def test_every_case_is_recorded_or_dropped_with_a_reason(tmp_path: Path) -> None:
    told = [
        *usual(),
        Told("d8", datetime(2024, 8, 3), "test", question="What about d1?"),
        Told("d9", datetime(2023, 5, 9), hours="1"),
    ]
    release = write_release(make(tmp_path, told))
    assert release.version == "1.0.0-r1"
    assert not release.unchanged
    assert release.path == tmp_path / "releases" / "canal-exceptions" / "1.0.0-r1"
    assert release.configs == {
        "report": {"train": 3, "validation": 1, "test": 2},
        "advice": {"train": 2, "validation": 1, "test": 1},
        "verdict": {"train": 2, "validation": 1, "test": 1},
    }
    assert release.drops == {
        "case": {"embargo": 1, "shipment: none": 1},
        "report": {"duplicate": 1},
        "advice": {"duplicate": 1, "same question": 1, "unjudged": 1},
        "verdict": {"duplicate": 1, "same question": 1, "unjudged": 1},
    }
    assert dropped(release, "case") == {"d6": "embargo", "d7": "shipment: none"}
    assert dropped(release, "advice") == {"d2": "unjudged", "d8": "same question", "d9": "duplicate"}
    kept = {row["case_id"]: row for row in pq.read_table(drops_file(release.path, "verdict")).to_pylist()}
    assert kept["d9"]["prompt"] == "What about d9?"
    assert kept["d9"]["same_as"] == "verdict/d1"


def test_a_case_that_one_view_drops_is_kept_by_the_others(tmp_path: Path) -> None:
    case = Told("d1", datetime(2023, 5, 1), hindsight_dropped="shipment: none", untold={"report": "shipment: none"})
    release = write_release(make(tmp_path, [case]))
    assert (release.configs["advice"]["train"], release.configs["report"]["train"]) == (1, 0)
    assert (release.drops["case"], release.drops["report"]) == ({}, {"shipment: none": 1})


def test_columns_and_order_of_records(tmp_path: Path) -> None:
    told = [Told(f"d{place}", datetime(2023, 1, 9) - timedelta(days=place // 2)) for place in range(1, 10)]
    release = write_release(make(tmp_path, told, dedup="facts\n  shard_rows: 4"))
    files = record_files(release.path, "verdict")["train"]
    assert [path.name for path in files] == [f"train-0000{shard}-of-00003.parquet" for shard in range(3)]
    assert [pq.read_metadata(path).num_rows for path in files] == [4, 4, 1]
    rows = rows_of(release, "verdict", "train")
    assert list(rows[0]) == ["id", "case_id", "prompt", "completion", "label", "at", "facts", "sources"]
    assert [(row["at"], row["id"]) for row in rows] == sorted((row["at"], row["id"]) for row in rows)
    assert pq.read_metadata(files[0]).row_group(0).column(0).compression == "ZSTD"


def test_equal_content_is_the_same_release_in_any_folder_and_any_shards(tmp_path: Path) -> None:
    first = write_release(make(tmp_path / "one", usual()))
    turned = sealed(make(tmp_path / "one", usual()[::-1]))
    assert write_release(turned, shard_rows=1) == replace(first, unchanged=True)
    assert ReleaseState(turned).find_unchanged() == first, "what was found equal is known from then on"
    elsewhere = write_release(make(tmp_path / "two", usual()[::-1]), shard_rows=2)
    assert (elsewhere.digest, elsewhere.unchanged) == (first.digest, False)
    assert str(tmp_path) not in (first.path / "release.json").read_text()
    with open_engine() as engine:
        assert compute_digests(engine, elsewhere.path, elsewhere.configs).whole == first.digest


def test_other_content_is_the_next_release_and_the_earlier_one_stays_as_it_is(tmp_path: Path) -> None:
    first = write_release(make(tmp_path, usual()))
    before = {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}
    changed = [replace(item, answer="go round") if item.name == "d3" else item for item in usual()]
    second = write_release(make(tmp_path, changed))
    # The same records, but one more case dropped: that is other content as well.
    third = write_release(
        make(tmp_path, [*changed, Told("d0", datetime(2023, 1, 1), None, "shipment: none", early=True)])
    )
    assert [second.version, third.version] == ["1.0.0-r2", "1.0.0-r3"]
    assert len({first.digest, second.digest, third.digest}) == 3
    assert write_release(make(tmp_path, usual())) == replace(first, unchanged=True)
    assert {path: path.read_bytes() for path in before} == before
    assert list_releases(tmp_path / "releases") == [first, second, third]
    assert list_releases(tmp_path / "releases", "canal-exceptions") == [first, second, third]
    assert list_releases(tmp_path / "releases", "other") == list_releases(tmp_path / "nowhere") == []


def test_the_manifest_says_what_the_release_was_made_from(tmp_path: Path) -> None:
    release = write_release(make(tmp_path, usual()))
    lock = json.loads((release.path / "release.json").read_text())
    assert lock["cast"]["delay"] == {
        "product": "shipping.delays",
        "contract_version": "1.0.0",
        "contract_digest": "c" * 64,
        "product_version": "v" * 64,
        "snapshot": 17,
        "rows": 7,
    }
    assert (lock["narrative"], lock["version"], lock["digest"]) == ("canal-exceptions", "1.0.0-r1", release.digest)
    assert (lock["configs"], lock["drops"]) == (release.configs, release.drops)
    assert lock["fingerprint"] == "f" * 64
    assert set(lock["certificate"].values()) == {0}
    assert sorted(lock["digests"]["configs"]) == ["advice", "report", "verdict"]


def leaks() -> list[Any]:
    train, test = datetime(2023, 5, 1), datetime(2024, 8, 1)
    return [
        pytest.param([Told("d1", train, component="c"), Told("d2", test, "test", component="c")], {}, "components: 1"),
        pytest.param([Told("d1", train), Told("d2", train, "test")], {}, "moments: 1"),
        pytest.param([Told("d1", train, closes=datetime(2023, 12, 20))], {}, "closings: 1"),
        pytest.param([Told("d1", train), Told("d2", test, "test")], {"d1": ["d2"]}, "precedents: 1"),
        pytest.param([Told("d1", train), Told("d2", train, None, "embargo")], {"d1": ["d2"]}, "precedents: 1"),
    ]


@pytest.mark.parametrize(("told", "quotes", "words"), leaks())
def test_a_leak_is_refused_and_nothing_is_released(
    tmp_path: Path, told: list[Told], quotes: dict[str, list[str]], words: str
) -> None:
    with pytest.raises(ReleaseRefused, match=words) as refused:
        write_release(make(tmp_path, told, quotes=quotes))
    assert refused.value.exit_code == 1
    assert not list(tmp_path.rglob("release.json"))
    assert not list(tmp_path.rglob(".cutting-*"))


def test_a_case_in_two_splits_is_caught(tmp_path: Path) -> None:
    build = make(tmp_path, [Told("d1", datetime(2023, 5, 1)), Told("d2", datetime(2024, 8, 1), "test")])
    path = build.files.records("report")
    table = pq.read_table(path)
    moved = [{**row, "split": "train"} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(moved, table.schema), path)
    with pytest.raises(ReleaseRefused, match=r"ids: 1, components: 1, moments: 1"):
        write_release(build)


def test_a_question_in_two_splits_is_caught_in_the_files_when_curation_missed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(records: Table, dedup: str) -> Table:
        nothing = ibis.null().cast("string")
        return records.select("id", dropped=nothing, same_as=nothing, conflict=ibis.literal(False))

    monkeypatch.setattr("storymesh.release.curation.curate.find_repeats", careless)
    told = [Told("d1", datetime(2023, 5, 1)), Told("d2", datetime(2024, 8, 1), "test", question="What about d1?")]
    with pytest.raises(ReleaseRefused, match=r"\(questions: 2\)"):  # in advice and in verdict
        write_release(make(tmp_path, told))


def test_a_case_that_is_neither_recorded_nor_dropped_is_refused(tmp_path: Path) -> None:
    build = make(tmp_path, usual())
    path = build.files.record_drops("advice")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(ReleaseRefused, match="1 cases are unaccounted for: 'd2' has no record in 'advice'"):
        write_release(build)
    with pytest.raises(ReleaseRefused, match="'d1' has neither a split nor a reason"):
        write_release(make(tmp_path, [Told("d1", datetime(2023, 5, 1), None)]))


def test_without_any_record_nothing_is_released_and_the_error_gives_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefused, match=r"no record .* is left .*shipment: none \(2\)"):
        write_release(
            make(tmp_path, [Told(f"d{n}", datetime(2023, 5, 1), None, "shipment: none", early=True) for n in (1, 2)])
        )


def test_a_narrative_without_splits_is_all_train(tmp_path: Path) -> None:
    told = [Told("d1", datetime(2023, 5, 1)), Told("d2", datetime(2029, 5, 1))]
    release = write_release(make(tmp_path, told, split="null"))
    assert release.configs["report"] == {"train": 2}


KILLED = """
from pathlib import Path
from ibis.expr.types import Table
from tests.support.release_builds import make, usual
from storymesh.release import write as cut
cut.sync_tree = lambda folder: (print("here", flush=True), __import__("time").sleep(600))
cut.write_release(make(Path({root!r}), usual()))
"""


def test_a_killed_process_leaves_no_release_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    program = KILLED.format(root=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=importable()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
    folder = tmp_path / "releases" / "canal-exceptions"
    assert list(folder.glob(".cutting-*"))
    assert list_releases(tmp_path / "releases") == []
    assert write_release(make(tmp_path, usual())).version == "1.0.0-r1"
    assert not list(folder.glob(".cutting-*"))


def test_a_failed_release_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("storymesh.release.write.sync_tree", full)
    with pytest.raises(OSError, match="no space"):
        write_release(make(tmp_path, usual()))
    assert [path.name for path in (tmp_path / "releases" / "canal-exceptions").iterdir()] == [".lock"]


def test_two_processes_at_once_write_one_release(tmp_path: Path) -> None:
    build = make(tmp_path, usual())
    with ThreadPoolExecutor(2) as pool:
        releases = list(pool.map(lambda _: write_release(build), range(2)))
    assert sorted(release.unchanged for release in releases) == [False, True]
    assert [release.version for release in list_releases(tmp_path / "releases")] == ["1.0.0-r1"]


def test_releases_are_listed_by_number_and_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    first = write_release(make(tmp_path, usual()))
    folder = first.path.parent
    for version in ("1.0.0-r10", "1.0.0-r2", "0.9.0-r1"):
        shutil.copytree(first.path, folder / version)
        lock = {**json.loads((first.path / "release.json").read_text()), "version": version}
        (folder / version / "release.json").write_text(json.dumps(lock))
    (folder / "1.0.0-r3").mkdir()
    found = [release.version for release in list_releases(tmp_path / "releases")]
    assert found == ["0.9.0-r1", "1.0.0-r1", "1.0.0-r2", "1.0.0-r10"]
    (first.path / "release.json").write_text("{")
    with pytest.raises(StorymeshError, match="cannot be read"):
        read_release(first.path)


LOADING = """
import json, os, sys
from datasets import load_dataset, get_dataset_config_names
path = sys.argv[1]
found = {}
for config in get_dataset_config_names(path):
    dataset = load_dataset(path, config)
    found[config] = {split: [part.num_rows, repr(part.features), part[0]["id"]] for split, part in dataset.items()}
streamed = next(iter(load_dataset(path, "advice", streaming=True)["train"]))["messages"]
print(json.dumps([found, streamed]), flush=True)
os._exit(0)  # a stream that is left midway has threads of Arrow, over which Python's own end may abort
"""


def test_datasets_loads_every_config_and_split_as_it_is(tmp_path: Path) -> None:
    told = [replace(item, split=None, dropped="embargo") if item.split == "validation" else item for item in usual()]
    told = [replace(item, untold={**item.untold, "verdict": "no pair"}) for item in told]
    release = write_release(make(tmp_path, told), shard_rows=2)
    assert release.configs["verdict"] == {"train": 0, "validation": 0, "test": 0}
    offline = {
        **os.environ,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(release.path)], env=offline, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found, streamed = json.loads(done.stdout)
    assert {config: {split: part[0] for split, part in parts.items()} for config, parts in found.items()} == {
        "report": {"train": 3, "test": 1},
        "advice": {"train": 2, "test": 1},
    }
    features = found["advice"]["train"][1]
    assert "'messages': List({'role': Value('string'), 'content': Value('string')})" in features
    assert "'hours': Value('decimal128(38, 9)')" in features
    assert "'at': Value('timestamp[us]')" in features
    assert streamed == [{"role": "user", "content": "What about d1?"}, {"role": "assistant", "content": "wait"}]
