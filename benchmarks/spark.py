"""A mesh on DuckDB and on Spark: whether the digests are equal, and what each takes.

    python -m benchmarks.spark --mesh FOLDER --narrative NAME --at 'local[1]' 'local[2]' server

FOLDER is a mesh after `storymesh run`. `server` is Spark Connect with ANSI off. Every engine has a process and a copy
of the mesh of its own. CPU seconds are those of cases, precedents, records and release, with Java. Exit 1 where a
digest differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.reference import ROOT

SETTINGS = {"spark.ui.enabled": "false", "spark.log.level": "ERROR", "spark.driver.memory": "3g"}
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", type=Path, required=True)
    parser.add_argument("--narrative", required=True)
    parser.add_argument("--at", nargs="+", default=["local[2]", "server"])
    parser.add_argument("--partitions", default="4", help="spark.sql.shuffle.partitions (default: %(default)s)")
    parser.add_argument("--measure", metavar="ENGINE", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.measure:
        print(json.dumps(measure(wanted.mesh, wanted.narrative, json.loads(wanted.measure))))
        return 0
    settings = {**SETTINGS, "spark.sql.shuffle.partitions": wanted.partitions}
    digests = set()
    print("| engine | wall s | CPU s | records | digest |\n|---|---|---|---|---|")
    for place in ["duckdb", *wanted.at]:
        with tempfile.TemporaryDirectory(prefix="storymesh-spark-") as folder, ExitStack() as ending:
            engine: Any = {"spark": {"master": place, "settings": settings}}
            if place == "duckdb":
                engine = place
            elif place == "server":
                from tests.support.spark import connect_server

                server = ending.enter_context(
                    connect_server("local[2]", {**settings, "spark.sql.ansi.enabled": "false"})
                )
                engine = {"spark": {"remote": server.address.remote}}
            mesh = copy_of(wanted.mesh, Path(folder) / "mesh", engine)
            found = in_a_process(mesh, wanted.narrative, engine)
        digests.add(found["digest"])
        cpu = f"{found['cpu']:.0f}" if place != "server" else ""  # the server's own is not ours to see
        row = [place, f"{found['wall']:.0f}", cpu, f"{found['records']:,}", found["digest"][:12]]
        print(f"| {' | '.join(row)} |", flush=True)
    return 1 if len(digests) > 1 else 0


def copy_of(mesh: Path, root: Path, engine: Any) -> Path:
    """Copy a mesh with its products, without builds and releases, and name the engine in it."""
    left_out = shutil.ignore_patterns(".git", ".venv*", "releases", "logs", "target")
    shutil.copytree(mesh, root, symlinks=True, ignore=left_out)
    shutil.rmtree(root / ".storymesh" / "narratives", ignore_errors=True)
    settings = root / "mesh.yaml"
    before = settings.read_text("utf-8") if settings.is_file() else ""
    settings.write_text(f"{before}\nengine: {json.dumps(engine)}\n", encoding="utf-8")
    return root


def in_a_process(mesh: Path, narrative: str, engine: Any) -> dict[str, Any]:
    words = ["--mesh", str(mesh), "--narrative", narrative, "--measure", json.dumps(engine)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.spark", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(root: Path, name: str, engine: Any) -> dict[str, Any]:
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin_build
    from storymesh.release.rewritten_records import write_all_records
    from storymesh.release.write import write_release

    if engine != "duckdb":
        from tests.support.spark import pyspark_folder

        pyspark_folder()
    mesh = load_mesh(root)
    build = pin_build(mesh, mesh.narrative(name))
    if build.files.cases.exists():
        raise SystemExit(f"{build.files.folder} has been built before, and nothing would be measured")
    began, used = time.monotonic(), cpu_seconds()
    write_all_records(build)
    release = write_release(build)
    return {
        "wall": time.monotonic() - began,
        "cpu": cpu_seconds() - used,
        "digest": release.manifest.digest,
        "records": release.manifest.records,
    }


def cpu_seconds() -> float:
    """Return what this process and all that it has started have used, of those that live."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
        used[int(status.parent.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    family = [os.getpid()]
    for process in family:
        family.extend(children.get(process, []))
    return sum(used.get(process, 0.0) for process in family)


if __name__ == "__main__":
    sys.exit(main())
