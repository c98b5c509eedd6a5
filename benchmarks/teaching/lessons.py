"""The same cases told in several ways, to learn from; and the questions that each of them is asked with, in its words.

A text is a prompt, which may be empty, and a completion. Everything to learn from is of the train split of a release;
the questions are those of its `eval`.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from benchmarks.reference import NARRATIVE, ROOT, pinned
from benchmarks.teaching.elsewhere import WATERWAYS, mesh_with_waterways

Text = tuple[str, str]
SYSTEM, USER, ANSWER = "<s>", "<u>", "<a>"


@dataclass(frozen=True)
class Asked:
    """How the reference narrative is told of a world: what earlier cases are matched by, if not as it is released, and
    for which values the questions are drawn."""

    strata: str
    match: str | None = None


WORLDS: Mapping[str, Asked] = {
    # The odds hang on waterway and cargo, which the narrative as it is released matches by.
    "steady": Asked("[delay.waterway, shipment.cargo_type]"),
    # The cause decides as well.
    "changing": Asked(
        "[delay.waterway, delay.cause]",
        "[[delay.waterway, delay.cause, shipment.cargo_type], [delay.waterway, delay.cause], [delay.waterway]]",
    ),
}

EVALUATION = """
evaluation:
  strata: STRATA
  each: EACH
  tasks: {best: ask.md.jinja, abstain: true}
  system: system.jinja
  context: cases.md.jinja
"""
LEFT_OUT = ("bericht", "choice", "follow_up", "lookup")
"""Records that no arm learns from."""
ASKED_WITHOUT = 50
"""Questions of whose waterway nothing is known: so many with a name that training has, and with one that it has not."""

ARMS: Mapping[str, Mapping[str, int]] = {
    "rows": {"rows": 1},
    "joined": {"joined": 1},
    "report": {"report": 1},
    "lean json": {"lean json": 1},
    "recall": {"recall": 1},
    "released": {"advice": 1, "recall": 1},
    "everything": {"report": 1, "advice": 1, "recall": 1},
}
"""Arm -> the kinds of texts that it learns from, and the share of its tokens that each has."""

RELEASED_ARMS = ("report", "recall", "released", "everything", "pretrained")
"""Those that learn from what a release holds, as it is."""

WHAT = {
    "rows": "rows of the products, as JSON",
    "joined": "joined rows with action and outcome, as JSON",
    "report": "`report`: the case in hindsight",
    "lean json": "joined row and a lean answer, as JSON",
    "recall": "`recall`: question and lean answer, closed book",
    "released": "`advice` and `recall`: open and closed book",
    "everything": "`report`, `advice` and `recall`",
    "pretrained": "`advice`, by a model that was trained before",
}


def release_of(products: Path, scratch: Path, world: str, each: int) -> Path:
    """Make the release that is learned from, in `scratch`: of the reference narrative on `products`, with questions."""
    from storymesh.dataset.stages import write_cases_and_precedents, write_records
    from storymesh.release.write import write_release

    mesh = mesh_with_waterways(scratch / "mesh")
    _write_narrative(mesh / "narratives" / "canal_exceptions", WORLDS[world], each)
    build = pinned(products, scratch / "store", mesh=mesh)
    write_cases_and_precedents(build)
    for config in build.configs:
        write_records(build, config)
    return write_release(build).path


def _write_narrative(folder: Path, asked: Asked, each: int) -> None:
    shutil.copytree(ROOT / "narratives" / NARRATIVE.replace("-", "_"), folder)
    shutil.rmtree(folder / "scenarios", ignore_errors=True)
    path = folder / "narrative.yaml"
    text = path.read_text(encoding="utf-8")
    if asked.match is not None:
        text = _replaced(r"^(\s+)match: .*$", rf"\1match: {asked.match}", text)
    text = _replaced(r"\[baltimore_channel\]", f"[{', '.join(('baltimore_channel', *WATERWAYS))}]", text)
    for name in LEFT_OUT:
        text = _replaced(rf"^(  # .*\n)*  {name}:.*\n(    .*\n)*", "", text)
    text = _replaced(r"^labels:.*\n( .*\n)*", "", text)
    text = _replaced(r"^evaluation:.*\n( .*\n)*", "", text)
    path.write_text(text + EVALUATION.replace("STRATA", asked.strata).replace("EACH", str(each)), encoding="utf-8")


def _replaced(pattern: str, by: str, text: str) -> str:
    result, found = re.subn(pattern, by, text, flags=re.MULTILINE)
    if found != 1:
        raise SystemExit(f"the reference narrative has {found} places like {pattern!r}, one is wanted")
    return result


@dataclass(frozen=True)
class Question:
    """A case to ask about, in the words of each kind of text. `stems`: kind -> action -> a text up to where the outcome
    comes, for what only tells outcomes; `prompts`: kind -> a prompt, for what answers. `withheld`: training says of its
    waterway that nothing is known; `unseen`: it does not have its name."""

    case: str
    stratum: str
    stems: Mapping[str, Mapping[str, str]]
    prompts: Mapping[str, str]
    withheld: bool
    unseen: bool


class Lessons:
    """The texts and questions of a release and of the products that it was made from."""

    def __init__(self, release: Path, products: Path) -> None:
        self._db = duckdb.connect()
        self._db.execute("SET enable_progress_bar = false")
        for name in ("shipment_delays", "shipments", "resolutions", "disruptions", "ports", "carrier_notices"):
            self._db.execute(f"CREATE VIEW {name} AS FROM '{products / name}.parquet'")
        self._release = release
        self.labels = self._labels()

    def _rows(self, query: str) -> list[dict[str, Any]]:
        found = self._db.execute(query)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _records(self, config: str, split: str) -> dict[str, dict[str, Any]]:
        files = self._release / "data" / config / f"{split}-*.parquet"
        return {row["case_id"]: row for row in self._rows(f"FROM read_parquet('{files}') ORDER BY case_id")}

    def _labels(self) -> dict[str, str]:
        document = json.loads((self._release / "evaluation.json").read_text(encoding="utf-8"))
        labels: dict[str, str] = document["actions"]
        return labels

    def texts(self, most: int) -> dict[str, list[Text]]:
        """Return the texts of each kind, of at most so many cases of the train split, drawn by their ids."""
        told = {config: self._records(config, "train") for config in ("report", "advice", "recall", "verdict")}
        told_of = told["report"].keys() & told["advice"].keys() & told["verdict"].keys()
        # Of a value that is withheld nothing is told but that too little is known.
        declined = told["recall"].keys() - told["report"].keys()
        known = self._known(sorted(told_of | declined))
        drawn = sorted(known, key=lambda case: hash_of(case))[:most]
        cases = [case for case in drawn if case in told_of]
        found: dict[str, list[Text]] = {"rows": list(self._product_rows(cases))}
        found["report"] = [("", told["report"][case]["text"]) for case in cases]
        for config in ("advice", "recall"):
            found[config] = [_conversation(told[config][case]) for case in drawn if case in told[config]]
        found["joined"] = [("", self._with_outcome(known[case], told["verdict"][case])) for case in cases]
        found["lean json"] = [
            (as_json(known[case]), lean_answer(told["advice"][case]["facts"]["precedents"]))
            for case in drawn
            if case in told["recall"]
        ]
        return found

    def _known(self, cases: list[str]) -> dict[str, dict[str, Any]]:
        """Return for each case what was known when it was asked, as one row: the rows of its cast, joined."""
        self._name(cases)
        rows = self._rows("""
            SELECT d.* EXCLUDE (arrived_at, final_delay_hours), s.* EXCLUDE (shipment_id, consignee),
                (SELECT list({'kind': kind, 'severity': severity, 'title': title} ORDER BY started_at, disruption_id)
                FROM disruptions AS e WHERE e.waterway = d.waterway AND e.started_at <= d.detected_at
                AND (e.ended_at IS NULL OR e.ended_at >= d.detected_at)) AS disruptions,
                (SELECT list({'file': file, 'received_at': received_at, 'body': body} ORDER BY received_at, file)
                FROM carrier_notices AS n WHERE n.shipment_id = d.shipment_id
                AND n.received_at BETWEEN d.detected_at - INTERVAL 7 DAYS AND d.detected_at) AS notices
            FROM shipment_delays AS d JOIN named ON case_id = delay_id JOIN shipments AS s USING (shipment_id)
        """)
        return {row["delay_id"]: row for row in rows}

    def _product_rows(self, cases: list[str]) -> Iterator[Text]:
        """Yield the rows of the products that the cases are made of, each once."""
        self._name(cases)
        delays = "SELECT shipment_id FROM shipment_delays JOIN named ON case_id = delay_id"
        for row in self._rows(f"""
            SELECT s.* EXCLUDE (consignee), (SELECT list(r ORDER BY decided_at, resolution_id) FROM
                (SELECT * EXCLUDE (decided_by) FROM resolutions) AS r WHERE r.shipment_id = s.shipment_id) AS steps,
                (SELECT list(n ORDER BY received_at, file) FROM
                (SELECT * EXCLUDE (sender) FROM carrier_notices) AS n WHERE n.shipment_id = s.shipment_id) AS notices,
                (SELECT list(d ORDER BY detected_at) FROM shipment_delays AS d
                JOIN named ON case_id = delay_id WHERE d.shipment_id = s.shipment_id) AS delays
            FROM shipments AS s WHERE shipment_id IN ({delays}) ORDER BY md5(shipment_id)
        """):
            steps, mails, late = row.pop("steps") or [], row.pop("notices") or [], row.pop("delays")
            parts = [f"shipments {as_json(row)}", *(f"carrier_notices {as_json(mail)}" for mail in mails)]
            parts += [f"resolutions {as_json(step)}" for step in steps]
            yield "", "\n".join([*parts, *(f"shipment_delays {as_json(delay)}" for delay in late)])

    def _name(self, cases: list[str]) -> None:
        self._db.execute("CREATE OR REPLACE TEMP TABLE named (case_id VARCHAR)")
        self._db.execute("INSERT INTO named SELECT unnest(?)", [cases])

    def _with_outcome(self, known: dict[str, Any], verdict: dict[str, Any]) -> str:
        action = verdict["facts"]["option"]["own"]["action"]
        return as_json({**known, "action": action, "worked": bool(verdict["label"])})

    def questions(self) -> list[Question]:
        """Return the questions of the release, in the words of every kind of text."""
        asked = self._records("eval", "test")
        reports, advice = self._records("report", "test"), self._records("advice", "test")
        known = self._known(sorted(asked))
        learned = self._records("recall", "train")
        named = {row["waterway"] for row in self._known(sorted(learned)).values()}
        declined = {"baltimore_channel", *WATERWAYS}
        left = {True: ASKED_WITHOUT, False: ASKED_WITHOUT}  # by whether training has the name
        found = []
        for case, row in sorted(asked.items(), key=lambda item: hash_of(item[0])):
            if case not in advice or case not in known:
                continue
            waterway = known[case]["waterway"]
            if waterway in declined:
                if not left[waterway in named]:
                    continue
                left[waterway in named] -= 1
            system = f"{SYSTEM}{row['system']}" if row["system"] else ""
            offered = {rate["action"]: self.labels[rate["action"]] for rate in row["options"]}
            stems = {
                "rows": {action: _row_stem(known[case], action) for action in offered},
                "joined": {action: _joined_stem(known[case], action) for action in offered},
                "report": {action: _report_stem(reports[case]["text"], label) for action, label in offered.items()}
                if case in reports
                else {},
            }
            closed = f"{system}{USER}{row['question']}{ANSWER}"
            prompts = {
                "recall": closed,
                "advice": _conversation(advice[case])[0],
                "lean json": as_json(known[case]),
            }
            found.append(Question(case, row["stratum"], stems, prompts, waterway in declined, waterway not in named))
        return found


def _conversation(record: dict[str, Any]) -> Text:
    """Return prompt and completion of messages, between marks that no text has."""
    marks = {"system": SYSTEM, "user": USER}
    prompt = "".join(f"{marks[turn['role']]}{turn['content']}" for turn in record["prompt"])
    return prompt + ANSWER, record["completion"][0]["content"]


def _row_stem(known: dict[str, Any], action: str) -> str:
    delay = {name: known[name] for name in ("delay_id", "shipment_id", "waterway", "location", "detected_at")}
    delay |= {name: known[name] for name in ("planned_at", "expected_delay_hours", "delay_code", "cause")}
    skipped = {*delay, "disruptions", "notices"} - {"shipment_id"}
    shipment = {name: value for name, value in known.items() if name not in skipped}
    step = {"resolution_id": "RES-000001", "shipment_id": known["shipment_id"]}
    step |= {"decided_at": known["detected_at"], "action_code": action}
    mails = [
        f"carrier_notices {as_json({**mail, 'shipment_id': known['shipment_id']})}" for mail in known["notices"] or ()
    ]
    rows = [f"shipments {as_json(shipment)}", *mails, f"resolutions {as_json(step)}"]
    return "\n".join([*rows, f"shipment_delays {as_json(delay)[:-1]}"])


def _joined_stem(known: dict[str, Any], action: str) -> str:
    return as_json({**known, "action": action})[:-1]


def _report_stem(report: str, label: str) -> str:
    """Return a report up to what was done, with one step in place of those that were taken."""
    head = report.split("What the control tower did:")[0].split("The control tower decided nothing")[0]
    day = re.search(r"on (\d+ \w+ \d{4}) at", head)
    when = day.group(1) if day else ""
    return f"{head}What the control tower did:\n\n1. {when}: {label}, the cost not yet settled.\n\n"


def as_json(row: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in row.items() if value is not None}
    return json.dumps(plain, default=str, ensure_ascii=False)


def lean_answer(precedents: Mapping[str, Any]) -> str:
    """Return what `recall` says of precedents, as JSON."""
    best = (precedents["best"] or {}).get("action")
    rates = {row["action"]: round(10 * float(row["rate"])) for row in precedents["options"] if row["tried"] >= 5}
    tried = precedents["tried"]
    cases = "many" if tried >= 100 else "dozens" if tried >= 25 else "few" if tried else "too few"
    return json.dumps({"best": best, "in ten": rates, "cases": cases})


def hash_of(case: str) -> bytes:
    from hashlib import md5

    return md5(case.encode(), usedforsecurity=False).digest()
