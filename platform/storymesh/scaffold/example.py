"""The example of a mesh that was made without files: repairs of machines, and what was told of them.

It is drafted from its CSV as a person's own file is, so it shows what `new product` and `new narrative` write.
"""

import csv
import io
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from storymesh.mesh.mesh import load_mesh
from storymesh.scaffold.add_product import ProductRequest, add_product
from storymesh.scaffold.narrative import add_narrative

NAME = "repairs"
_COLUMNS = (
    "repair_id",
    "reported_at",
    "machine",
    "fault",
    "severity",
    "action",
    "closed_at",
    "hours_stopped",
    "worked",
)
_MACHINES = ("press-1", "press-2", "mill-1", "mill-2", "lathe-1")
_FAULTS = ("overheating", "oil leak", "sensor failure")
_ACTIONS = ("replace part", "recalibrate", "restart")
_ROWS = 120


def write_example(root: Path, domain: str) -> list[str]:
    """Write a product of a small CSV and a narrative of it; return the paths of the files."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{NAME}.csv"
        file.write_text(example_rows(), encoding="utf-8")
        _, product = add_product(root, ProductRequest(str(file), domain), lambda _, guess: guess)
    _, narrative = add_narrative(load_mesh(root), f"{domain}.{NAME}", None, "cc0-1.0")
    return [*product.paths, *narrative.paths]


def example_rows() -> str:
    """Return the CSV: made up, and the same at any time."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for number in range(_ROWS):
        reported = datetime(2024, 1, 2, 6, 30) + timedelta(hours=61 * number)
        fault, action = number * 7 % len(_FAULTS), number * 5 % 11 % len(_ACTIONS)
        hours = 2 + number * 13 % 40 + (20 if fault != action else 0)
        closed = reported + timedelta(hours=hours)
        outcome = (closed.isoformat(), hours, "yes" if hours <= 24 else "no") if number < _ROWS - 4 else ("", "", "")
        lines.writerow([
            f"R-{number + 1:04}", reported.isoformat(), _MACHINES[number * 3 % len(_MACHINES)], _FAULTS[fault],
            1 + number % 3, _ACTIONS[action], *outcome,
        ])  # fmt: skip
    return text.getvalue()
