"""What it costs to publish a product of which one partition has changed, beside publishing the whole of it.

    python -m benchmarks.partitions --rows 4000000 --partitions 36

A Parquet file with twelve columns is published twice, with one of its partitions changed in between: once under a
contract that names the column of the partitions as such, once under one that does not. Each publication is a process of
its own; CPU counts what it does after its imports. Beside it stands what reading the file and writing it again takes.
`--shape scattered` mixes the rows of all partitions, `--shape skewed` has nine tenths of them in the first.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: desk.readings
version: 1.0.0
status: active
schema:
  - name: readings
    customProperties: [{property: timeless, value: true}]
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - {name: month, logicalType: integer, required: true, partitioned: PARTITIONED}
"""
PRODUCT = """\
apiVersion: v1.0.0
kind: DataProduct
id: desk.readings
status: active
customProperties: [{property: source, value: sources/readings.parquet}]
"""
KINDS = ("whole", "partitioned")  # by whether the contract has partitions
VALUES = tuple(f"value_{number}" for number in range(6))
TEXTS = tuple(f"text_{number}" for number in range(4))


@dataclass(frozen=True)
class Cost:
    """Of one publication: CPU seconds, the most memory of its process (MiB), and bytes that the store grew by."""

    cpu_s: float
    peak_mib: float
    grown: int


@dataclass(frozen=True)
class Source:
    """The size of a raw file, its partitions, and how its rows lie in them: a name of `SHAPES`."""

    rows: int
    partitions: int
    shape: str = "sorted"


SHAPES = ("sorted", "scattered", "skewed")


def write_mesh(root: Path, source: Source, *, partitioned: bool) -> None:
    """Write the mesh of one product."""
    texts = CONTRACT.replace("PARTITIONED", str(partitioned).lower())
    texts += "".join(f"      - {{name: {name}, logicalType: integer}}\n" for name in VALUES)
    texts += "".join(f"      - {{name: {name}, logicalType: string}}\n" for name in TEXTS)
    for path, text in (
        ("domains/desk/domain.yaml", "id: desk\ntitle: Desk\nowner: desk@example.com\n"),
        ("contracts/desk/readings.odcs.yaml", texts),
        ("domains/desk/products/readings.odps.yaml", PRODUCT),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    (root / "narratives").mkdir()
    write_source(root, source, changed=0)


def write_source(root: Path, source: Source, *, changed: int) -> None:
    """Write the raw file. `changed` shapes the values of the last partition and nothing else."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, partitions = source.rows, source.partitions
    chance = np.random.default_rng(7)
    number = np.arange(rows)
    month = number * partitions // rows
    if source.shape == "skewed":
        month[: rows * 9 // 10] = 0
    elif source.shape == "scattered":
        chance.shuffle(month)
    columns = {"id": pa.array(number), "month": pa.array(month)}
    last = (month == partitions - 1) * changed
    for name in VALUES:
        columns[name] = pa.array(chance.integers(0, 5_000, rows) + last)
    words = pa.array([f"word {word:03}" for word in range(500)])
    for name in TEXTS:
        columns[name] = words.take(pa.array(chance.integers(0, 500, rows)))
    path = root / "domains/desk/sources/readings.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd")


def publish_once(root: Path) -> Cost:
    """Publish in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_publish, (root,))


def _publish(root: Path) -> Cost:
    import great_expectations  # noqa: F401  its import is no part of the work
    import pandas  # noqa: F401
    import pyiceberg.catalog.sql  # noqa: F401

    from storymesh.mesh.mesh import load_mesh
    from storymesh.product.publish import publish
    from storymesh.product.sources.open import open_product_rows
    from storymesh.product.store import ProductStore

    mesh = load_mesh(root)
    product = mesh.product("desk.readings")
    before, began = _size(root / ".storymesh"), _cpu()
    with mesh.open_engine() as engine:
        contract = mesh.contract(product.id)
        store = ProductStore(mesh.warehouse, "desk")
        rows = open_product_rows(product, contract, mesh.domain_folder("desk"), Path("none"), engine)
        done = publish(product, contract, rows, store, engine, f"run-{os.getpid()}")
    assert done.snapshot is not None and done.snapshot.rows
    return Cost(_cpu() - began, _peak_mib(), _size(root / ".storymesh") - before)


def copy_once(root: Path) -> Cost:
    """Read the raw file and write it again, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_copy, (root,))


def _copy(root: Path) -> Cost:
    import pyarrow.parquet as pq

    source, target = root / "domains/desk/sources/readings.parquet", root / "copy.parquet"
    began = _cpu()
    pq.write_table(pq.read_table(source), target, compression="zstd")
    return Cost(_cpu() - began, _peak_mib(), target.stat().st_size)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mib() -> float:
    """Return the most memory of this process: `getrusage` would count that of the one that started it too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def compare(source: Source, contracts: Sequence[bool]) -> dict[tuple[bool, str], Cost]:
    """Return what each publication cost, by whether the contract has partitions, and what was published."""
    costs: dict[tuple[bool, str], Cost] = {}
    for partitioned in contracts:
        with tempfile.TemporaryDirectory(prefix="storymesh-partitions-") as folder:
            root = Path(folder)
            write_mesh(root, source, partitioned=partitioned)
            if not partitioned:
                costs[False, "read and written, no more"] = copy_once(root)
            costs[partitioned, "first"] = publish_once(root)
            write_source(root, source, changed=1)
            costs[partitioned, "one partition changed"] = publish_once(root)
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--partitions", type=int, default=36)
    parser.add_argument("--shape", choices=SHAPES, default="sorted")
    parser.add_argument("--contract", choices=("both", "whole", "partitioned"), default="both")
    asked = parser.parse_args()
    contracts = [partitioned for partitioned in (False, True) if asked.contract in ("both", KINDS[partitioned])]
    costs = compare(Source(asked.rows, asked.partitions, asked.shape), contracts)
    print("| contract | published | CPU s | peak MiB | store grew by MiB |\n|---|---|---|---|---|")
    for (partitioned, what), cost in costs.items():
        print(
            f"| {KINDS[partitioned]} | {what} | {cost.cpu_s:.1f} | {cost.peak_mib:,.0f} | {cost.grown / 2**20:,.1f} |"
        )
    if len(contracts) < len(KINDS):
        return
    ratio = costs[True, "one partition changed"].cpu_s / costs[False, "one partition changed"].cpu_s
    print(f"\none partition changed: {ratio:.0%} of the CPU of a whole publication")


if __name__ == "__main__":
    main()
