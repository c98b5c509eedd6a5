"""storymesh on a drawn narrative, as a run of its assets does it: `python -m benchmarks.generated.ours INPUTS OUT`."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.generated.narrative import draw_narrative
from benchmarks.stories.inputs import Stages

if TYPE_CHECKING:
    from storymesh.dataset.build import Build


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    os.environ["STORYMESH_THREADS"], os.environ["STORYMESH_MEMORY"] = str(given["threads"]), given["memory"]
    from storymesh.release.write import write_release

    stages, build = Stages(out), build_of(given["seed"], Path(given["folder"]), out)
    render(build, stages, out)
    with stages.measured("release"):
        manifest = write_release(build).manifest
    stages.write()
    summary = {"digest": manifest.digest, "records": manifest.records, "drops": manifest.drops}
    (out / "release.json").write_text(json.dumps(summary), encoding="utf-8")


def render(build: "Build", stages: Stages, out: Path) -> None:
    """Make the records of every config, and copy them to `out`."""
    from storymesh.dataset.stages import write_cases, write_precedents, write_records

    with stages.measured("cases"):
        write_cases(build)
    if build.narrative.case.precedents is not None:
        with stages.measured("precedents"):
            write_precedents(build)
    for config in build.configs:
        with stages.measured(config):
            write_records(build, config)
        shutil.copyfile(build.files.records(config), out / f"{config}.parquet")


def build_of(seed: int, folder: Path, root: Path) -> "Build":
    """Return a build of a seed's narrative on the products in `folder`; what it writes goes below `root`."""
    from benchmarks.reference import snapshot_of_file

    from storymesh.contract.read import read_contract
    from storymesh.dataset.build import Build
    from storymesh.engine.open import open_engine
    from storymesh.narrative.definition import read_narrative
    from storymesh.narrative.typed import type_narrative

    mesh = root / "mesh"
    narrative = read_narrative(draw_narrative(seed).write(mesh), mesh)
    contracts = {
        role: read_contract(mesh / "contracts" / "world" / f"{role}.odcs.yaml", mesh) for role in narrative.cast
    }
    snapshots = {role: snapshot_of_file(contract, folder / f"{role}.parquet") for role, contract in contracts.items()}
    typed = type_narrative(narrative, contracts)
    return Build(typed, snapshots, root / "store", root / "releases", open_engine, own_key=b"a key of the benchmark")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
