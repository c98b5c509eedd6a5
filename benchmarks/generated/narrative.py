"""A drawn narrative: its templates over a drawn world, and for each config the SQL of its texts."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml
from benchmarks.generated.grammar import Piece, TemplateWriter, branch, joined, literal, printed
from benchmarks.generated.world import TEST, VALIDATION, World, draw_world, write_contracts

LEAST, QUOTES = 5, 3


@dataclass(frozen=True)
class DrawnNarrative:
    """`texts`: config -> template slot -> SQL of its text. `columns`: role -> columns that a template uses."""

    world: World
    files: dict[str, str]
    texts: dict[str, dict[str, str]]
    columns: dict[str, set[str]] = field(repr=False)

    def write(self, root: Path) -> Path:
        """Write contracts and narrative below the mesh root `root`. Returns the path of `narrative.yaml`."""
        write_contracts(self.world, root)
        folder = root / "narratives" / "drawn"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        path = folder / "narrative.yaml"
        path.write_text(yaml.safe_dump(self._definition(), sort_keys=False), encoding="utf-8")
        return path

    def _definition(self) -> dict[str, Any]:
        links: dict[str, dict[str, Any]] = {}
        for role in self.world.roles:
            match role.kind:
                case "parent":
                    expect = "one" if role.required else "optional"
                    links[role.name] = {"on": {"id": f"job.{role.name}_id"}, "expect": expect}
                case "log":
                    within = {"after": "-30d", "before": "0d"}
                    links[role.name] = {"on": {"job_id": "job.id"}, "within": within, "expect": "any"}
                case "span":
                    links[role.name] = {"on": {"lane": "job.lane"}, "overlaps": {}, "expect": "any"}
                case "rate":
                    links[role.name] = {"on": {"lane": "job.lane"}, "as_of": {}, "expect": "optional"}
        case: dict[str, Any] = {"anchor": "job", "at": "job.began", "closes": "job.ended", "links": links}
        if self.world.precedents:
            case["outcome"] = {"action": "job.choice", "score": "job.gain", "worked": "job.gain >= 0"}
            match_ = [["job.lane", "job.sort"], ["job.lane"]]
            case["precedents"] = {"match": match_, "min": LEAST, "quote": QUOTES}
        slots = {
            "report": {"format": "text", "text": "report.jinja"},
            "advice": {"format": "messages", "user": "ask.jinja", "assistant": "advise.jinja"},
            "choice": {"format": "preference", "prompt": "ask.jinja", "option": "option.jinja"},
            "verdict": {"format": "unpaired_preference", "prompt": "ask.jinja", "option": "option.jinja"},
            "answer": {"format": "prompt_completion", "prompt": "ask.jinja", "completion": "report.jinja"},
        }
        return {
            "apiVersion": "storymesh/v1",
            "kind": "Narrative",
            "id": "drawn",
            "version": "1.0.0",
            "title": f"Drawn from seed {self.world.seed}",
            "owner": "benchmark@example.com",
            "license": "cc-by-4.0",
            "cast": {role.name: f"world.{role.name}@1" for role in self.world.roles},
            "case": case,
            "records": {config: slots[config] for config in self.texts},
            "dataset": {"split": {"validation": VALIDATION, "test": TEST}, "dedup": "facts"},
        }


def draw_narrative(seed: int) -> DrawnNarrative:
    """Return the narrative of a seed: always a hindsight `report`; with precedents up to three configs more."""
    rng, world = Random(f"narrative {seed}"), draw_world(seed)
    files: dict[str, str] = {}
    columns: dict[str, set[str]] = {}

    def template(name: str, *opening: Any, size: int = 4) -> str:
        writer = TemplateWriter(rng, world, f"{name}.jinja", files)
        files[writer.name] = ""
        sql = writer.write(opening, size)
        for role, used in writer.columns.items():
            columns.setdefault(role, set()).update(used)
        return sql

    texts = {"report": {"text": template("report", size=rng.choice((4, 8, 16)))}}
    if world.precedents:
        ask = template("ask")
        texts["advice"] = {"user": ask, "assistant": template("advise", _advice, size=2)}
        option = template("option", _option, size=2)
        if rng.random() < 0.7:
            texts["choice"] = {"prompt": ask, "option": option}
        if rng.random() < 0.7 or "choice" not in texts:
            texts["verdict"] = {"prompt": ask, "option": option}
    return DrawnNarrative(world, files, texts, columns)


def _advice() -> Piece:
    """What was tried, one line for each option with its quotes: a loop in a loop."""
    day = printed('q.at | date("%-d %b")', "strftime(q.at, '%-d %b')")
    gained = [literal(" gained "), _number("q.score", 2), literal(" from ")]
    quote = joined([literal(" "), printed("q.id", "q.id"), *gained, day])
    quotes = Piece(
        f"{{% for q in o.quoted %}}{quote.jinja}{{% endfor %}}",
        f"array_to_string(list_transform(o.quoted, lambda q: {quote.sql}), '')",
    )
    line = joined([*_counted("o"), quotes, literal(";")])
    lines = Piece(
        f"{{% for o in precedents.options %}}{line.jinja}{{% endfor %}}",
        f"coalesce(array_to_string(list_transform(options, lambda o: {line.sql}), ''), '')",
    )
    tried = joined(
        [literal("Of "), printed('precedents.tried | plural("case")', "counted(tried, 'case', 'cases')"), lines]
    )
    best = branch("precedents.best", "best IS NOT NULL",
                  joined([literal(" Best: "), printed("precedents.best.action | label", "label(best.action)")]),
                  literal(" None worked."))  # fmt: skip
    told = branch("precedents.enough", "enough", joined([tried, best]), literal("Too few."))
    return joined([told, literal(" Here: "), printed("outcome.action | label", "label(choice)"), literal(". ")])


def _option() -> Piece:
    return joined([
        printed("option.action | label | capitalize", "capital(label(o.action))"),
        branch("option.tried > 0", "o.tried > 0", joined(_counted("option")), literal(" was never tried")),
        literal(". "),
    ])  # fmt: skip


def _counted(name: str) -> list[Piece]:
    return [
        literal(" "), printed(f"{name}.action", "o.action"), literal(" "),
        printed(f'{name}.tried | plural("time")', "counted(o.tried, 'time', 'times')"), literal(", worked "),
        printed(f"{name}.worked | number", "format('{:,}', o.worked)"), literal(", "),
        printed(f"{name}.rate | percent", "format('{:,.0f}%', 100 * o.rate)"), literal(", "),
        printed(f"{name}.mean_score | abs | number(1)", "format('{:,.1f}', abs(o.mean_score))"),
    ]  # fmt: skip


def _number(path: str, digits: int) -> Piece:
    return printed(f"{path} | number({digits})", f"format('{{:,.{digits}f}}', {path}::DOUBLE)")
