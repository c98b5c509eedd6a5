"""What `check` says about a mesh whose files can be read, but do not fit together."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.mesh.check import check_files

BOATS = "domains/fleet/products/boats.odps.yaml"
REPAIRS = "domains/yard/products/repairs.odps.yaml"


@pytest.mark.parametrize(
    ("path", "old", "new", "line"),
    [
        pytest.param(
            BOATS,
            "value: sources/boats.csv",
            "value: sources/boat.csv",
            "11:31: error[no-rows]: source 'sources/boat.csv': there is no such file (did you mean 'boats.csv'?)",
            id="a source that is not there",
        ),
        pytest.param(
            BOATS,
            "value: sources/boats.csv",
            "value: sources/crew.csv",
            "11:31: error[no-rows]: source 'sources/crew.csv': there is no such file (there are: boats.csv)",
            id="a source that is not there, and nothing like it",
        ),
        pytest.param(
            BOATS,
            "value: sources/boats.csv",
            "value: sources",
            "11:31: error[no-rows]: source 'sources': this is a folder, a file is wanted",
            id="a folder",
        ),
        pytest.param(
            BOATS,
            "value: sources/boats.csv",
            "value: domain.yaml",
            "11:31: error[no-rows]: source 'domain.yaml': a file '.yaml' cannot be read (use .csv, .csv.gz, .parquet,"
            " .jsonl, .jsonl.gz, .ndjson, .xlsx, or a dbt model)",
            id="a file that is no table",
        ),
        pytest.param(
            REPAIRS,
            "contractId: yard.repairs",
            "contractId: yard.repair",
            "14:5: error[unknown-name]: the output port 'repairs' names the contract 'yard.repair', which does not"
            " exist (did you mean 'yard.repairs'?)",
            id="an output port of no contract",
        ),
        pytest.param(
            REPAIRS,
            "contractId: fleet.boats",
            "contractId: fleet.boots",
            "12:5: error[unknown-name]: the input port 'boats' asks for 'fleet.boots', which nobody publishes"
            " (did you mean 'fleet.boats'?)",
            id="an input port of no contract",
        ),
    ],
)
def test_unknown_name_is_found_where_it_is_written(
    harbour: Path, edit: Callable[[str, str, str], None], path: str, old: str, new: str, line: str
) -> None:
    edit(path, old, new)
    found = [str(finding) for finding in check_files(harbour)]
    assert f"{path}:{line}" in found, found
