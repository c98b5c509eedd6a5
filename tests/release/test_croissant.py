"""croissant.json: what a release holds, so that a catalogue and a loader find it, file by file and column by column."""

import hashlib
import json
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.release.catalog import Release
from storymesh.release.croissant import license_address
from storymesh.release.write import write_release
from tests.support.readers import reader
from tests.support.release_builds import Told, make, usual


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    told = [replace(item, untold={**item.untold, "verdict": "no pair"}) for item in usual()]
    return write_release(make(tmp_path_factory.mktemp("croissant"), told), shard_rows=2)


@pytest.fixture(scope="module")
def croissant(release: Release) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((release.path / "croissant.json").read_text(encoding="utf-8"))
    return read


def part(croissant: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [item for key in ("distribution", "recordSet") for item in croissant[key] if item["@id"] == name]
    return found


def test_every_file_is_listed_with_its_digest(release: Release, croissant: dict[str, Any]) -> None:
    files = {item["contentUrl"]: item for item in croissant["distribution"] if item["@type"] == "cr:FileObject"}
    there = {path.relative_to(release.path).as_posix(): path for path in (release.path / "data").rglob("*.parquet")}
    assert set(files) == set(there)
    assert len([name for name in there if name.startswith("data/report/train-")]) == 2
    for name, path in there.items():
        assert files[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert files[name]["contentSize"] == f"{path.stat().st_size} B"


def test_a_config_is_a_record_set_with_its_columns_key_and_splits(release: Release, croissant: dict[str, Any]) -> None:
    assert [item["@id"] for item in croissant["recordSet"]] == ["report-splits", "report", "advice-splits", "advice"]
    advice = part(croissant, "advice")
    assert advice["key"] == {"@id": "advice/id"}
    columns = pq.read_schema(next((release.path / "data" / "advice").glob("*.parquet"))).names
    assert [field["name"] for field in advice["field"]] == ["split", *columns]
    fields = {field["name"]: field for field in advice["field"]}
    assert fields["messages"]["isArray"] is True
    assert [(item["name"], item["dataType"]) for item in fields["messages"]["subField"]] == [
        ("role", "sc:Text"),
        ("content", "sc:Text"),
    ]
    assert fields["at"]["dataType"] == "sc:DateTime"
    hours = fields["facts"]["subField"][0]["subField"][1]
    assert hours["dataType"] == "sc:Float"
    assert hours["source"]["transform"] == {"jsonPath": "delay.hours"}
    assert part(croissant, "advice-splits")["data"] == [
        {"advice-splits/name": name} for name in ("train", "validation", "test")
    ]
    assert part(croissant, "advice-files")["includes"] == "data/advice/*.parquet"


def test_it_says_what_catalogues_ask_for(release: Release, croissant: dict[str, Any]) -> None:
    lock = json.loads((release.path / "release.json").read_text())
    assert croissant["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert (croissant["name"], croissant["version"]) == ("canal-exceptions", "1.0.0-r1")
    assert croissant["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert croissant["creator"]["name"] == "logistics-ai"
    assert croissant["datePublished"] == lock["created"][:10]
    assert lock["digest"] in croissant["citeAs"]


def test_every_name_that_is_referred_to_is_there_once(croissant: dict[str, Any]) -> None:
    made, used = [], []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "@id" in value:
                (made if "@type" in value else used).append(value["@id"])
            for name, inner in value.items():
                if name != "@context":
                    walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(croissant)
    assert len(made) == len(set(made))
    assert used and set(used) <= set(made)


@pytest.mark.parametrize(
    ("license_", "address"),
    [
        ("cc-by-nc-sa-4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
        ("Apache-2.0", "https://spdx.org/licenses/Apache-2.0"),
        ("odbl", "https://spdx.org/licenses/ODbL-1.0"),
        ("Our Own Terms 2", "Our Own Terms 2"),
    ],
)
def test_a_licence_is_named_by_its_address(license_: str, address: str) -> None:
    assert license_address(license_) == address


def test_text_of_others_is_escaped(tmp_path: Path) -> None:
    hostile = 'x"}], "license": "mit", </script> {{ 7*7 }}'
    release = write_release(make(tmp_path, [Told("d1", datetime(2023, 5, 1))], title=json.dumps(hostile)))
    read = json.loads((release.path / "croissant.json").read_text())
    assert read["alternateName"] == hostile
    assert read["license"] == "https://creativecommons.org/licenses/by/4.0/"


def test_mlcroissant_validates_it_and_reads_every_record(release: Release) -> None:
    path = str(release.path / "croissant.json")
    checked = subprocess.run(
        [reader("mlcroissant"), "validate", "--jsonld", path], capture_output=True, text=True, timeout=600, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr.upper().replace("WARNINGS.WARN", "")
    program = (
        "import collections, json, sys, mlcroissant\n"
        "found = mlcroissant.Dataset(jsonld=sys.argv[1])\n"
        "split = lambda row: row['advice/split'].decode()\n"
        "print(json.dumps(collections.Counter(map(split, found.records('advice')))))"
    )
    read = subprocess.run(
        [reader("python"), "-c", program, path], capture_output=True, text=True, timeout=600, check=False
    )
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout.splitlines()[-1]) == dict(release.configs["advice"])
