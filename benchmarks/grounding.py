"""How well the grounding of a retelling finds planted faults, and how often it errs: `python -m benchmarks.grounding`.

The corpus lies in tests/grounding/corpus: sources from releases, faithful retellings of them, and for each the faults
that are planted in it, one at a time. All but `made.txt`, which a program wrote, are written by hand. `dev.txt` is
what the checker was made with; `free.txt`, `plain.txt` and `mixed.txt` were each written after it stood, measured
once, and then used too; `held_out.txt` was measured and not used. Prints catch rate and false alarms by kind, and
milliseconds.
"""

import argparse
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from storymesh.grounding.check import Grounding, GroundingSource, check_grounding

CORPUS = Path(__file__).parent.parent / "tests" / "grounding" / "corpus"
SETS = ("dev", "free", "plain", "mixed", "made", "held_out")
KINDS = ("number", "date", "name", "code", "order", "outcome", "cause", "omission")


@dataclass(frozen=True)
class Retelling:
    """One text: faithful if `fault` is empty, else with one fault of that kind, planted in the way that `how` says."""

    source: str
    text: str
    fault: str = ""
    how: str = ""
    edit: str = ""


def sources() -> dict[str, GroundingSource]:
    """The sources of the corpus by name, their dates as dates again."""
    found = {}
    for line in (CORPUS / "sources.jsonl").read_text().splitlines():
        row = json.loads(line)
        found[row["source"]] = GroundingSource(
            row["story"], {path: _typed(value) for path, value in row["facts"].items()}, {}, row["known"]
        )
    return found


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return [_typed(one) for one in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return date.fromisoformat(value)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}T[\d:.]+", value):
        return datetime.fromisoformat(value)
    return value


def retellings(name: str) -> Iterator[Retelling]:
    """The faithful retellings of a set, each followed by its faulty ones."""
    for entry in (CORPUS / f"{name}.txt").read_text().split("\n= ")[0:]:
        entry = entry.removeprefix("= ")
        if not entry.strip():
            continue
        head, _, rest = entry.partition("\n")
        lines = rest.rstrip("\n").split("\n")
        faults = [line for line in lines if re.match(r"- [a-z]+/[a-z]+: ", line)]
        text = "\n".join(line for line in lines if line not in faults).strip()
        yield Retelling(head.strip(), text)
        for fault in faults:
            how, _, edits = fault.removeprefix("- ").partition(": ")
            yield Retelling(
                head.strip(),
                _edited(text, edits, f"{name}: {head}"),
                how.partition("/")[0],
                how.partition("/")[2],
                edits,
            )


def _edited(text: str, edits: str, where: str) -> str:
    spots = []
    for edit in edits.split(" || "):
        old, new = edit.split(" => ")
        if text.count(old) != 1:
            raise ValueError(f"{where}: {old!r} stands {text.count(old)} times in the text, not once")
        spots.append((text.index(old), old, new))
    for at, old, new in sorted(spots, reverse=True):
        text = text[:at] + new + text[at + len(old) :]
    return text


def is_caught(grounding: Grounding, faithful: Grounding) -> bool:
    """Whether a planted fault is found, under whatever kind it is named: something is said that the faithful text
    does not get as well (else a text that is always refused would count as a good catch)."""
    before = Counter((claim.kind, claim.words) for claim in faithful.claims)
    return bool(Counter((claim.kind, claim.words) for claim in grounding.claims) - before)


@dataclass
class Counts:
    """What a set gave: for each kind (and way) how many faults were planted and found; alarms on faithful texts by
    kind."""

    planted: dict[str, int]
    found: dict[str, int]
    faithful: int
    alarmed: dict[str, int]
    alarmed_texts: int
    milliseconds: list[float]


def measure(found_sources: dict[str, GroundingSource], told: Iterable[Retelling], show: bool = False) -> Counts:
    """Grounds every retelling and counts."""
    counts = Counts({}, {}, 0, {}, 0, [])
    faithful = Grounding((), {})
    for retelling in told:
        begun = time.process_time()
        grounding = check_grounding(retelling.text, found_sources[retelling.source])
        counts.milliseconds.append(1000 * (time.process_time() - begun))
        if retelling.fault:
            key = f"{retelling.fault}/{retelling.how}"
            counts.planted[key] = counts.planted.get(key, 0) + 1
            if is_caught(grounding, faithful):
                counts.found[key] = counts.found.get(key, 0) + 1
            elif show:
                print(f"MISSED {key} {retelling.source}: {retelling.edit}")
        else:
            faithful = grounding
            counts.faithful += 1
            counts.alarmed_texts += bool(grounding.claims)
            for kind in {claim.kind for claim in grounding.claims}:
                counts.alarmed[kind] = counts.alarmed.get(kind, 0) + 1
            if show:
                for claim in grounding.claims:
                    print(f"ALARM {claim.kind} {retelling.source}: {claim.words!r} {claim.because}")
    return counts


def table(name: str, counts: Counts) -> str:
    """Catch rate and false alarms by kind, as a table of Markdown."""
    lines = [f"\n{name}: {counts.faithful} faithful, {sum(counts.planted.values())} faulty", ""]
    lines += ["| kind | planted | found | catch rate | false alarms | rate |", "|---|---|---|---|---|---|"]
    for kind in KINDS:
        planted = sum(count for key, count in counts.planted.items() if key.startswith(kind + "/"))
        found = sum(count for key, count in counts.found.items() if key.startswith(kind + "/"))
        alarms = counts.alarmed.get(kind, 0)
        rate = f"{100 * found / planted:.1f} %" if planted else ""
        lines.append(
            f"| {kind} | {planted} | {found} | {rate} | {alarms} | {100 * alarms / max(1, counts.faithful):.1f} % |"
        )
    for kind in sorted(set(counts.alarmed) - set(KINDS)):
        lines.append(
            f"| {kind} | | | | {counts.alarmed[kind]} | {100 * counts.alarmed[kind] / counts.faithful:.1f} % |"
        )
    total, hit = sum(counts.planted.values()), sum(counts.found.values())
    lines.append(
        f"| any | {total} | {hit} | {100 * hit / max(1, total):.1f} % | {counts.alarmed_texts} | "
        f"{100 * counts.alarmed_texts / max(1, counts.faithful):.1f} % |"
    )
    ways = ", ".join(f"{key} {counts.found.get(key, 0)}/{count}" for key, count in sorted(counts.planted.items()))
    times = counts.milliseconds
    lines += [
        "",
        f"By way: {ways}.",
        (
            f"Milliseconds for one: median {statistics.median(times):.2f}, 95 % below "
            f"{sorted(times)[int(0.95 * len(times))]:.2f}."
        ),
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=[], help="dev, made, held_out")
    parser.add_argument("--show", action="store_true", help="print each missed fault and each false alarm")
    chosen = parser.parse_args(arguments)
    found_sources = sources()
    for name in chosen.sets or [name for name in SETS if (CORPUS / f"{name}.txt").exists()]:
        print(table(name, measure(found_sources, retellings(name), chosen.show)))


if __name__ == "__main__":
    main(sys.argv[1:])
