"""A release of any size under a memory limit: cut by `storymesh run --only`, streamed and loaded by `datasets`.

    python -m benchmarks.release --delays 400000 --memory 2GB
    TMPDIR=DIR python -m benchmarks.release --delays 10000000 --memory 4GB --cache DIR --cut-only

Each step is a process of its own. The mesh is that of the project's root on generated products, published without dbt.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reference import CACHE, NARRATIVE, ROOT, products

PRODUCT = """apiVersion: v1.0.0
kind: DataProduct
id: {id}
name: {name}
version: 1.0.0
status: active
domain: {domain}
description: {{purpose: Generated.}}
customProperties:
  - {{property: source, value: sources/{name}.parquet}}
outputPorts:
  - {{name: {name}, version: 1.0.0, contractId: {id}}}
team:
  members:
    - {{username: benchmark@example.com, role: owner}}
"""
PUBLISH = """
import sys
from pathlib import Path
from storymesh.engine.open import open_engine
from storymesh.mesh.mesh import load_mesh
from storymesh.product.publish import publish
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore
mesh = load_mesh(Path(sys.argv[1]))
for product in mesh.products.values():
    contract = mesh.contract(product.id)
    folder = mesh.domain_folder(product.domain)
    with open_engine() as engine, open_product_rows(product, contract, folder, Path("none"), engine) as rows:
        publish(product, contract, rows, ProductStore(mesh.warehouse, product.domain), engine, "benchmark")
"""
STREAM = """
import sys, time
from datasets import load_dataset
begins, count = time.monotonic(), 0
for rows in load_dataset(sys.argv[1], "report", streaming=True).values():
    for _ in rows:
        if not count:
            print(f"first record after {time.monotonic() - begins:.1f} s", end=", ")
        count += 1
print(f"{count:,} records")
"""
LOAD = """
import sys
from datasets import get_dataset_config_names, load_dataset
loaded = [load_dataset(sys.argv[1], name) for name in get_dataset_config_names(sys.argv[1])]
print(f"{sum(len(rows) for parts in loaded for rows in parts.values()):,} records")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delays", type=int, default=20_000, help="(default: %(default)s)")
    parser.add_argument("--memory", default="2GB", help="the engine's memory limit (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where products are kept (default: %(default)s)")
    parser.add_argument(
        "--cut-only", action="store_true", help="neither stream nor load it: a copy of all is no small thing"
    )
    wanted = parser.parse_args()
    wanted.cache.mkdir(parents=True, exist_ok=True)
    made = products(wanted.delays, wanted.cache.resolve())
    with tempfile.TemporaryDirectory(dir=wanted.cache, prefix="release-") as scratch:
        mesh = Path(scratch).resolve() / "mesh"
        write_mesh(mesh, made)
        python, storymesh = sys.executable, str(Path(sys.executable).with_name("storymesh"))
        os.environ |= {"STORYMESH_MEMORY": wanted.memory, "HF_HOME": str(mesh.parent / "hf"), "HF_HUB_OFFLINE": "1"}
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
        print("| step | wall s | CPU s | peak MiB | |\n|---|---|---|---|---|")
        step("publish", python, "-c", PUBLISH, str(mesh), shown="nothing of it")
        step("run --only", storymesh, "run", NARRATIVE, "--only", "--mesh", str(mesh), shown="release  ")
        (release,) = (mesh / "releases" / NARRATIVE).glob("[0-9]*/")
        size = sum(path.stat().st_size for path in release.rglob("*.parquet"))
        print(f"{size / 2**20:,.0f} MiB of Parquet", file=sys.stderr)
        if wanted.cut_only:
            return
        step("stream `report`", python, "-c", STREAM, str(release))
        step("load every config", python, "-c", LOAD, str(release))


def write_mesh(mesh: Path, made: Path) -> None:
    """The reference mesh's contracts and narrative, with a product for each of the files in `made`."""
    shutil.copytree(ROOT / "narratives", mesh / "narratives")
    for path in (ROOT / "contracts").glob("*/*.odcs.yaml"):
        domain, name = path.parent.name, path.name.removesuffix(".odcs.yaml")
        if not (made / f"{name}.parquet").is_file():
            continue
        folder = mesh / "domains" / domain
        for part in ("products", "sources"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (mesh / "contracts" / domain).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, mesh / "contracts" / domain)
        shutil.copy(made / f"{name}.parquet", folder / "sources")
        for file in ("domain.yaml", "definitions.py"):
            shutil.copy(ROOT / "domains" / domain / file, folder)
        text = PRODUCT.format(id=f"{domain}.{name}", domain=domain, name=name)
        (folder / "products" / f"{name}.odps.yaml").write_text(text, encoding="utf-8")


def step(name: str, *command: str, shown: str = "") -> None:
    """Run a command and print what it took; of what it said the lines with `shown`."""
    begins = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [line.strip() for line in process.stdout if shown in line]
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name} failed")
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"| {name} | {time.monotonic() - begins:.0f} | {cpu:.0f} | {peak:,.0f} | {said[-1] if said else ''} |")


if __name__ == "__main__":
    main()
