"""The reference mesh at any size, without dbt and Iceberg: its products as Parquet files, and a build on them."""

import hashlib
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.dataset.build import Build
from storymesh.dataset.tables import cases_with_precedents
from storymesh.engine.open import open_engine
from storymesh.mesh.mesh import load_mesh
from storymesh.narrative.definition import read_narrative
from storymesh.narrative.typed import type_narrative
from storymesh.product.store import Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.engine.engine import Engine

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".storymesh" / "benchmarks"
NARRATIVE = "canal-exceptions"
# The narrative that hand-written programs tell too: it stays as they were written, whatever becomes of the mesh's own.
YARDSTICK = ROOT / "benchmarks" / "narratives" / NARRATIVE.replace("-", "_")
SEED = 7
TRUTH = "truth.parquet"


def products(delays: int, cache: Path = CACHE, world: str = "steady", seed: int = SEED) -> Path:
    """The folder of the products of `delays` delays and of the truth behind them; made unless it is there."""
    folder = cache / f"{world}-{seed}-{delays}-{_generator()}"
    if not folder.is_dir():
        staged = folder.with_name(f".{folder.name}.{os.getpid()}")
        command = [sys.executable, str(ROOT / "benchmarks" / "generate.py"), "--products", "--seed", str(seed)]
        command += ["--world", world, "--delays", str(delays), "--out", str(staged), "--truth", str(staged / TRUTH)]
        try:
            subprocess.run(command, check=True)
            staged.rename(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return folder


def pinned(folder: Path, store: Path, yardstick: Path | None = None, mesh: Path = ROOT) -> Build:
    """A build of the narrative of the `mesh`, or of the `yardstick`, on the products in `folder`; its files go to
    `store`."""
    loaded = load_mesh(mesh)
    narrative = loaded.narrative(NARRATIVE)
    if yardstick is not None:
        narrative = read_narrative(yardstick / "narrative.yaml", yardstick.parents[1])
    snapshots = {
        role: snapshot_of_file(
            loaded.contract(member.product), folder / f"{loaded.product(member.product).name}.parquet"
        )
        for role, member in narrative.cast.items()
    }
    return Build(
        type_narrative(narrative, loaded.cast_of(narrative)), snapshots, store, store / "releases", open_engine
    )


def _generator() -> str:
    """What names the generator's output: a digest of its files and of the public facts that it reads."""
    files = [*sorted((ROOT / "benchmarks" / "generator").glob("*.py")), ROOT / "benchmarks" / "generate.py"]
    files += [ROOT / "domains/canal/sources/disruptions.csv", ROOT / "domains/shipping/sources/ports.csv"]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]


def snapshot_of_file(contract: Contract, path: Path) -> Snapshot:
    """The snapshot that a file would be if it were published; its version is named by the folder of the file."""
    import pyarrow.parquet as pq

    return Snapshot(
        product=contract.id,
        version=hashlib.sha256(f"{contract.id} {path.parent.name}".encode()).hexdigest(),
        snapshot_id=1,
        contract_version=contract.version,
        contract_digest=contract.digest,
        run_id="benchmark",
        rows=pq.read_metadata(path).num_rows,
        published_at=datetime.now(UTC),
        files=(str(path),),
        schema=pq.read_schema(path),
    )


def precedents_by_case(build: Build, engine: "Engine") -> "ir.Table":
    """The case_id and precedents of every case that asks for them."""
    cases = cases_with_precedents(build, engine).select("case_id", "precedents")
    return cases.filter(cases["precedents"].notnull())
