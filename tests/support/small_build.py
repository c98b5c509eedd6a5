"""A build of a small mesh: a narrative as its author writes it, on Parquet files that stand for published snapshots."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storymesh.contract.types import arrow_schema
from storymesh.dataset.build import Build
from storymesh.engine.open import open_engine
from storymesh.narrative.definition import read_narrative
from storymesh.narrative.typed import type_narrative
from storymesh.product.store import Snapshot
from tests.support.small_mesh import Product, Row

LATE_CALLS = """\
apiVersion: storymesh/v1
kind: Narrative
id: late-calls
version: 1.0.0
title: Late calls
owner: lab
license: cc-by-4.0
cast: {call: mesh.calls@1}
case:
  anchor: call
  at: call.at
  closes: call.over
"""
"""The beginning of a narrative with one role, up to how its cases come out."""


def build_of(
    root: Path,
    narrative: str,
    report: str,
    products: Mapping[str, Product],
    rows: Mapping[str, Sequence[Row]],
    version: str = "",
) -> Build:
    """The narrative with the one template `report.jinja`, on `rows` of each role at snapshots named after `version`."""
    folder = root / "narratives" / narrative.partition("id: ")[2].split()[0].replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "narrative.yaml").write_text(narrative, encoding="utf-8")
    (folder / "report.jinja").write_text(report, encoding="utf-8")
    snapshots = {}
    for role, product in products.items():
        schema, file = arrow_schema(product.contract), root / f"{role}-{version}.parquet"
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows[role]], schema), file)
        told = ("1.0.0", "c" * 64, "", len(rows[role]), datetime(2024, 4, 1))
        snapshots[role] = Snapshot(
            product.contract.id, f"{role}{version}".ljust(64, "v"), 1, *told, files=(str(file),), schema=schema
        )
    contracts = {role: product.contract for role, product in products.items()}
    typed = type_narrative(read_narrative(folder / "narrative.yaml", root), contracts)
    return Build(typed, snapshots, root / "store", root / "releases", open_engine)
