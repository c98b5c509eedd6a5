"""A release of a small mesh: the files of its build, written one after the other, and cut."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from storymesh.dataset.build import Build
from storymesh.dataset.stages import write_cases_and_precedents, write_records
from storymesh.release.catalog import Release
from storymesh.release.layout import record_files
from storymesh.release.write import write_release


def released(build: Build) -> Release:
    write_cases_and_precedents(build)
    for config in build.configs:
        write_records(build, config)
    return write_release(build)


def rows_of(release: Release, config: str) -> dict[str, dict[str, Any]]:
    """Case id -> record with its split, of all splits."""
    files = record_files(release.path, config)
    rows = [(split, row) for split, paths in files.items() for path in paths for row in pq.read_table(path).to_pylist()]
    return {row["case_id"]: {**row, "split": split} for split, row in rows}


def drops_of(release: Release, config: str) -> dict[str, dict[str, Any]]:
    """Case id -> what stands in the drops of it."""
    path: Path = release.path / "drops" / f"{config}.parquet"
    return {row["case_id"]: row for row in pq.read_table(path).to_pylist()}
