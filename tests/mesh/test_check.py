"""What `check` says about a mesh whose files can be read, but do not fit together."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.mesh.check import check_files
from storymesh.mesh.mesh import load_mesh

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
            "11:31: error[no-rows]: source 'domain.yaml': a file '.yaml' cannot be read (use .csv, .tsv, .parquet,"
            " .jsonl, .ndjson, .xlsx, say its format as in {file: domain.yaml, format: csv}, or a dbt model)",
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
            "contractId: yard.repairs",
            "contractId: fleet.boats",
            "14:5: error[wrong-contract]: the output port 'repairs' names the contract 'fleet.boats', its rows keep"
            " 'yard.repairs' (name 'yard.repairs')",
            id="an output port of another product's contract",
        ),
        pytest.param(
            REPAIRS,
            "contractId: fleet.boats",
            "contractId: fleet.boots",
            "12:5: warning[unknown-name]: nobody here publishes 'fleet.boots': the input port 'boats' means a system"
            " outside (did you mean 'fleet.boats'?)",
            id="an input port whose contract is nearly one of the mesh",
        ),
        pytest.param(
            REPAIRS,
            "version: 1.0.0, contractId: fleet.boats",
            "version: 2.0.0, contractId: fleet.boats",
            "12:5: warning[wrong-version]: the input port 'boats' is of version 2.0.0, its contract of 1.0.0"
            " (follow the contract)",
            id="the version of an input port",
        ),
        pytest.param(
            REPAIRS,
            "version: 1.0.0, contractId: yard.repairs",
            "version: 1.2.0, contractId: yard.repairs",
            "14:5: warning[wrong-version]: the output port 'repairs' is of version 1.2.0, its contract of 1.0.0 (follow"
            " the contract)",
            id="the version of an output port",
        ),
    ],
)
def test_unknown_name_is_found_where_it_is_written(
    harbour: Path, edit: Callable[[str, str, str], None], path: str, old: str, new: str, line: str
) -> None:
    edit(path, old, new)
    found = [str(finding) for finding in check_files(harbour)]
    assert f"{path}:{line}" in found, found


def test_an_output_port_of_another_name_is_for_people(harbour: Path, edit: Callable[[str, str, str], None]) -> None:
    edit(REPAIRS, "outputPorts:\n", "outputPorts:\n  - {name: topic, version: 1.0.0, contractId: c27-topic}\n")
    (finding,) = check_files(harbour)
    assert str(finding).startswith(
        f"{REPAIRS}:14:5: warning[not-published]: the output port 'topic' names the contract"
    )


def test_an_input_port_may_name_a_system_outside(harbour: Path, edit: Callable[[str, str, str], None]) -> None:
    edit(REPAIRS, "inputPorts:\n", "inputPorts:\n  - {name: crm, version: 3.1.0, contractId: b9a1-crm-accounts}\n")
    assert check_files(harbour) == []
    product = load_mesh(harbour).products["yard.repairs"]
    assert [port.contract_id for port in product.inputs] == ["fleet.boats"]
    assert [port.contract_id for port in product.outside] == ["b9a1-crm-accounts"]
