"""How many wrong values get through when a model takes values from files, and how many right ones are lost.

    python -m benchmarks.extraction [--files 10000] [--faulty 0.09] [--seed 1] [--show]

Files of many shapes are drawn (benchmarks/extracted), each with what it truly says. A model server on loopback answers
about each of them, and a share of its answers is wrong in one of many ways. What is published is held against the
truth. A file that itself says two values of one thing gives neither; its rows do not count as lost.
"""

import argparse
import random
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from benchmarks.extracted.documents import SHAPES, Document
from benchmarks.extracted.faults import answer_text, draw_fault
from benchmarks.extracted.mesh import PRODUCTS, write_mesh
from benchmarks.extracted.samples import SHAPES as SAMPLE_SHAPES

from tests.support.model_server import Call, Raw, Server

_KEY = re.compile(r"SHP-\d{6}|INV-\d{7}|LAB\d{6}")


@dataclass(frozen=True)
class Answered:
    """A file with the answer about it; `fault` is the name of what is wrong with it, None for a right one."""

    document: Document
    text: str
    fault: str | None


@dataclass
class Outcome:
    """What became of the rows: wrong ones that got through by fault and shape, right ones asked and kept, and why the
    others were lost."""

    wrong: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    faulty: Counter[str] = field(default_factory=Counter)
    right: int = 0
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def kept(self) -> float:
        """The share of the right rows that are published."""
        return 1 - self.lost.total() / max(1, self.right)


def draw_answers(files: int, faulty: float, seed: int) -> list[Answered]:
    """Return drawn files, each with its answer."""
    draw = random.Random(seed)
    answers = []
    for number in range(files):
        document = draw.choice((*SHAPES, *SAMPLE_SHAPES))(draw, number)
        if draw.random() < faulty:
            fault, text = draw_fault(draw, document)
            answers.append(Answered(document, text, fault))
        else:
            answers.append(Answered(document, answer_text([*document.rows]), None))
    return answers


def judge_rows(answers: list[Answered], published: Iterator[dict[str, Any]]) -> Outcome:
    """Return what became of the rows, each of which has the key of its file."""
    found = Outcome()
    truth = {row[item.document.key].value: (item, row) for item in answers for row in item.document.rows}
    seen = set()
    for values in published:
        key = next(values[name] for name in ("shipment_id", "invoice_id", "sample_id") if name in values)
        item, row = truth.get(key, (None, {}))
        said = {name: value for name, value in values.items() if value is not None}
        if item is None or any(name not in row or row[name].value != value for name, value in said.items()):
            found.wrong[item.fault if item else "a row invented", item.document.shape if item else ""] += 1
        seen.add(key)
    for item in answers:
        if item.fault is not None:
            found.faulty[item.fault] += 1
        elif not item.document.contradicts:
            found.right += len(item.document.rows)
            for row in item.document.rows:
                if row[item.document.key].value not in seen:
                    found.lost[item.document.shape, ""] += 1
    return found


@contextmanager
def answering(answers: list[Answered]) -> Iterator[str]:
    """Serve the answers on loopback; each file is known by the first key in it."""
    texts = {_KEY.findall(item.document.text)[0]: item.text for item in answers}

    def answer(call: Call) -> Raw:
        return Raw(texts[_KEY.findall(call.prompt)[0]])

    with Server(answer) as server:
        yield server.url


def publish_all(root: Path) -> Iterator[dict[str, Any]]:
    """Publish the products, and yield their rows without the evidence."""
    from storymesh.mesh.file_collections import file_collection
    from storymesh.mesh.mesh import load_mesh
    from storymesh.product.publish_files import publish_files
    from storymesh.product.store import ProductStore

    mesh = load_mesh(root)
    mesh.prepare_store()
    with mesh.open_engine() as engine:
        for name in PRODUCTS:
            product = mesh.product(f"desk.{name}")
            store = ProductStore(mesh.warehouse, product.domain)
            contract = mesh.contract(product.id)
            published = publish_files(product, contract, file_collection(mesh, product), store, engine, "run", None)
            print(f"{name}: {published.rows_out:,} of {published.rows_in:,} rows", flush=True)
            snapshot = store.latest_snapshot(name)
            for path in snapshot.files if snapshot is not None else ():
                yield from pq.read_table(path, columns=[*contract.properties]).to_pylist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--faulty", type=float, default=0.09)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    answers = draw_answers(asked.files, asked.faulty, asked.seed)
    with tempfile.TemporaryDirectory() as scratch, answering(answers) as url:
        root = write_mesh(Path(scratch) / "mesh", [item.document for item in answers], url)
        found = judge_rows(answers, publish_all(root))
    print(f"{found.faulty.total():,} answers are wrong, in {len(found.faulty)} ways")
    print(f"wrong rows published: {found.wrong.total()}")
    print(f"{found.right:,} rows are right; published {found.kept:.2%}")
    for (name, shape), count in (*found.wrong.most_common(), *found.lost.most_common(20)):
        print(f"  {count:>6,}  {name}  {shape}")


if __name__ == "__main__":
    main()
