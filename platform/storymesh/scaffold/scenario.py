"""A scenario drafted from a real case: the rows that belong to it, and what is told of it now."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from storymesh.contract.definition import Contract
from storymesh.dataset.build import Build
from storymesh.dataset.scenario_run import accept_result, run_scenario
from storymesh.dataset.stages import write_cases_and_precedents
from storymesh.dataset.tables import cases_with_precedents
from storymesh.errors import DefinitionErrors, WrongUsage, suggest_name
from storymesh.language.types import Array, Struct, Text
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.narrative.definition import Narrative
from storymesh.narrative.scenario import read_scenarios
from storymesh.scaffold.names import plain_name
from storymesh.scaffold.new_files import NewFiles
from storymesh.scaffold.yaml_text import yaml_text

_MAX_NAMED = 2_000


def add_scenario(mesh: Mesh, narrative: Narrative, case_id: str, name: str | None) -> str:
    """Write a scenario of the case, with what is told of it now as expected, and return its path.

    Restricted values do not leave the products: equal ones become one and the same word. Raises WrongUsage for a case
    that is not there, for one whose own id is restricted, and where the file is there.
    """
    build = pin_build(mesh, narrative)
    anchor = build.contracts[narrative.case.anchor]
    if any(anchor.properties[column].classification == "restricted" for column in anchor.key):
        raise WrongUsage(
            f"the ids of the cases of '{narrative.id}' are restricted", "write a scenario with made-up rows"
        )
    path = f"{narrative.folder}/scenarios/{plain_name(name or case_id, 'case')}.yaml"
    fields = {"title": f"as told of case {case_id}", "given": _given_rows(build, case_id), "case": case_id}
    files = NewFiles({path: yaml_text(fields)})
    files.write(mesh.root)
    try:
        typed = mesh.typed(narrative)
        (scenario,) = (
            found
            for found in read_scenarios(mesh.root / narrative.folder, mesh.root, typed)
            if _is_at(found.path, mesh, path)
        )
        accept_result(run_scenario(scenario, typed, mesh.open_engine))
    except DefinitionErrors:
        (mesh.root / path).unlink()
        raise
    return path


def _is_at(found: Path, mesh: Mesh, path: str) -> bool:
    return found.resolve() == (mesh.root / path).resolve()


def _given_rows(build: Build, case_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each role that belong to the case, in values of YAML."""
    write_cases_and_precedents(build)
    with build.open_engine() as engine:
        cases = cases_with_precedents(build, engine)
        found = engine.fetch_rows(cases.filter(cases["case_id"] == case_id))
        if not found:
            known = engine.fetch_table(cases.select("case_id").limit(_MAX_NAMED))["case_id"].to_pylist()
            raise WrongUsage(f"'{build.narrative.id}' has no case {case_id}", suggest_name(case_id, known))
    substitutes: dict[Any, str] = {}
    given: dict[str, list[dict[str, Any]]] = {}
    for role in build.typed.cast.roles.values():
        value = found[0][role.column]
        rows = value if isinstance(value, list) else [value] if value is not None else []
        given[role.name] = [_row(row, build.contracts[role.name], substitutes) for row in rows]
    return {role: rows for role, rows in given.items() if rows}


def _row(row: Mapping[str, Any], contract: Contract, substitutes: dict[Any, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, item in contract.properties.items():
        value = row.get(name)
        if isinstance(item.type, Struct | Array):
            continue
        if value is not None and item.classification == "restricted":
            words = substitutes.setdefault(value, f"restricted {len(substitutes) + 1}")
            values[name] = words if isinstance(item.type, Text) else None
        else:
            values[name] = _as_yaml_value(value)
    return values


def _as_yaml_value(value: Any) -> Any:
    match value:
        case Decimal():
            return f"{value:f}"
        case date():
            return value.isoformat()
        case _:
            return value
