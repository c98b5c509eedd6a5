"""What models learn of the same cases told in different ways: `python -m benchmarks.teaching`.

A tiny decoder from scratch for each arm and seed, the same tokens for each, asked which action is best in cases of a
later time, and held against the truth of the changing world. The learners run in an environment with torch (`make
readers`); on a machine with an accelerator they use it:

    python -m benchmarks.teaching --into RUN --lessons                # here: the world, the release, what is learned
    python benchmarks/teaching/learner.py RUN ARM SEED [ARM SEED …]   # there
    python -m benchmarks.teaching --into RUN --score                  # here: the table
"""

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.reference import CACHE, ROOT, TRUTH, products
from benchmarks.teaching.elsewhere import move_delays
from benchmarks.teaching.lessons import ARMS, RELEASED_ARMS, WHAT, WORLDS, Lessons, release_of
from benchmarks.teaching.scoring import Examination, Row, read_answers

LESSONS = "lessons.json"
LEARNER = Path(__file__).with_name("learner.py")
CONTEXT = 1024  # tokens
COMPARED = (
    ("released", "joined"),
    ("recall", "joined"),
    ("recall", "lean json"),
    ("released", "everything"),
    ("released", "rows"),
)


def main(words: Sequence[str] | None = None) -> None:
    wanted = _arguments(words)
    into = wanted.into.resolve()
    os.environ.setdefault("STORYMESH_PSEUDONYM_KEY", "benchmark")
    if not wanted.score:
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        prepare(wanted, into)
    if not wanted.score and not wanted.lessons:
        with ThreadPoolExecutor(wanted.jobs) as pool:
            jobs = [(arm, seed) for seed in range(wanted.seeds) for arm in wanted.arms]
            list(pool.map(lambda job: learn(wanted.python, into, *job), jobs))
    if not wanted.lessons:
        results = score(into, [*wanted.arms, "pretrained"])
        (into / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(table(results))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shown = "(default: %(default)s)"
    parser.add_argument("--into", type=Path, default=CACHE / "teaching", help=f"where everything goes {shown}")
    parser.add_argument("--lessons", action="store_true", help="only make what is learned from")
    parser.add_argument("--score", action="store_true", help="only score the answers that are there")
    parser.add_argument("--world", choices=WORLDS, default="steady", help=f"the generator's {shown}")
    parser.add_argument("--delays", type=int, default=40_000, help=f"the size of the world {shown}")
    parser.add_argument("--cases", type=int, default=12_000, help=f"cases to learn from, at most {shown}")
    parser.add_argument("--each", type=int, default=4, help=f"questions for each stratum {shown}")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--seeds", type=int, default=2, help=shown)
    parser.add_argument("--tokens", type=int, default=1_200_000, help=f"for each arm {shown}")
    parser.add_argument("--width", type=int, default=128, help=shown)
    parser.add_argument("--layers", type=int, default=3, help=shown)
    parser.add_argument("--vocabulary", type=int, default=4096, help=shown)
    parser.add_argument("--batch", type=int, default=2048, help=f"tokens {shown}")
    parser.add_argument("--rates", type=float, nargs=2, default=(3e-3, 0.02), help=f"of AdamW and Muon {shown}")
    parser.add_argument("--jobs", type=int, default=2, help=f"learners at a time {shown}")
    readers = Path(os.environ.get("READERS_ENV", ROOT / ".venv-readers")) / "bin" / "python"
    parser.add_argument("--python", type=Path, default=readers, help=f"a Python with torch and transformers {shown}")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"where products are kept {shown}")
    return parser.parse_args(words)


def prepare(wanted: argparse.Namespace, into: Path) -> None:
    """Make the world, the release, and what the learners need of both, as one file."""
    wanted.cache.mkdir(parents=True, exist_ok=True)
    made = move_delays(products(wanted.delays, wanted.cache.resolve(), wanted.world), into / "products")
    release = release_of(made, into, wanted.world, wanted.each)
    shutil.copytree(release, into / "release")
    truth = (made / TRUTH).with_suffix(".odds" + Path(TRUTH).suffix)
    shutil.copy(truth, into / truth.name)
    lessons = Lessons(release, made)
    content = {
        "texts": lessons.texts(wanted.cases),
        "questions": [asdict(question) for question in lessons.questions()],
        "arms": ARMS,
        "tokens": wanted.tokens,
        "vocabulary": wanted.vocabulary,
        "size": {"width": wanted.width, "layers": wanted.layers, "context": CONTEXT},
        "rates": dict(zip(("adam", "muon"), wanted.rates, strict=True)),
        "batch tokens": wanted.batch,
    }
    (into / LESSONS).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    for folder in ("mesh", "products", "store"):
        shutil.rmtree(into / folder)


def learn(python: Path, into: Path, arm: str, seed: int) -> None:
    """Run one learner, which writes its answers below `into`."""
    if not python.is_file():
        raise SystemExit(f"{python} is not there, and the learners need torch: run `make readers`, or name another")
    subprocess.run([str(python), str(LEARNER), str(into), arm, str(seed)], check=True)


def score(into: Path, arms: Sequence[str]) -> dict[str, Any]:
    """Return the figures of the answers below `into`."""
    (truth,) = into.glob("truth.odds.*")
    lessons = json.loads((into / LESSONS).read_text(encoding="utf-8"))
    examination = Examination(into / "release", truth, [question["case"] for question in lessons["questions"]])
    given = read_answers(into / "answers", arms)
    rows = examination.rows(given)
    by_arm = {row.arm: row for row in reversed(rows)}  # the first way of an arm counts: closed before open book
    return {
        "questions": int(examination.counts.sum()),
        "tokens": max(item["tokens"] for item in given),
        "parameters": {item["arm"]: item["parameters"] for item in given},
        "device": given[0]["device"],
        "cpu seconds": round(sum(sum(item["cpu seconds"].values()) for item in given)),
        "rows": [_row(examination, row) for row in [*examination.baselines(), *rows]],
        "differences": [
            {"of": one, "from": other, **asdict(examination.mean(by_arm[one].told.best - by_arm[other].told.best))}
            for one, other in COMPARED
            if one in by_arm and other in by_arm
        ],
        "conduct": examination.conduct(given),
        "texts": {item["arm"]: item["texts"] for item in given},
    }


def _row(examination: Examination, row: Row) -> dict[str, Any]:
    figures = {name: asdict(examination.mean(getattr(row.told, name), row.asked)) for name in ("best", "near", "lost")}
    what = {"arm": row.arm, "what": WHAT.get(row.arm, row.arm), "ours": row.arm in RELEASED_ARMS, "way": row.way}
    return {**what, "seeds": row.seeds, "by seed": row.by_seed, **figures}


def table(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "| learned from | asked | seeds | best | by seed | within 0.05 | loses |",
        "| --- | --- | --: | --- | --- | --: | --: |",
    ]
    for row in results["rows"]:
        seeds = " ".join(f"{value:.2f}" for value in row["by seed"]) if row["seeds"] > 1 else ""
        cells = [row["what"], row["way"], row["seeds"] or "", _interval(row["best"]), seeds]
        cells += [f"{row['near']['value']:.2f}", f"{100 * row['lost']['value']:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines.append("")
    for row in results["differences"]:
        lines.append(f"- {WHAT[row['of']]}, less {WHAT[row['from']]}: {_interval(row, '+')}")
    for arm, figures in results["conduct"].items():
        for name, value in figures.items():
            lines.append(f"- {WHAT[arm]}, {name}: {value:.2f}")
    return "\n".join(lines)


def _interval(score: Mapping[str, float], sign: str = "") -> str:
    return f"{score['value']:{sign}.2f} [{score['low']:{sign}.2f}, {score['high']:{sign}.2f}]"


if __name__ == "__main__":
    main()
