"""The commands that show where the values of a record come from."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from typer.testing import CliRunner

from storymesh.cli.app import app
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.release.catalog import Release
from storymesh.release.layout import DEFINITION_FOLDER, record_files
from tests.support.edited_release import relist
from tests.support.traced_mesh import FOLDER, records_of


def run_command(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def test_the_command_shows_where_each_value_comes_from(mesh: Mesh, release: Release) -> None:
    (record, *_) = records_of(release, "report")
    case_id = record["case_id"]
    code, out, err = run_command("trace", "roadside", f"report/{case_id}", "--mesh", str(mesh.root), "--sql")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"roadside 1.0.0-r1 · report/{case_id} · case {case_id}"
    at = next(n for n, line in enumerate(lines) if "{{ truck.driver | pseudonym }}" in line)
    assert lines[at].endswith(f"{FOLDER}/report.md.jinja:1:91")
    version = release.manifest.cast["truck"].product_version
    assert lines[at + 1].startswith("  truck.driver = •••: fleet.trucks " + version[:12])
    queries = out.split("query 1:\n")[1].split(";")[0]
    assert duckdb.sql(queries).fetchone() is not None
    assert "\x1b" not in out


def test_the_command_gives_json_and_finds_the_narrative(mesh: Mesh, release: Release) -> None:
    (record, *_) = records_of(release, "choice")
    code, out, _ = run_command("trace", record["id"], "--mesh", str(mesh.root), "--format", "json")
    trace = json.loads(out)
    assert (code, trace["narrative"], trace["release"], trace["mistakes"]) == (0, "roadside", "1.0.0-r1", [])
    assert [column["name"] for column in trace["columns"]] == ["prompt", "chosen", "rejected"]
    spans = [span for column in trace["columns"] for span in column["spans"]]
    assert {origin["kind"] for span in spans for origin in span["origins"]} == {"row", "expression", "query"}
    for column in trace["columns"]:
        assert "".join(span["text"] for span in column["spans"]) == column["text"]


def test_the_command_says_when_the_narrative_has_changed_since(release: Release, copied: Path) -> None:
    (record, *_) = records_of(release, "report")
    with (copied / FOLDER / "report.md.jinja").open("a", encoding="utf-8") as file:
        file.write("More.\n")
    code, out, err = run_command("trace", record["id"], "--mesh", str(copied))
    assert code == 0
    folder = f"releases/roadside/1.0.0-r1/{DEFINITION_FOLDER}/"
    assert f"has changed since 1.0.0-r1: the release is told by what it keeps under {folder}" in err
    assert f"  {folder}{FOLDER}/report.md.jinja:1:4\n" in out


def test_the_command_exits_with_one_if_a_record_cannot_be_traced(release: Release, copied: Path) -> None:
    copy = load_mesh(copied).releases / "roadside" / release.version
    (path,) = record_files(copy, "report")["train"]
    (record, *_) = pq.read_table(path).to_pylist()
    spoiled = duckdb.sql(f"SELECT * REPLACE (replace(text, ' stood ', ' lay ') AS text) FROM read_parquet('{path}')")
    pq.write_table(spoiled.to_arrow_table(), path)
    relist(copy)
    code, out, _ = run_command("trace", record["id"], "--mesh", str(copied))
    assert code == 1
    assert "not so: text, character " in out


def test_a_terminal_shows_a_preview_with_its_values_marked(mesh: Mesh) -> None:
    master, terminal = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    command = [sys.executable, "-m", "storymesh.cli", "preview", "roadside", "report", "--case", "B000"]
    with subprocess.Popen(
        [*command, "--mesh", str(mesh.root)], stdout=terminal, env={**environment, "TERM": "xterm-256color"}
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(master, 65_536):
                shown += part
        except OSError:  # the other side is closed
            pass
    os.close(master)
    assert process.returncode == 0
    code, plain, _ = run_command("preview", "roadside", "report", "--case", "B000", "--mesh", str(mesh.root))
    assert (code, "\x1b" in plain) == (0, False)
    text = shown.decode().replace("\r\n", "\n")
    assert "\x1b[4;36m2 January 2024\x1b[0m" in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == plain
