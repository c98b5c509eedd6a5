"""What a printed value leads to: rows of products at their version, expressions, quotes, counts with a query that gives
them again, and of what is masked everything but the value."""

import duckdb
import pyarrow.parquet as pq
import pytest

from storymesh.cli.output.trace import trace_as_json
from storymesh.mesh.mesh import Mesh
from storymesh.product.store import ProductStore
from storymesh.provenance.origins import ExpressionOrigin, QueryOrigin, RowOrigin
from storymesh.provenance.trace import RecordTrace
from storymesh.release.catalog import Release
from tests.support.traced_mesh import FOLDER, flat, records_of, spans_of, traced


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
