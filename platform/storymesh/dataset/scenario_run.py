"""Scenarios told: the given rows go through the real path, and what is told is held against what is expected."""

import difflib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from storymesh.contract.types import arrow_schema
from storymesh.dataset.build import Build, case_drops, write_asked, write_records
from storymesh.engine.engine import OpenEngine
from storymesh.narrative.formats import format_of_columns
from storymesh.narrative.scenario import Scenario
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.store import Snapshot

DROP = "drop"
KEY = "scenario"  # pseudonyms of scenarios are the same everywhere


@dataclass(frozen=True)
class Told:
    """What a scenario tells now: config -> column -> text, or config -> `drop` -> the reason."""

    scenario: Scenario
    actual: Mapping[str, Mapping[str, Any]]

    @property
    def differences(self) -> list[str]:
        """What differs from what is expected, as lines of a diff; empty when all is as expected."""
        if not self.scenario.expect:
            return ["nothing is expected yet; --accept writes what is told now"]
        return [
            line
            for config, columns in self.scenario.expect.items()
            for column in dict.fromkeys([*columns, *([DROP] if DROP in self.actual.get(config, {}) else [])])
            for line in _diff(config, column, columns.get(column), self.actual.get(config, {}).get(column))
        ]


def tell(scenario: Scenario, typed: TypedNarrative, open_engine: OpenEngine) -> Told:
    """Make the cases, precedents and records of the given rows, and pick what is told of the case."""
    with tempfile.TemporaryDirectory(prefix="storymesh-scenario-") as name:
        folder = Path(name)
        (folder / "pseudonym.key").write_text(KEY, encoding="ascii")
        build = Build(typed, _snapshots(scenario, typed, folder), folder, folder, open_engine)
        write_asked(build)
        return Told(scenario, {config: _told(build, config, scenario.case) for config in build.configs})


def accept(told: Told) -> None:
    """Write what is told now into the file's `expect`, for the configs and columns that it names (else for all)."""
    scenario = told.scenario
    text = scenario.path.read_text(encoding="utf-8")
    wanted = {config: told.actual[config] for config in scenario.expect or told.actual if config in told.actual}
    block = yaml.dump({"expect": wanted}, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=10_000)
    # `expect` reaches to the next key at the margin, or to the end.
    rest = re.sub(r"(?ms)^expect:.*?(?=^\S|\Z)", "", text).rstrip() + "\n"
    scenario.path.write_text(f"{rest}{block}", encoding="utf-8")


class _Blocks(yaml.SafeDumper):
    """Texts of several lines as literal blocks, so that a diff of the file reads as a diff of the story."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _text)


def _diff(config: str, column: str, expected: Any, actual: Any) -> Iterator[str]:
    if expected == actual:
        return
    wanted, met = ([] if value is None else str(value).splitlines() for value in (expected, actual))
    yield from difflib.unified_diff(wanted, met, f"{config}.{column} expected", f"{config}.{column} told", lineterm="")


def _snapshots(scenario: Scenario, typed: TypedNarrative, folder: Path) -> dict[str, Snapshot]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    snapshots = {}
    for role, contract in typed.contracts.items():
        schema = arrow_schema(contract)
        rows = [{name: row.get(name) for name in schema.names} for row in scenario.given.get(role, ())]
        path = folder / f"{role}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        snapshots[role] = Snapshot(
            contract.id, "scenario", 0, contract.version, contract.digest, "scenario", len(rows),
            datetime.now(UTC), (str(path),), schema,
        )  # fmt: skip
    return snapshots


def _told(build: Build, config: str, case_id: str) -> dict[str, Any]:
    write_records(build, config)
    with build.open_engine() as engine:
        records = engine.read_parquet(build.told_path(config))
        found = engine.fetch_rows(records.filter(records["case_id"] == case_id))
        if found:
            return _columns(found[0])
        lost = engine.read_parquet(build.told_drops_path(config))
        cases = case_drops(build, engine.read_parquet(build.cases_path), engine.read_parquet(build.splits_path))
        reasons = engine.fetch_rows(
            cases.union(lost.select("case_id", "reason")).filter(lambda row: row["case_id"] == case_id)
        )
    return {DROP: reasons[0]["reason"] if reasons else "no such case"}


def _columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts of a record by name, and its label."""
    format_ = format_of_columns(record)
    assert format_ is not None
    texts: dict[str, Any] = {text.name: words for text, words in format_.texts_in(record)}
    return texts | ({format_.label: record[format_.label]} if format_.label is not None else {})
