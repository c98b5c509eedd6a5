"""Every value of every record leads to its origins, and what is not so is found."""

import hashlib
import os
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.product.store import ProductStore
from storymesh.provenance.origins import RowOrigin
from storymesh.provenance.trace import Tracer, trace_record
from storymesh.release.catalog import Release
from storymesh.release.definition_snapshot import open_released_build
from tests.support.traced_mesh import records_of, spans_of, traced

EVERY = int(os.environ.get("STORYMESH_TRACE_EVERY", "3"))


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
