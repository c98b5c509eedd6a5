"""`storymesh new narrative` and `new scenario`: every product that happens begins a narrative that `check` passes."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storymesh.mesh.check import check_mesh
from storymesh.mesh.mesh import load_mesh
from storymesh.narrative.scenario import read_scenarios
from storymesh.scaffold.narrative import OutcomeGuess, draft_narrative, likely_anchors, narrative_files
from storymesh.scaffold.product_rows import ProductRows
from tests.support.paths import ROOT

Command = Callable[..., Any]
MESHES = [ROOT, *sorted(path for path in (ROOT / "tests/meshes").iterdir() if path.is_dir())]


def definitions_of(root: Path, copy: Path) -> Path:
    """Copy the files that `check` reads."""
    for part in ("domains", "contracts", "narratives"):
        shutil.copytree(root / part, copy / part)
    for name in ("mesh.yaml", "workspace.yaml"):
        if (root / name).exists():
            shutil.copy(root / name, copy / name)
    return copy


@pytest.mark.parametrize("root", MESHES, ids=lambda root: root.name)
def test_every_product_that_happens_begins_a_narrative(root: Path, tmp_path: Path) -> None:
    mesh = load_mesh(definitions_of(root, tmp_path / "mesh"))
    before = check_mesh(mesh)
    anchors = likely_anchors(mesh)
    assert anchors
    with ProductRows.of(mesh) as rows:
        drafts = [draft_narrative(mesh, rows, anchor, f"drafted-{index}") for index, anchor in enumerate(anchors)]
    for index, draft in enumerate(drafts):
        narrative_files(draft, "team", "other", None).write(mesh.root)
        if draft.closes is not None:  # its question too, whatever comes of it
            outcome = OutcomeGuess('"x"', "1", "true", ())
            asked = replace(draft, id=f"asked-{index}", outcome=outcome, match=(draft.anchor.contract.key[0],))
            narrative_files(asked, "team", "other", None).write(mesh.root)
    again = load_mesh(mesh.root)
    found = [finding for finding in check_mesh(again) if finding not in before]
    # What a narrative is for, where nothing leaves a premise without a purpose, is its author's to say.
    assert [str(finding) for finding in found if finding.rule != "no-purpose"] == []


def test_a_narrative_has_the_links_and_the_outcome_that_the_contracts_show(harbour: Path, storymesh: Command) -> None:
    done = storymesh(harbour, "new", "narrative", "yard.repairs", "--id", "repair-stories")
    assert done.code == 0, done.err
    mesh = load_mesh(harbour)
    narrative = mesh.narrative("repair-stories")
    assert {role: member.product for role, member in narrative.cast.items()} == {
        "repair": "yard.repairs", "boat": "fleet.boats",
    }  # fmt: skip
    assert (narrative.case.at, narrative.case.closes) == ("repair.reported_at", "repair.done_at")
    assert narrative.case.links["boat"].expect == "optional"
    assert narrative.dataset.split is not None, "by the times of the rows"
    assert "skipper" not in narrative.templates["report.md.jinja"].replace("not printed: skipper", ""), "restricted"


def test_rows_are_linked_by_values_that_all_are_keys(tmp_path: Path, storymesh: Command) -> None:
    faults = [f"F{n},2024-0{1 + n % 3}-0{1 + n % 9} 10:00,{'abc'[n % 3]}" for n in range(30)]
    (tmp_path / "faults.csv").write_text("\n".join(["no,raised_at,kind", *faults]), encoding="utf-8")
    visits = [f"{n},F{n % 12},2024-04-01 1{n % 9}:00,F{n % 3}" for n in range(240)]
    (tmp_path / "visits.csv").write_text("\n".join(["id,reason,started,mark", *visits]), encoding="utf-8")
    trips = [f"{n},T{n},2024-04-02 10:00" for n in range(40)]
    (tmp_path / "trips.csv").write_text("\n".join(["id,reason,began", *trips]), encoding="utf-8")
    sources = [part for name in ("visits", "trips", "faults") for part in ("--from", f"{name}.csv")]
    assert storymesh(tmp_path, "new", "mesh", "wind", "--domain", "desk", *sources).code == 0
    done = storymesh(tmp_path / "wind", "new", "narrative", "desk.faults")
    assert done.code == 0, done.err
    assert "visits: desk.visits on reason = fault.no (any): every reason is a key of desk.faults" in done.out
    narrative = load_mesh(tmp_path / "wind").narrative("fault-stories")
    assert {*narrative.cast} == {"fault", "visits"}, "the reasons of trips are no keys"
    assert storymesh(tmp_path / "wind", "check").code == 0


def test_words_for_yes_and_no_are_codes_which_a_person_can_judge_by(tmp_path: Path, storymesh: Command) -> None:
    """Which word of which language says yes nobody can tell from the data: both are offered, neither is taken."""
    rows = [
        f"F{n},2024-0{1 + n % 3}-0{1 + n % 9} 10:00,{'2024-04-01 09:00,' + ('sí', 'no')[n % 2] if n % 5 else ','}"
        for n in range(60)
    ]
    (tmp_path / "faults.csv").write_text("\n".join(["id,raised_at,closed_at,solved", *rows]), encoding="utf-8")
    made = storymesh(tmp_path, "new", "mesh", "wind", "--domain", "desk", "--from", "faults.csv")
    assert 'enum: 2 values in 48 rows; for yes or no a condition names one: `solved == "no"`' in " ".join(
        made.out.split()
    )
    solved = load_mesh(tmp_path / "wind").contract("desk.faults").properties["solved"]
    assert (str(solved.type), solved.enum, solved.known_at) == ("text", ("no", "sí"), "closed_at")
    done = storymesh(tmp_path / "wind", "new", "narrative", "desk.faults")
    assert '`worked: fault.solved == "no"` or `worked: fault.solved == "sí"`' in done.out, done.out
    assert load_mesh(tmp_path / "wind").narrative("fault-stories").case.outcome is None


def test_the_likeliest_case_is_one_with_an_outcome_and_what_no_code_matches_has_no_advice(
    tmp_path: Path, storymesh: Command
) -> None:
    nudges = ("call", "letter")
    loans = [
        f"{n},2024-0{1 + n % 3}-0{1 + n % 9} 10:00,{f'2024-05-01 09:00,{nudges[n % 2]},true' if n % 5 else ',,'}"
        for n in range(60)
    ]
    (tmp_path / "loans.csv").write_text("\n".join(["loan_no,lent_at,back_at,nudge,good", *loans]), encoding="utf-8")
    alarms = [f"A{n},{n},2024-02-01 10:00,{'2024-04-02 10:00,7' if n % 5 else ','}" for n in range(60)]
    (tmp_path / "alarms.csv").write_text("\n".join(["id,loan_no,rang_at,off_at,level", *alarms]), encoding="utf-8")
    sources = ["--from", "loans.csv", "--from", "alarms.csv"]
    assert storymesh(tmp_path, "new", "mesh", "books", "--domain", "desk", *sources).code == 0
    done = storymesh(tmp_path / "books", "new", "narrative")
    assert "no code of desk.loans (an enum) is known when a case begins" in " ".join(done.out.split()), done.out
    narrative = load_mesh(tmp_path / "books").narrative("loan-stories")
    assert (narrative.case.outcome is not None, {*narrative.templates}) == (True, {"report.md.jinja"})
    checked = storymesh(tmp_path / "books", "check")
    assert (checked.code, "no findings" in checked.err) == (0, True), checked.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["yard.repair"], "there is no contract 'yard.repair'\n  did you mean 'yard.repairs'?"),
        (["fleet.boats"], "nothing says when a row of 'fleet.boats' became true"),
        (["yard.repairs", "--id", "Late"], "'Late' is no id of a narrative"),
        (["yard.repairs", "--id", "yard"], "'yard' is the name of a domain"),
        (["yard.repairs", "--id", "late-repairs"], "is written over"),
    ],
)
def test_wrong_usage_is_said_in_words(storymesh: Command, harbour: Path, arguments: list[str], words: str) -> None:
    done = storymesh(harbour, "new", "narrative", *arguments)
    assert (done.code, words in done.err) == (2, True), done.err


def test_a_scenario_of_a_real_case_passes(released_harbour: Path, storymesh: Command) -> None:
    done = storymesh(released_harbour, "new", "scenario", "late-repairs", "--case", "R007")
    assert done.code == 0, done.err
    assert storymesh(released_harbour, "scenario").code == 0
    mesh = load_mesh(released_harbour)
    typed = mesh.typed(mesh.narrative("late-repairs"))
    written = {found.case: found for found in read_scenarios(mesh.root / "narratives/late_repairs", mesh.root, typed)}
    assert "R007" in written
    assert "Skipper" not in written["R007"].path.read_text(encoding="utf-8"), "a restricted value"
    again = storymesh(released_harbour, "new", "scenario", "late-repairs", "--case", "R007")
    assert (again.code, "is written over" in again.err) == (2, True)
    assert "has no case R9" in storymesh(released_harbour, "new", "scenario", "late-repairs", "--case", "R9").err
