"""What people write wrong is answered in their file, at their line, before anything runs."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.whole_mesh import Preloaded, copied


@dataclass(frozen=True)
class Broken:
    """A file of the mesh `built_on` with `old` replaced by `new` (a file that is not there is made); where and by which
    rule that is found."""

    path: str
    old: str
    new: str
    found: str


BROKEN = [
    Broken("mesh.yaml", "", "store: .storymesh\nrelases: out\n", r"2:1: error\[.+releases"),
    Broken("domains/quay/domain.yaml", "owner: quay@example.com", "owner: [quay]", r"3:\d+: error\[.+owner"),
    Broken("domains/quay/domain.yaml", "title: Quay office", "title: Quay: office", r"2:\d+: error\["),
    Broken("contracts/quay/calls.odcs.yaml", "primaryKey: true", "primaryKey: maybe", r"21:\d+: error\["),
    Broken("domains/desk/products/late_calls.odps.yaml", "kind: DataProduct", "kind: Product", r"2:\d+: error\["),
    Broken(
        "narratives/late_calls/narrative.yaml", "ship: late_call.ship", "ship: late_call.shp", r"18:\d+: error\[.+ship"
    ),
    Broken("narratives/late_calls/report.md.jinja", "minutes_late", "minutes_lat", r"1:\d+: error\[.+minutes_late"),
    Broken("narratives/late_calls/report.md.jinja", "}} late on", "} late on", r"1:\d+: error\["),
    Broken("workspace.yaml", "load_from:", "load_from: [", r"\d+:\d+: error\["),
    Broken("domains/desk/dbt_project.yml", "name: desk", "name: [desk", r"\d+:\d+: error\["),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{Path(broken.path).name}: {broken.new.strip()[:20]}")
def test_a_broken_file_is_one_finding_and_nothing_runs(broken: Broken, preloaded: Preloaded, tmp_path: Path) -> None:
    mesh = copied("tests/meshes/built_on", tmp_path / "mesh")
    path = mesh / broken.path
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert broken.old in text
    path.write_text(text.replace(broken.old, broken.new, 1) if broken.old else broken.new, encoding="utf-8")
    ran = preloaded.run("run", mesh=mesh)
    assert ran.code == 1, ran.output
    findings = [line for line in ran.output.splitlines() if re.match(r"\S+:\d+:\d+: error\[[a-z-]+\]: ", line)]
    assert len(findings) == 1, ran.output
    assert re.match(re.escape(broken.path) + ":" + broken.found, findings[0]), findings[0]
    assert not (mesh / ".storymesh").exists()
    assert not (mesh / "releases").exists()
