"""Traces of records: to rows of products at their version, through expressions, quotes and counts; and mistakes found
on the way. On a small mesh that is published and released once."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from storymesh.cli import app
from storymesh.cli.output.trace import trace_as_json
from storymesh.contract.definition import Contract
from storymesh.dataset.stages import write_cases, write_precedents, write_records
from storymesh.engine.open import open_engine
from storymesh.errors import NotPublished, StorymeshError, WrongUsage
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.product.publish import publish
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from storymesh.provenance.origins import ExpressionOrigin, Origin, QueryOrigin, RowOrigin
from storymesh.provenance.trace import RecordTrace, TracedSpan, Tracer, trace_record
from storymesh.release.catalog import Release, find_release_of_record, read_record, read_release
from storymesh.release.definition_snapshot import open_released_build, read_definition_snapshot
from storymesh.release.layout import DEFINITION_FOLDER, record_files
from storymesh.release.write import write_release
from tests.support.edited_release import relist
from tests.support.paths import MESHES

MESH = MESHES / "plain_files"
FOLDER = "narratives/roadside"
EVERY = int(os.environ.get("STORYMESH_TRACE_EVERY", "3"))
# Beside what the mesh's templates print: counts of rows and precedents, quotes with facts, a row that is a fact.
REPORT = """
{% include "steps.jinja" %}
{% if last_step %}The last step was {{ last_step.remedy | label }}.{% endif %}
{% if saved_hours is not none %}
It saved {{ saved_hours | number(1) }} h, {{ "enough" if saved_hours >= 4 else "little" }}.
{% endif %}
"""
STEPS = """
{{ repair | length | plural("step") }} of {{ truck.body | label }}:
{% for step in repair %}
{{ loop.index }}: {{ step.remedy }}
{% endfor %}
Told by {{ teller | pseudonym }}.
"""
ADVICE = """
{% if precedents.enough %}
On level {{ precedents.level }}, {{ precedents.tried }} cases and {{ precedents.options | length }} ways.
{% if precedents.best %}
Best: {{ precedents.best.action | label }} at {{ precedents.best.rate | percent(1) }},
{{ precedents.best.mean_score | number(2) }} h, {{ precedents.best.quoted | length }} quoted:
{% for one in precedents.best.quoted %}
{{ one.cited_as }} {{ one.id }} of {{ one.at | date }} saved {{ one.score | number(1) }} h.
{% if one.last_step %}It was {{ one.last_step.remedy }}.{% endif %}
{% endfor %}
{% endif %}
{% if precedents.worst %}Worst: {{ precedents.worst.action | label }}.{% endif %}
{% endif %}
"""


def published(root: Path) -> Mesh:
    """Return the mesh below `root`, its products published as they are now, without orchestration."""
    mesh = load_mesh(root)
    for product in mesh.products.values():
        contract: Contract = mesh.contract(product.id)
        folder = mesh.domain_folder(product.domain)
        with open_engine() as engine, open_product_rows(product, contract, folder, Path("none"), engine) as rows:
            publish(product, contract, rows, ProductStore(mesh.warehouse, product.domain), engine, "run-1")
    return mesh


def released(mesh: Mesh) -> Release:
    build = pin_build(mesh, mesh.narrative("roadside"))
    write_cases(build)
    write_precedents(build)
    for config in build.configs:
        write_records(build, config)
    return write_release(build)


@pytest.fixture(scope="module", autouse=True)
def key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")
        yield


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    """The mesh, with more in its templates, on its first release. It is only read."""
    root = tmp_path_factory.mktemp("trace") / "mesh"
    shutil.copytree(MESH, root)
    folder = root / FOLDER
    for name, more in (("report.md.jinja", REPORT), ("advise.md.jinja", ADVICE)):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(more)
    (folder / "steps.jinja").write_text(STEPS, encoding="utf-8")
    narrative = folder / "narrative.yaml"
    text = narrative.read_text(encoding="utf-8") + "  pseudonymise: [depot.city]\n"
    text = text.replace("  facts:\n", "  facts:\n    teller: truck.truck_id ~ '/' ~ truck.driver\n")
    narrative.write_text(text, encoding="utf-8")
    repairs = root / "domains/road/sources/repairs.jsonl"
    later = [json.loads(line) for line in repairs.read_text(encoding="utf-8").splitlines()[::7]]
    with repairs.open("a", encoding="utf-8") as file:
        for row in later:
            file.write(json.dumps({**row, "repair_id": f"{row['repair_id']}-2", "remedy": "tow"}) + "\n")
    loaded = published(root)
    released(loaded)
    return loaded


@pytest.fixture(scope="module")
def release(mesh: Mesh) -> Release:
    return find_release_of_record(mesh.releases, "report/x", "roadside")


@pytest.fixture
def copied(mesh: Mesh, tmp_path: Path) -> Path:
    """A copy of the mesh, to change."""
    return Path(shutil.copytree(mesh.root, tmp_path / "mesh"))


def records_of(release: Release, config: str) -> list[dict[str, Any]]:
    files = [file for files in record_files(release.path, config).values() for file in files]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def traced(release: Release, warehouse: Warehouse, record_id: str) -> RecordTrace:
    return trace_record(open_released_build(release, warehouse, open_engine), read_record(release, record_id))


def spans_of(trace: RecordTrace, expression: str) -> list[TracedSpan]:
    return [span for column in trace.columns for span in column.spans if span.expression == expression]


def flat(origins: tuple[Origin, ...]) -> Iterator[Origin]:
    for origin in origins:
        yield origin
        if not isinstance(origin, RowOrigin):
            yield from flat(origin.origins)


# --- law 4 ---


@pytest.mark.parametrize("config", ["report", "advice", "choice", "verdict"])
def test_every_value_of_every_record_is_traced(mesh: Mesh, release: Release, config: str) -> None:
    records = records_of(release, config)
    records = records[::EVERY] if len(records) > 60 else records
    assert records
    with Tracer(open_released_build(release, mesh.warehouse, open_engine)) as tracer:
        traces = list(tracer.trace_records(config, records))
        assert not tracer.confirm(most=40)
    assert {trace.record for trace in traces} == {record["id"] for record in records}
    for trace in traces:
        assert not trace.mistakes
        for column in trace.columns:
            assert "".join(span.text for span in column.spans) == column.text
            for span in column.spans:
                assert span.origins or span.because or span.expression is None or "choose" in span.expression


def test_a_row_is_in_the_product_at_its_version(mesh: Mesh, release: Release) -> None:
    (record, *_) = records_of(release, "report")
    (span,) = spans_of(traced(release, mesh.warehouse, record["id"]), 'case.at | date("%-d %B %Y")')
    (cell,) = span.origins
    assert isinstance(cell, RowOrigin)
    assert (cell.product, cell.key, cell.property) == ("road.breakdowns", record["case_id"], "happened_at")
    assert cell.version == release.manifest.cast["breakdown"].product_version
    snapshot = ProductStore(mesh.warehouse, "road").find_snapshot("road.breakdowns", cell.version)
    stored = duckdb.sql(
        f"SELECT happened_at FROM read_parquet({list(snapshot.files)}) WHERE breakdown_id = '{cell.key}'"
    )
    assert stored.fetchall() == [(cell.value,)]


@pytest.mark.parametrize(("old", "new"), [(" stood because of ", " lay because of "), ("1: ", "2: ")])
def test_a_wrong_value_in_a_record_is_caught(mesh: Mesh, release: Release, old: str, new: str) -> None:
    (record, *_) = records_of(release, "report")
    wrong = {**record, "text": record["text"].replace(old, new)}
    assert wrong != record
    trace = trace_record(open_released_build(release, mesh.warehouse, open_engine), wrong)
    pairs = enumerate(zip(wrong["text"], record["text"], strict=False))
    first = next(index for index, (changed, original) in pairs if changed != original)
    (mistake,) = trace.mistakes
    assert mistake.startswith(f"text, character {first}: the record says ")


def test_a_wrong_label_is_caught(mesh: Mesh, release: Release) -> None:
    (record, *_) = records_of(release, "verdict")
    wrong = {**record, "label": not record["label"]}
    trace = trace_record(open_released_build(release, mesh.warehouse, open_engine), wrong)
    assert trace.mistakes == (f"label: the record says {wrong['label']}, its outcome says otherwise",)


def seal_again(folder: Path) -> None:
    """List the build's files as they are now: a mistake of the compiler, and no damage."""
    for listed in folder.glob("*.sha256"):
        names = [line.split("  ", 1)[1] for line in listed.read_text(encoding="utf-8").splitlines()]
        lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
        listed.write_text("".join(lines), encoding="utf-8")


def test_cases_that_differ_from_the_products_are_caught(release: Release, copied: Path) -> None:
    warehouse = load_mesh(copied).warehouse
    build = open_released_build(release, warehouse, open_engine)
    path = build.files.cases
    words = "* REPLACE (struct_update(truck, body := CASE truck.body WHEN 'box' THEN 'reefer' ELSE 'box' END) AS truck)"
    table = duckdb.sql(f"SELECT {words} FROM read_parquet('{path}')").to_arrow_table()
    pq.write_table(table, path)
    seal_again(path.parent)
    (record, *_) = records_of(release, "report")
    with Tracer(build) as tracer:
        (trace,) = tracer.trace_records("report", [record])
        assert trace.mistakes, "the text is another"
        (mistakes,) = tracer.confirm().values()
    assert any("fleet.trucks" in words and "body is not what" in words for words in mistakes)


def test_a_count_that_differs_from_its_query_is_caught(release: Release, copied: Path) -> None:
    build = open_released_build(release, load_mesh(copied).warehouse, open_engine)
    path = build.files.precedents
    assert path is not None
    words = "* REPLACE (struct_update(precedents, tried := precedents.tried + 1) AS precedents)"
    pq.write_table(duckdb.sql(f"SELECT {words} FROM read_parquet('{path}')").to_arrow_table(), path)
    seal_again(path.parent)
    record = next(record for record in records_of(release, "advice") if "On level" in str(record["messages"]))
    with Tracer(build) as tracer:
        list(tracer.trace_records("advice", [record]))
        (mistakes,) = tracer.confirm().values()
    assert len(mistakes) == 1
    assert mistakes[0].startswith("a query gives ")


# --- origins ---


@pytest.fixture(scope="module")
def report(mesh: Mesh, release: Release) -> RecordTrace:
    records = (record for record in records_of(release, "report") if "2 steps" in record["text"])
    record = next(record for record in records if "saved" in record["text"])
    return traced(release, mesh.warehouse, record["id"])


@pytest.fixture(scope="module")
def advice(mesh: Mesh, release: Release) -> RecordTrace:
    records = (record for record in records_of(release, "advice") if "Best" in str(record["messages"]))
    record = next(record for record in records if "Worst" in str(record["messages"]))
    return traced(release, mesh.warehouse, record["id"])


def test_a_code_is_printed_by_its_label_and_traced_to_its_row(report: RecordTrace) -> None:
    span, *_ = spans_of(report, "truck.body | label | capitalize")
    (cell,) = span.origins
    assert isinstance(cell, RowOrigin)
    assert (cell.value, span.text.lower()) in (("reefer", "refrigerated truck"), ("box", "box truck"))


def test_a_fact_is_traced_to_everything_that_its_expression_reads(report: RecordTrace) -> None:
    (span,) = spans_of(report, "saved_hours | number(1)")
    (fact,) = span.origins
    assert isinstance(fact, ExpressionOrigin)
    assert fact.expression == "breakdown.expected_hours - breakdown.lost_hours"
    assert fact.at.path == f"{FOLDER}/narrative.yaml"
    cells = [origin for origin in fact.origins if isinstance(origin, RowOrigin)]
    assert [cell.property for cell in cells] == ["expected_hours", "lost_hours"]
    assert cells[0].value - cells[1].value == fact.value
    (decided,) = spans_of(report, '"enough" if saved_hours >= 4 else "little"')
    assert (decided.origins, decided.because) == ((), (fact,))


def test_a_fact_that_is_a_row_is_traced_to_that_row(report: RecordTrace) -> None:
    (span,) = spans_of(report, "last_step.remedy | label")
    (kept,) = span.origins
    rows = [span.origins[0] for span in spans_of(report, "step.remedy")]
    assert isinstance(kept, RowOrigin)
    assert isinstance(rows[-1], RowOrigin)
    assert (kept.product, kept.key, kept.property) == ("road.repairs", rows[-1].key, "remedy")


def test_a_count_is_traced_to_its_rows_and_to_a_query(report: RecordTrace) -> None:
    (span,) = spans_of(report, 'repair | length | plural("step")')
    (count,) = span.origins
    assert isinstance(count, QueryOrigin)
    assert duckdb.sql(count.query.sql).fetchall() == [(2,)] == [(count.value,)]
    assert [(row.product, row.property) for row in count.origins if isinstance(row, RowOrigin)] == [
        ("road.repairs", None)
    ] * 2
    first, second = (span.origins[0] for span in spans_of(report, "loop.index"))
    assert isinstance(first, QueryOrigin)
    assert isinstance(second, QueryOrigin)
    assert (first.value, second.value) == (1, 2)


def test_words_and_expressions_have_their_place_in_the_template(report: RecordTrace) -> None:
    (column,) = report.columns
    words = [span for span in column.spans if span.expression is None]
    assert str(words[0].at).startswith(f"{FOLDER}/report.md.jinja:1:")
    (included,) = spans_of(report, 'repair | length | plural("step")')
    assert str(included.at) == f"{FOLDER}/steps.jinja:2:4"


@pytest.mark.parametrize(
    "expression",
    [
        "precedents.level",
        "precedents.tried",
        "precedents.options | length",
        "precedents.best.action | label",
        "precedents.best.rate | percent(1)",
        "precedents.best.mean_score | number(2)",
        "precedents.best.quoted | length",
        "precedents.worst.action | label",
        "option.worked | plural(\"time\")",
    ],
)  # fmt: skip
def test_a_query_returns_each_count_of_precedents_again(advice: RecordTrace, expression: str) -> None:
    spans = spans_of(advice, expression)
    assert spans, f"nothing was printed by {expression}"
    for span in spans:
        (count,) = span.origins
        assert isinstance(count, QueryOrigin)
        assert count.value is not None
        assert duckdb.sql(count.query.sql).fetchall() == [(count.value,)]


def test_a_quoted_precedent_is_traced_to_its_own_case(mesh: Mesh, advice: RecordTrace) -> None:
    quoted = [span.text for span in spans_of(advice, "one.id")]
    assert quoted
    numbers = spans_of(advice, "one.cited_as")
    keys = [[origin.key for origin in number.origins if isinstance(origin, RowOrigin)] for number in numbers]
    assert keys == [[case_id] for case_id in quoted], "the number of a case leads to its row"
    scores = [span.origins[0] for span in spans_of(advice, "one.score | number(1)")]
    for case_id, score in zip(quoted, scores, strict=True):
        assert case_id != advice.case_id
        assert isinstance(score, ExpressionOrigin)
        assert score.case == case_id
        cells = [origin for origin in flat((score,)) if isinstance(origin, RowOrigin)]
        assert {(cell.product, cell.key) for cell in cells} == {("road.breakdowns", case_id)}


# --- masked values ---


def test_a_masked_value_is_never_shown(mesh: Mesh, release: Release) -> None:
    trucks = (mesh.root / "domains/fleet/sources/trucks.csv").read_text(encoding="utf-8").splitlines()
    drivers = {line.split(",")[trucks[0].split(",").index("driver")] for line in trucks[1:]}
    depots = ProductStore(mesh.warehouse, "fleet").latest_snapshot("fleet.depots")
    assert depots is not None
    cities = {row["city"] for file in depots.files for row in pq.read_table(file).to_pylist()}
    assert drivers
    assert cities
    for config in ("report", "advice"):
        (record, *_) = records_of(release, config)
        trace = traced(release, mesh.warehouse, record["id"])
        text = trace_as_json(trace, "roadside", release.version, "")
        assert not [secret for secret in (*drivers, *cities, "a key for tests") if secret in text]
    (record, *_) = records_of(release, "report")
    trace = traced(release, mesh.warehouse, record["id"])
    (driver,) = spans_of(trace, "truck.driver | pseudonym")[0].origins
    assert isinstance(driver, RowOrigin)
    assert (driver.masked, driver.value, driver.property) == (True, None, "driver")
    (teller,) = spans_of(trace, "teller | pseudonym")[0].origins
    assert isinstance(teller, ExpressionOrigin)
    assert [(origin.masked, origin.value) for origin in flat((teller,)) if not isinstance(origin, QueryOrigin)] == [
        (True, None)
    ] * 3
    (city,) = spans_of(trace, "depot.city")[0].origins
    assert isinstance(city, RowOrigin)
    assert str(city.value).startswith("p-")


# --- releases outlive the mesh ---


def test_a_record_is_traced_after_products_narrative_and_builds_have_changed(release: Release, copied: Path) -> None:
    (record, *_) = records_of(release, "report")
    before = traced(release, load_mesh(copied).warehouse, record["id"])
    trucks = copied / "domains/fleet/sources/trucks.csv"
    trucks.write_text(trucks.read_text(encoding="utf-8").replace("reefer", "box"), encoding="utf-8")
    template = copied / FOLDER / "report.md.jinja"
    template.write_text("Nothing but {{ case.id }}.\n", encoding="utf-8")
    contract = copied / "contracts/fleet/trucks.odcs.yaml"
    contract.write_text(contract.read_text(encoding="utf-8").replace("box truck", "closed truck"), encoding="utf-8")
    mesh = published(copied)
    assert released(mesh).version == "1.0.0-r2"
    shutil.rmtree(mesh.store / "narratives")
    first = find_release_of_record(mesh.releases, record["id"], version="1.0.0-r1")
    after = traced(first, mesh.warehouse, record["id"])
    assert not after.mistakes
    assert trace_as_json(after, "", "", "") == trace_as_json(before, "", "", "")
    second = traced(find_release_of_record(mesh.releases, record["id"]), mesh.warehouse, record["id"])
    assert second.columns[0].text == f"Nothing but {record['case_id']}."
    assert not second.mistakes


def test_a_release_keeps_what_types_its_cast_and_nothing_of_whom_to_ask(mesh: Mesh, release: Release) -> None:
    typed = read_definition_snapshot(release)
    assert typed.fingerprint == release.manifest.fingerprint
    now = pin_build(mesh, mesh.narrative("roadside"))
    build = open_released_build(release, mesh.warehouse, open_engine, mesh.contracts)
    assert build.key == now.key, "the cases are made once"
    kept = (release.path / DEFINITION_FOLDER / "contracts/fleet/trucks.odcs.yaml").read_text(encoding="utf-8")
    assert "restricted" in kept
    assert "rowCount" not in kept


def test_a_definition_that_somebody_changed_is_refused(release: Release, tmp_path: Path) -> None:
    copy = tmp_path / "releases" / "roadside" / release.version
    shutil.copytree(release.path, copy)
    template = copy / DEFINITION_FOLDER / FOLDER / "system.jinja"
    template.write_text("You know all.", encoding="utf-8")
    with pytest.raises(StorymeshError, match="is not the definition"):
        read_definition_snapshot(read_release(copy))
    shutil.rmtree(copy / DEFINITION_FOLDER)
    with pytest.raises(StorymeshError, match="does not keep the definition"):
        read_definition_snapshot(read_release(copy))


def test_a_missing_snapshot_is_reported(mesh: Mesh, release: Release, tmp_path: Path) -> None:
    with pytest.raises(NotPublished, match=r"fleet\.|road\."):
        open_released_build(release, Warehouse(tmp_path / "empty"), open_engine)


def test_another_pseudonym_key_is_named_as_the_cause(
    mesh: Mesh, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record, *_) = records_of(release, "report")
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", "another key")
    trace = traced(release, mesh.warehouse, record["id"])
    assert "pseudonyms" in trace.mistakes[-1]


# --- records that are not there ---


def test_a_missing_record_is_refused_with_the_reason(mesh: Mesh, release: Release) -> None:
    advised = {record["case_id"] for record in records_of(release, "advice")}
    dropped = next(record for record in records_of(release, "report") if record["case_id"] not in advised)
    with pytest.raises(StorymeshError, match=r"it was dropped, (unjudged|open)"):
        read_record(release, f"advice/{dropped['case_id']}")
    with pytest.raises(WrongUsage, match="names no record"):
        read_record(release, "reprot/B-1")
    with pytest.raises(WrongUsage, match="has no record report/B-none"):
        read_record(release, "report/B-none")
    with pytest.raises(WrongUsage, match=r"has no release 1\.0\.0-r9"):
        find_release_of_record(mesh.releases, "report/x", "roadside", "1.0.0-r9")
    with pytest.raises(WrongUsage, match="no narratives have released a config 'nothing'"):
        find_release_of_record(mesh.releases, "nothing/x")


# --- the commands ---


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
