"""Every mesh of the tests on Spark: whether each of its narratives has the digest that DuckDB makes.

    python -m benchmarks.spark_meshes [FOLDER …]

Without folders: those in `tests/meshes`, and the reference mesh. Each is copied and run with DuckDB, dbt and all; then
each of its narratives is told again by both engines. One whose sources are not there (a database, a server of files, a
model) is named and left out: run it where they are, and compare it with `benchmarks.spark`. Exit 1 where a digest
differs.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.reference import ROOT
from benchmarks.spark import SETTINGS, copy_of, in_a_process

LEFT_OUT = shutil.ignore_patterns(".*", "tests", "releases", "target", "benchmarks", "platform", "deploy")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path, nargs="*")
    parser.add_argument("--at", default="local[2]", help="Spark's master (default: %(default)s)")
    wanted = parser.parse_args()
    every = [path.parent for path in sorted((ROOT / "tests" / "meshes").glob("*/domains"))]
    same = True
    print("| mesh | narrative | records | DuckDB CPU s | Spark CPU s | digest |\n|---|---|---|---|---|---|")
    for mesh in wanted.meshes or [*every, ROOT]:
        with tempfile.TemporaryDirectory(prefix="storymesh-spark-") as folder:
            for row in compare(mesh.resolve(), Path(folder).resolve(), wanted.at):
                same &= "differs" not in row[-1]
                print(f"| {' | '.join(row)} |", flush=True)
    return 0 if same else 1


def compare(mesh: Path, folder: Path, master: str) -> list[tuple[str, ...]]:
    """Return a row for each narrative of a mesh; its last cell says whether both engines agree, or that none runs."""
    from storymesh.mesh.mesh import load_mesh

    # As deep as in a checkout, beside which the public data lies.
    copied = folder / "checkout" / "tests" / "meshes" / mesh.name
    shutil.copytree(mesh, copied, ignore=LEFT_OUT)
    (folder / "shared").symlink_to(ROOT.parent / "shared", target_is_directory=True)
    command = [sys.executable, "-m", "storymesh.cli", "run", "--mesh", str(copied)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{mesh} does not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}", file=sys.stderr)
        return [(mesh.name, "", "", "", "", "does not run here")]
    settings = {**SETTINGS, "spark.sql.shuffle.partitions": "4"}
    rows = []
    for narrative in load_mesh(copied).narratives:
        found = []
        for number, engine in enumerate(("duckdb", {"spark": {"master": master, "settings": settings}})):
            root = copy_of(copied, folder / f"{narrative}-{number}", engine)
            found.append(in_a_process(root, narrative, engine))
        ours, theirs = found
        verdict = ours["digest"][:12] if ours["digest"] == theirs["digest"] else "differs"
        rows.append(
            (mesh.name, narrative, f"{ours['records']:,}", f"{ours['cpu']:.0f}", f"{theirs['cpu']:.0f}", verdict)
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
