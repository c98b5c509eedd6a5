"""Scenarios run: the given rows pass through the real stages, and the records are compared with those expected."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import write_atomically
from storymesh.contract.types import arrow_schema
from storymesh.dataset.build import Build
from storymesh.dataset.stages import write_cases_and_precedents, write_records
from storymesh.dataset.tables import case_drops
from storymesh.engine.engine import OpenEngine
from storymesh.errors import DefinitionErrors, Finding
from storymesh.narrative.formats import format_of_columns
from storymesh.narrative.scenario import Scenario
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_variant import tell_by_variant
from storymesh.product.store import Snapshot
from storymesh.temporary_folder import temporary_folder
from storymesh.yaml_syntax import CoreDumper, dump_yaml

if TYPE_CHECKING:
    import pyarrow as pa

DROP = "drop"
KEY = b"scenario"  # so that pseudonyms in scenarios are the same everywhere


@dataclass(frozen=True)
class ScenarioResult:
    """The records of a scenario: config -> column -> text, or config -> `drop` -> the reason."""

    scenario: Scenario
    actual: Mapping[str, Mapping[str, Any]]

    @property
    def differences(self) -> list[str]:
        """The differences from what is expected, as lines of a diff; empty if there are none."""
        if not self.scenario.expect:
            return ["nothing is expected yet; --accept writes what is told now"]
        return [
            line
            for config, columns in self.scenario.expect.items()
            for column in dict.fromkeys([*columns, *([DROP] if DROP in self.actual.get(config, {}) else [])])
            for line in _diff(config, column, columns.get(column), self.actual.get(config, {}).get(column))
        ]


def run_scenario(scenario: Scenario, typed: TypedNarrative, open_engine: OpenEngine) -> ScenarioResult:
    """Make cases, precedents and records of the given rows, and return the records of the scenario's case."""
    if scenario.variant is not None:
        typed = tell_by_variant(typed, scenario.variant)
    with temporary_folder("scenario") as folder:
        build = Build(typed, _snapshots(scenario, typed, folder), folder, folder, open_engine, own_key=KEY)
        write_cases_and_precedents(build)
        return ScenarioResult(scenario, {config: _texts(build, config, scenario.case) for config in build.configs})


def accept_result(result: ScenarioResult) -> None:
    """Write the result into the file's `expect`, for the configs that it names (else for all)."""
    scenario = result.scenario
    text = scenario.path.read_text(encoding="utf-8")
    expected = {config: result.actual[config] for config in scenario.expect or result.actual if config in result.actual}
    block = dump_yaml({"expect": expected}, width=10_000, dumper=_BlockDumper)
    # `expect` reaches to the next key at the margin, or to the end.
    rest = re.sub(r"(?ms)^expect:.*?(?=^\S|\Z)", "", text).rstrip() + "\n"
    mode = scenario.path.stat().st_mode & 0o777
    write_atomically(scenario.path.resolve(), f"{rest}{block}", mode=mode)


class _BlockDumper(CoreDumper):
    """Writes texts of several lines as literal blocks, so that a diff of the file reads as a diff of the text."""

    def text_style(self, text: str) -> str | None:
        return super().text_style(text) or ("|" if "\n" in text else None)


def _diff(config: str, column: str, expected: Any, actual: Any) -> Iterator[str]:
    if expected == actual:
        return
    old, new = ([] if value is None else str(value).splitlines() for value in (expected, actual))
    yield from difflib.unified_diff(old, new, f"{config}.{column} expected", f"{config}.{column} told", lineterm="")


def _snapshots(scenario: Scenario, typed: TypedNarrative, folder: Path) -> dict[str, Snapshot]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    snapshots = {}
    for role, contract in typed.contracts.items():
        schema = arrow_schema(contract)
        rows = [{name: row.get(name) for name in schema.names} for row in scenario.given.get(role, ())]
        path = folder / f"{role}.parquet"
        try:
            table = pa.Table.from_pylist(rows, schema=schema)
        except (pa.ArrowException, ArithmeticError, TypeError, ValueError):
            raise DefinitionErrors(_misfits(scenario, role, rows, schema)) from None
        pq.write_table(table, path)
        snapshots[role] = Snapshot(
            contract.id, "scenario", 0, contract.version, contract.digest, "scenario", len(rows),
            datetime.now(UTC), (str(path),), schema,
        )  # fmt: skip
    return snapshots


def _misfits(scenario: Scenario, role: str, rows: list[dict[str, Any]], schema: "pa.Schema") -> Iterator[Finding]:
    """Yield a finding for each given value that a column of its type does not hold."""
    import pyarrow as pa

    for index, row in enumerate(rows):
        for field in schema:
            try:
                pa.array([row[field.name]], field.type)
            except (pa.ArrowException, ArithmeticError, TypeError, ValueError):
                words = f"'{field.name}' holds what does not fit {field.type}"
                yield scenario.document.finding(("given", role, index, field.name), "wrong-value", words)


def _texts(build: Build, config: str, case_id: str) -> dict[str, Any]:
    """Return column -> text of the case's record, or `drop` -> the reason why it has none."""
    write_records(build, config)
    with build.open_engine() as engine:
        records = engine.read_parquet(build.files.rendered(config))
        found = engine.fetch_rows(records.filter(records["case_id"] == case_id))
        if found:
            return _columns(found[0])
        drops = engine.read_parquet(build.files.rendered_drops(config)).select("case_id", "reason")
        every = case_drops(build, engine).union(drops)
        reasons = engine.fetch_rows(every.filter(every["case_id"] == case_id))
    return {DROP: reasons[0]["reason"] if reasons else "no such case"}


def _columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts of a record by name, and its label."""
    format_ = format_of_columns(record)
    assert format_ is not None
    texts: dict[str, Any] = {text.name: words for text, words in format_.texts_in(record)}
    return texts | ({format_.label: record[format_.label]} if format_.label is not None else {})
