"""One team's mistake stops that team and who reads from it, is told in words, and leaves the others running."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storymesh.errors import DefinitionErrors, WrongUsage
from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration import definitions
from storymesh.orchestration.load_locations import load_code_locations
from storymesh.orchestration.run.execute import execute_run

Command = Callable[..., Any]
Edit = Callable[[str, str, str], None]


def test_a_domain_with_an_error_leaves_the_rest_running(harbour: Path, edit: Edit, storymesh: Command) -> None:
    edit("contracts/yard/repairs.odcs.yaml", "version: 1.0.0", "version: one")
    done = storymesh(harbour, "run")
    assert done.code == 1
    assert "contracts/yard/repairs.odcs.yaml:5:10: error[version]: 'one' is not a version" in done.out
    assert "1 error: nothing was run; without errors are fleet: they run when they are named" in done.err
    assert not (harbour / ".storymesh").exists()
    own = storymesh(harbour, "run", "fleet")
    assert own.code == 0, "another team's error is not this one's"
    assert "1 error: left out with what is built on it: yard" in own.err
    assert "fleet.boats" in own.out and "new" in own.out
    assert "nothing has changed since the last run" in storymesh(harbour, "run", "fleet").out
    assert storymesh(harbour, "run", "fleet+").code == 1, "what is built on it was asked for"
    for word in ("yard", "yard.repairs", "late-repairs", "fleet.boats yard"):
        refused = storymesh(harbour, "run", word)
        assert refused.code == 1
        assert refused.err == "1 error: nothing was run\n"
    assert definitions(str(harbour / "domains/fleet/definitions.py")).assets
    for folder in ("domains/yard", "narratives"):
        with pytest.raises(DefinitionErrors, match="'one' is not a version"):
            definitions(str(harbour / folder / "definitions.py"))


def test_an_error_of_a_narrative_stops_no_product(harbour: Path, edit: Edit, storymesh: Command) -> None:
    edit("narratives/late_repairs/report.md.jinja", "boat.length", "boat.lenght")
    done = storymesh(harbour, "run", "fleet", "--again")
    assert (done.code, "left out with what is built on it: late-repairs" in done.err) == (0, True)
    assert storymesh(harbour, "run", "late-repairs").code == 1
    edit("domains/fleet/domain.yaml", "owner: fleet@example.com", "owner: fleet@example.com\nowners: []")
    assert storymesh(harbour, "run").err == "1 error: nothing was run\n", "all is built on the boats"


def test_a_location_that_does_not_load_fails_in_words_and_alone(harbour: Path) -> None:
    (harbour / "domains/yard/definitions.py").write_text("\nimport no_such_module_of_ours\n", encoding="utf-8")
    outcome = execute_run(load_mesh(harbour), [], lambda event: None, harbour / "run.log")
    fleet, yard = outcome.products
    assert (fleet.state, yard.state) == ("new", "refused")
    assert "domains/yard/definitions.py:2 does not load: ModuleNotFoundError" in yard.reason
    assert [narrative.state for narrative in outcome.narratives] == ["left out"]


def test_a_location_makes_no_asset_under_the_name_of_another(harbour: Path) -> None:
    path = harbour / "domains/yard/definitions.py"
    own = path.read_text(encoding="utf-8")
    path.write_text(own.replace("__file__", "__file__.replace('yard', 'fleet')"), encoding="utf-8")
    with pytest.raises(WrongUsage, match="the location 'yard' makes the asset fleet/boats, which is not its own"):
        load_code_locations(load_mesh(harbour))
    more = "import dagster as dg\n@dg.asset(key_prefix='yard')\ndef extra() -> None: ...\n"
    path.write_text(f"{own}{more}defs = dg.Definitions.merge(defs, dg.Definitions([extra]))\n", encoding="utf-8")
    load_code_locations(load_mesh(harbour))
    path.write_text(path.read_text(encoding="utf-8").replace("'yard'", "'late_repairs'"), encoding="utf-8")
    with pytest.raises(WrongUsage, match="late_repairs/extra"):
        load_code_locations(load_mesh(harbour))
