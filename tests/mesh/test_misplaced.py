"""Files that look like definitions and are read by nobody are seen; everything else may lie where it lies."""

from pathlib import Path

import pytest

from storymesh.mesh.misplaced import misplaced_files

READ = (
    "mesh.yaml", "workspace.yaml", "README.md", "contracts/road/repairs.odcs.yaml", "contracts/road/README.md",
    "domains/road/domain.yaml", "domains/road/products/repairs.odps.yaml", "domains/road/dbt_project.yml",
    "domains/road/models/schema.yml", "domains/road/sources/narrative.yml", "domains/road/target/x.odcs.yaml",
    "domains/road/.hidden/x.odcs.yaml", "narratives/stories/narrative.yaml", "narratives/stories/ask.md.jinja",
    "narratives/stories/scenarios/one.yaml",
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "kind", "place"),
    [
        ("contract/shipping/ports.odcs.yaml", "a contract", "contracts/<domain>/<product>.odcs.yaml"),
        ("mesh.yml", "the settings", "mesh.yaml"),
        ("contracts/road/repairs.odcs.yml", "a contract", "contracts/<domain>/<product>.odcs.yaml"),
        ("contracts/road/repairs.yaml", "a contract", "contracts/<domain>/<product>.odcs.yaml"),
        ("contracts/road/repairs.odsc.yaml", "a contract", "contracts/<domain>/<product>.odcs.yaml"),
        ("contracts/road/repairs.odcs.json", "a contract", "contracts/<domain>/<product>.odcs.yaml"),
        ("contracts/repairs.odcs.yaml", "a contract", "contracts/<domain>/<product>.odcs.yaml"),
        ("contracts/road/old/repairs.odcs.yaml", "a contract", "contracts/<domain>/<product>.odcs.yaml"),
        ("domains/road/repairs.odcs.yaml", "a contract", "contracts/<domain>/<product>.odcs.yaml"),
        ("domains/road/repairs.odps.yaml", "a product", "domains/<domain>/products/<product>.odps.yaml"),
        ("domains/road/products/repairs.odps.yml", "a product", "domains/<domain>/products/<product>.odps.yaml"),
        ("domains/road/products/repairs.yaml", "a product", "domains/<domain>/products/<product>.odps.yaml"),
        ("contracts/road/repairs.odps.yaml", "a product", "domains/<domain>/products/<product>.odps.yaml"),
        ("domains/road/domain.yml", "a domain", "domains/<domain>/domain.yaml"),
        ("narratives/stories/narrative.yml", "a narrative", "narratives/<narrative>/narrative.yaml"),
        ("narratives/stories/narratives.yaml", "a narrative", "narratives/<narrative>/narrative.yaml"),
        ("narratives/narrative.yaml", "a narrative", "narratives/<narrative>/narrative.yaml"),
        ("narratives/group/stories/narrative.yaml", "a narrative", "narratives/<narrative>/narrative.yaml"),
        ("narratives/stories/scenarios/one.yml", "a scenario", "narratives/<narrative>/scenarios/<name>.yaml"),
        ("narratives/stories/scenario/one.yaml", "a scenario", "narratives/<narrative>/scenarios/<name>.yaml"),
        ("narratives/stories/one.yaml", "a scenario", "narratives/<narrative>/scenarios/<name>.yaml"),
        ("narratives/stories/ask.md.jinja2", "a template", "narratives/<narrative>/<name>.jinja"),
        ("narratives/stories/parts/ask.md.jinja", "a template", "narratives/<narrative>/<name>.jinja"),
    ],
)
def test_a_misplaced_file_is_seen(path: str, kind: str, place: str, tmp_path: Path) -> None:
    for name in (*READ, path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a: 1\n", encoding="utf-8")
    words = f"this file looks like {kind}, and is read by nobody (the place is {place})"
    assert [str(finding) for finding in misplaced_files(tmp_path)] == [f"{path}:1:1: warning[not-read]: {words}"]
