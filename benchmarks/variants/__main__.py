"""Vary, write, measure: for each count of variants a row of figures."""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import benchmarks.variants
from benchmarks.reference import CACHE, NARRATIVE, ROOT, pinned, products

from storymesh.engine.open import open_engine
from storymesh.llm.response_cache import Messages
from storymesh.release.diversity import measure_diversity, sample_texts
from storymesh.release.rewritten_records import write_all_records
from storymesh.variation.variation import TemplateVariation, VariantResult, vary_template

CONFIG, SLOT = "report", "text"
PARAGRAPHS = Path(__file__).with_name("report")
BETWEEN = "%%\n"  # parts one wording of a paragraph from the next


def main() -> None:
    parser = argparse.ArgumentParser(
        description=benchmarks.variants.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--delays", type=int, default=5_000)
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 1, 12, 40])
    parser.add_argument("--cache", type=Path, default=CACHE)
    asked = parser.parse_args()
    given = products(asked.delays, asked.cache)
    print(f"Variants of `{CONFIG}`, {asked.delays:,} delays\n")
    print("| variants | distinct-1 | distinct-2 | distinct-3 | commonest opening | overlap of two |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="storymesh-variants-") as folder:
        mesh = copy_mesh(Path(folder) / "mesh")
        wordings = list(islice(all_wordings(), max(asked.counts)))
        for count in sorted(asked.counts):
            vary(mesh, given, Path(folder) / f"vary-{count}", count, wordings)
            measure(mesh, given, Path(folder) / f"store-{count}", count)


def copy_mesh(folder: Path) -> Path:
    """Return a copy of the reference mesh whose config draws variants."""
    for name in ("domains", "contracts", "narratives"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("target", "logs", "variants"))
    path = folder / "narratives" / NARRATIVE.replace("-", "_") / "narrative.yaml"
    plain = "report: {format: text, text: report.md.jinja}"
    text = path.read_text(encoding="utf-8")
    assert plain in text, f"{path} has no line '{plain}'"
    path.write_text(text.replace(plain, f"{plain[:-1]}, variants: true}}"), encoding="utf-8")
    return folder


def all_wordings() -> Iterator[str]:
    """Yield templates in which no two neighbours have a paragraph in common, until each combination has been there."""
    wordings = [path.read_text(encoding="utf-8").split(BETWEEN) for path in sorted(PARAGRAPHS.glob("*.jinja"))]
    seen: set[tuple[int, ...]] = set()
    for turn in range(1_000):
        chosen = tuple((turn + turn // len(options) * place) % len(options) for place, options in enumerate(wordings))
        if chosen not in seen:
            seen.add(chosen)
            yield "\n".join(options[index] for options, index in zip(wordings, chosen, strict=True))


def vary(mesh: Path, given: Path, store: Path, count: int, wordings: Sequence[str]) -> None:
    """Have variants until there are `count`."""
    if not count:
        return
    variation = TemplateVariation(mesh, pinned(given, store, mesh=mesh), CONFIG, SLOT)
    left = iter(wordings[variation.present() :])

    def ask(questions: Sequence[Messages]) -> list[str | None]:
        return [f"<template>\n{next(left)}</template>" for _ in questions]

    def require(result: VariantResult) -> None:
        assert result.path is not None, result.faults

    for result in vary_template(variation, count, 1, ask):
        require(result)


def measure(mesh: Path, given: Path, store: Path, count: int) -> None:
    """Write the records and print how varied they are."""
    build = pinned(given, store, mesh=mesh)
    write_all_records(build)
    with open_engine() as engine:
        (found,) = measure_diversity(sample_texts(engine, [build.files.records(CONFIG)]))
    distinct = " | ".join(f"{share:.4f}" for share in found.distinct)
    print(f"| {count} | {distinct} | {found.opening_share:.1%} (“{found.opening}”) | {found.overlap:.2f} |", flush=True)


if __name__ == "__main__":
    main()
