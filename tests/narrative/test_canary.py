"""A mesh in which every restricted value is unlike any other text, and what comes of it: none of them stands anywhere
in a release, nor in what the commands say, nor in what Dagster keeps of a run."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Command = Callable[..., Any]
RESTRICTED = {"fleet/boats": ("boat", "skipper"), "yard/repairs": ("repair", "boat", "remedy", "saved_days")}
BOATS, REPAIRS = 6, 60
TWICE = 2  # rows of a key that stands twice: they are refused, and say so

NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: late-repairs
version: 1.0.0
title: What helped when a boat lay in the yard
owner: harbour-lab
license: cc-by-4.0
cast:
  repair: yard.repairs@1
  boat: fleet.boats@1
  other: yard.repairs@1
case:
  anchor: repair
  at: repair.reported_at
  closes: repair.done_at
  links:
    boat: {expect: one}
    other: {on: {boat: repair.boat}, within: {after: -30d, before: 0d}, expect: any}
  facts:
    skipper: boat.skipper | upper
    days: repair.saved_days + repair.saved_days
    others: other | map(attribute="remedy")
    before: other | last
  outcome: {action: repair.remedy, score: repair.saved_days, worked: repair.saved_days % 2 == 0}
  precedents: {match: [[boat.skipper, boat.kind], [boat.kind]], min: 3, quote: 2}
records:
  report: {format: text, text: report.md.jinja}
  advice: {format: messages, user: ask.md.jinja, assistant: advise.md.jinja}
  choice: {format: preference, prompt: ask.md.jinja, option: option.md.jinja}
dataset:
  split: {validation: 2024-04-01, test: 2024-05-01, embargo: 2d, together: [repair.saved_days]}
  pseudonymise: [repair.repair, repair.remedy, boat.boat, other.repair]
"""
TEMPLATES = {
    "report.md.jinja": """\
{{ boat.boat }} under {{ boat.skipper | pseudonym }} ({{ skipper | pseudonym }}), {{ case.id }}, {{ others | length }}:
{% for one in other %}{{ one.repair }} {{ one.remedy | pseudonym }} {{ one.boat | pseudonym }}
{% endfor %}
{% if outcome %}{{ outcome.action }} {{ outcome.score | pseudonym }}
{{ days | pseudonym if days is not none else '' }}{% endif %}
{% if before %}{{ before.remedy | pseudonym }}{% endif %}
{% for one in others %}{{ one | pseudonym }}{% endfor %}
""",
    "ask.md.jinja": """\
{{ boat.boat }} of {{ boat.skipper | pseudonym }}, {{ boat.kind }}, since {{ case.at | date }}.
{% for option in precedents.options %}{{ option.action }} {{ option.tried }} {{ option.rate | percent }}
{% for quoted in option.quoted %}{{ quoted.id }} {{ quoted.at | date }} {{ quoted.score | pseudonym }}
{{ quoted.skipper | default("") | pseudonym }}
{% if quoted.before %}{{ quoted.before.remedy | pseudonym }}{% endif %}{% endfor %}{% endfor %}
""",
    "advise.md.jinja": "{{ outcome.action }} {{ 'helped' if outcome.worked else 'did not help' }}\n",
    "option.md.jinja": "{{ option.action }}{% for one in option.quoted %} {{ one.id }}{% endfor %}\n",
}


def canaries() -> Iterator[tuple[str, dict[str, Any]]]:
    """(product, row): each restricted value is one that stands nowhere else."""
    for number in range(BOATS):
        name = {"boat": f"CANARYboat{number:02}", "skipper": f"CANARYskipper{number:02}"}
        yield "fleet/boats", {**name, "kind": "tug" if number % 2 else "ferry", "length": 10 + number}
    for number in range(REPAIRS):
        reported = datetime(2024, 1, 1, 8) + timedelta(days=2.3 * number)
        yield (
            "yard/repairs",
            {
                "repair": f"CANARYrepair{max(number, TWICE - 1):03}",
                "boat": f"CANARYboat{number % BOATS:02}",
                "reported_at": reported,
                "done_at": reported + timedelta(hours=20),
                "remedy": f"CANARYremedy{number % 3}",
                "saved_days": 8_675_309_000 + number,
            },
        )


@pytest.fixture
def masked(harbour: Path) -> Path:
    """The harbour with canaries, and a narrative that tells as much of them as `check` lets it."""
    folder = harbour / "narratives/late_repairs"
    for name, text in {"narrative.yaml": NARRATIVE, **TEMPLATES}.items():
        (folder / name).write_text(text, encoding="utf-8")
    for product, names in RESTRICTED.items():
        path = harbour / "contracts" / f"{product}.odcs.yaml"
        text = path.read_text(encoding="utf-8")
        for name in names:
            begin = text.index(f"name: {name},") if f"name: {name}," in text else text.index(f"name: {name}\n")
            text = text[:begin] + text[begin:].replace("classification: public", "classification: restricted", 1)
        begin = text.find("enum: [{value: weld")
        if begin > 0:  # the remedies here are canaries
            text = text[:begin] + text[text.index("\n", begin) :].lstrip()
        path.write_text(text, encoding="utf-8")
    rows = [row for product, row in canaries() if product == "yard/repairs"]
    pq.write_table(pa.Table.from_pylist(rows), harbour / "domains/yard/sources/repairs.parquet")
    boats = [row for product, row in canaries() if product == "fleet/boats"]
    lines = [",".join(boats[0]), *(",".join(map(str, row.values())) for row in boats)]
    (harbour / "domains/fleet/sources/boats.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return harbour


def spellings() -> list[str]:
    """Every restricted value in every way in which a file or a terminal may spell it."""
    found: dict[str, None] = {}
    for product, row in canaries():
        for name in RESTRICTED[product]:
            value = row[name]
            if isinstance(value, int):
                found |= dict.fromkeys((str(value), str(value * 2), f"{value:,}"))
            else:
                found |= dict.fromkeys((value, value.upper()))
    return list(found)


def texts_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and all text of each file of a folder: of a Parquet file each value and its metadata, else its bytes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path), path.relative_to(folder).as_posix()
            yield str(path), path.read_bytes().decode("utf-8", "replace")
            if path.suffix == ".parquet":
                file = pq.ParquetFile(path)
                yield str(path), f"{file.read().to_pydict()} {file.metadata.metadata} {file.schema_arrow.metadata}"
                groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
                columns = (group.column(number) for group in groups for number in range(group.num_columns))
                yield str(path), " ".join(str(column.statistics) for column in columns)


def test_no_restricted_value_is_told(storymesh: Command, masked: Path) -> None:
    results = {"run": storymesh(masked, "run")}
    release = masked / "releases/late-repairs/1.0.0-r1"
    assert results["run"].code == 0, results["run"].out + results["run"].err
    rows = {name: pq.read_table(next((release / "data" / name).glob("train*"))) for name in ("report", "advice")}
    assert len(rows["report"]) > 20
    case = rows["advice"]["case_id"][-1].as_py()
    assert "%" in str(rows["advice"]["messages"].to_pylist()), "precedents are quoted"
    for words in (
        *(("preview", "late-repairs", config, "--case", case) for config in ("report", "advice")),
        ("explain", "late-repairs"),
        ("explain", "late-repairs", "--drops"),
        ("explain", "late-repairs", "--sql"),
        ("explain", "late-repairs", "--case", case),
        *(("trace", f"{config}/{case}", "--sql") for config in ("report", "advice")),
        *(("trace", f"{config}/{case}", "--format", "json") for config in ("report", "advice")),
    ):
        results[" ".join(words)] = storymesh(masked, *words)
        assert results[" ".join(words)].code == 0, (words, results[" ".join(words)].err)
    secret = spellings()
    shown = [(name, item.out + item.err) for name, item in results.items()]
    for name, text in (*texts_of(release), *shown, *texts_of(masked / ".storymesh/dagster")):
        assert not [value for value in secret if value in text], name
