"""`storymesh compat`: whom a change of a contract breaks, in words, at its line, by what is really read."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.compatibility.compare import Compatibility, compare_mesh, is_step, next_version
from storymesh.errors import WrongUsage
from storymesh.mesh.check import check_files
from storymesh.mesh.mesh import load_mesh
from storymesh.scaffold.new_version import begin_next_version

Command = Callable[..., Any]
BOATS = "contracts/fleet/boats.odcs.yaml"
NARRATIVE = "narratives/late_repairs/narrative.yaml"
BEFORE = "late-repairs@1.0.0-r1"


def edit(root: Path, path: str, *replaced: str) -> None:
    text = (root / path).read_text(encoding="utf-8")
    for old, new in zip(replaced[::2], replaced[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new)
    (root / path).write_text(text, encoding="utf-8")


def git(folder: Path, *words: str) -> None:
    own = {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, env=own, capture_output=True)


def errors(found: Compatibility) -> list[str]:
    return [str(finding) for finding in found.findings if finding.severity == "error"]


def told(root: Path, config: str, *needles: str) -> set[str]:
    """The ids of the released records whose text has one of the needles."""
    files = (root / "releases/late-repairs/1.0.0-r1/data" / config).glob("*.parquet")
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return {row["id"] for row in rows if any(needle in json.dumps(row, default=str) for needle in needles)}


def test_nothing_has_changed(released_harbour: Path) -> None:
    found = compare_mesh(released_harbour, BEFORE)
    assert (found.compared, found.contracts, found.findings, found.notes) == (2, (), (), ())


def test_a_broken_promise_is_an_error_at_its_line_with_who_reads_it(released_harbour: Path, storymesh: Command) -> None:
    edit(released_harbour, BOATS, "name: kind, logicalType: string, required: true", "name: kind, logicalType: string")
    done = storymesh(released_harbour, "compat", "--against", BEFORE)
    assert done.code == 1
    first, *rest = done.out.splitlines()
    assert first.startswith(f"{BOATS}:18:9: error[breaking-change]: 'kind' may be null now: it breaks who relies on")
    assert "'fleet.boats' 1.0.0; read by late-repairs (report, advice)" in first
    assert "make the version 2.0.0 and keep version 1 beside it as 'fleet.boats_v1'" in first
    assert "fleet.boats 1.0.0 -> 1.0.0, asks for 2.0.0" in rest
    assert "1 of 2 contracts changed since late-repairs 1.0.0-r1: 1 error" in done.err

    github = storymesh(released_harbour, "compat", "--against", BEFORE, "--format", "github")
    assert github.out.startswith(f"::error file={BOATS},line=18,col=9,title=breaking-change::'kind' may be null now")
    sarif = json.loads(storymesh(released_harbour, "compat", "--against", BEFORE, "--format", "sarif").out)
    assert [result["ruleId"] for result in sarif["runs"][0]["results"]] == ["breaking-change"]
    content = json.loads(storymesh(released_harbour, "compat", "--against", BEFORE, "--format", "json").out)
    (contract,) = content["contracts"]
    assert (contract["wanted"], contract["step"]) == ("2.0.0", "major")
    assert [change["rule"] for change in contract["changes"]] == ["required"]
    assert content["findings"][0]["line"] == 18


def test_the_stories_that_change_are_those_that_tell_of_it(released_harbour: Path) -> None:
    edit(released_harbour, BOATS, "label: tug boat", "label: tug")
    found = compare_mesh(released_harbour, BEFORE)
    assert [(finding.rule, finding.severity) for finding in found.findings] == [("version-step", "warning")]
    (reader,) = found.contracts[0].readers
    assert (reader.name, reader.release) == ("late-repairs", "1.0.0-r1")
    for effect in reader.configs:
        changed = told(released_harbour, effect.config, "tug boat")
        assert (effect.properties, effect.stories) == (("kind",), len(changed))
        assert effect.released is not None and 0 < len(changed) < effect.released
        assert set(effect.examples) <= changed
        assert len(effect.examples) == 3
    edit(released_harbour, BOATS, "version: 1.0.0", "version: 1.1.0")
    assert compare_mesh(released_harbour, BEFORE).findings == ()


def test_rows_that_would_be_refused_are_counted_with_their_stories(released_harbour: Path) -> None:
    edit(released_harbour, BOATS, "{minimum: 1}", "{minimum: 12}", "version: 1.0.0", "version: 1.1.0")
    found = compare_mesh(released_harbour, BEFORE)
    assert found.findings == ()
    (contract,) = found.contracts
    assert contract.refused is not None
    assert (contract.refused.rows, contract.refused.refused) == (6, 2)
    assert set(contract.refused.keys) == {"boat-0", "boat-1"}
    by_config = {effect.config: effect for effect in contract.readers[0].configs}
    assert by_config["report"].properties == ("length",)
    assert by_config["advice"].properties == ("*",), "it reads no length, and its boats are gone all the same"
    for config, effect in by_config.items():
        assert effect.stories == len(told(released_harbour, config, "boat-0", "boat-1"))


def test_a_property_that_nobody_reads_changes_no_story(released_harbour: Path) -> None:
    edit(
        released_harbour,
        BOATS,
        "name: skipper, logicalType: string, required: true",
        "name: captain, logicalType: string",
    )
    found = compare_mesh(released_harbour, BEFORE)
    assert any("'skipper' is now called 'captain'" in error and "read by" not in error for error in errors(found))
    assert found.contracts[0].readers == ()


def test_a_new_major_lives_beside_the_old_until_its_readers_have_moved(released_harbour: Path) -> None:
    mesh = load_mesh(released_harbour)
    begun = begin_next_version(mesh, mesh.product("fleet.boats"))
    assert (begun.version, begun.kept_as) == ("2.0.0", "fleet.boats_v1")
    edit(
        released_harbour,
        BOATS,
        "name: length, logicalType: integer, required: true",
        "name: length, logicalType: integer",
    )
    assert not [finding for finding in check_files(released_harbour) if finding.severity == "error"]
    moved = load_mesh(released_harbour)
    narrative = moved.narrative("late-repairs")
    assert narrative.cast["boat"].product == "fleet.boats_v1", "the cast says fleet.boats@1"
    assert moved.typed(narrative).contracts["boat"].properties["length"].required
    found = compare_mesh(released_harbour, BEFORE)
    assert found.findings == ()
    assert [(one.product, one.new_version, one.kept_as) for one in found.contracts] == [
        ("fleet.boats", "2.0.0", "fleet.boats_v1")
    ]

    edit(released_harbour, NARRATIVE, "boats@1", "boats@2")
    assert [finding.rule for finding in check_files(released_harbour) if finding.severity == "error"] == ["may-be-null"]
    edit(released_harbour, NARRATIVE, "boats@2", "boats@1")
    for path in begun.paths:
        (released_harbour / path).unlink()
    (error,) = errors(compare_mesh(released_harbour, BEFORE))
    assert (
        "error[old-version-gone]: 'fleet.boats' is at version 2.0.0, and version 1 is gone; read by late-repairs"
        in error
    )
    (refused,) = [str(one) for one in check_files(released_harbour) if one.severity == "error"]
    assert "the cast wants major version 1" in refused
    assert "keep the old version as 'fleet.boats_v1'" in refused


def test_a_contract_that_is_gone_while_it_is_cast_is_told_in_words(released_harbour: Path, storymesh: Command) -> None:
    (released_harbour / BOATS).rename(released_harbour / "contracts/fleet/boat.odcs.yaml")
    for command in (["compat", "--against", BEFORE], ["check"], ["run"], ["preview", "late-repairs", "report"]):
        done = storymesh(released_harbour, *command)
        assert done.code == 1, command
        assert "Traceback" not in done.out + done.err
        assert "boats" in done.out + done.err
    (released_harbour / "contracts/fleet/boat.odcs.yaml").unlink()
    found = compare_mesh(released_harbour, BEFORE)
    (error,) = errors(found)
    assert error.startswith(f"{BOATS}:1:1: error[contract-gone]: the contract of 'fleet.boats' 1.0.0 is gone; read by")


def test_a_commit_of_git_is_read_without_touching_anything(harbour: Path) -> None:
    repository = harbour.parent
    (harbour / "contracts/fleet/out.odcs.yaml").symlink_to("/etc/passwd")
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "before")
    (harbour / "contracts/fleet/out.odcs.yaml").unlink()
    edit(harbour, BOATS, "name: kind, logicalType: string, required: true", "name: kind, logicalType: string")
    found = compare_mesh(harbour, "HEAD")
    assert found.against.startswith("HEAD (")
    assert len(errors(found)) == 1
    reader, product = found.contracts[0].readers
    assert [(effect.config, effect.stories) for effect in reader.configs] == [("report", None), ("advice", None)]
    assert (product.kind, product.name) == ("product", "yard.repairs")
    for name in ("no-such-branch", "--output=x", "HEAD:contracts", "-h", ""):
        with pytest.raises(WrongUsage):
            compare_mesh(harbour, name)
    assert not (repository / "x").exists()


def test_what_is_deprecated_warns_its_readers(harbour: Path) -> None:
    edit(harbour, BOATS, "name: length,", "name: length, deprecated: true, description: Use metres.,")
    edit(harbour, BOATS, "name: skipper,", "name: skipper, deprecated: true,")
    (found,) = [str(finding) for finding in check_files(harbour)]
    assert found.startswith(f"{NARRATIVE}:11:9: warning[deprecated]: 'boat.length' is deprecated by 'fleet.boats', ")
    assert found.endswith("and read by 'report' (Use metres.)")
    edit(harbour, BOATS, "status: active", "status: deprecated")
    assert [finding.rule for finding in check_files(harbour)] == ["deprecated", "deprecated"]


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [("1.0.0", "1.0.1", "patch"), ("1.4.2", "1.5.0", "minor"), ("v1", "v2.0.0", "major"), ("0.9", "1.0.0", "major")],
)
def test_the_next_version_is_one_step_on(old: str, new: str, step: Any) -> None:
    assert next_version(old, step) == new
    assert is_step(old, new, step)
    assert not is_step(new, old, step)
    assert not is_step(old, old, step)
