"""Draws the sources of the corpus from finished releases: `python tests/grounding/corpus/sources.py RELEASE…`.

Writes sources.jsonl: the story of a record, its facts by path, the units and the known text. Run once; the file is
kept.
"""

import json
import random
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

HERE = Path(__file__).parent
WANTED = {
    ("canal-exceptions", "report"): 56,
    ("canal-exceptions", "advice"): 32,
    ("canal-exceptions", "verdict"): 16,
    ("abnormal-passages", "report"): 5,
    ("late-lines", "report"): 24,
}


def flat(facts: Any, path: str = "") -> dict[str, Any]:
    """Every value by its dotted path; a list of structs as one list for each field."""
    if isinstance(facts, dict):
        return {
            at: value
            for key, inner in facts.items()
            for at, value in flat(inner, f"{path}.{key}" if path else key).items()
        }
    if isinstance(facts, list) and facts and isinstance(facts[0], dict):
        return {
            at: value for key in facts[0] for at, value in flat([row[key] for row in facts], f"{path}.{key}").items()
        }
    return {path: facts}


def plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def source_of(row: dict[str, Any]) -> dict[str, Any]:
    if "messages" in row:
        system, user, assistant = (message["content"] for message in row["messages"])
        story, known = assistant, f"{system}\n{user}"
    elif "completion" in row:
        story, known = row["completion"], row["prompt"]
    else:
        story, known = row["text"], ""
    return {"story": story, "known": known, "facts": {path: plain(value) for path, value in flat(row["facts"]).items()}}


def main(releases: list[str]) -> None:
    drawn = []
    for release in map(Path, releases):
        narrative = json.loads((release / "release.json").read_text())["narrative"]
        for (of, config), count in WANTED.items():
            if of != narrative:
                continue
            rows = [
                row
                for path in sorted((release / "data" / config).glob("*.parquet"))
                for row in pq.read_table(path).to_pylist()
            ]
            for row in random.Random(f"{of}/{config}").sample(rows, count):
                drawn.append({"source": f"{narrative}/{row['id']}", **source_of(row)})
    with (HERE / "sources.jsonl").open("w") as lines:
        for source in drawn:
            lines.write(json.dumps(source, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
