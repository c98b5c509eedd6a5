"""Values that a model takes from files: what is published is what the files say, whatever was answered."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.cli.output.trace import show_trace, trace_as_json
from storymesh.dataset.build import Build
from storymesh.errors import NarratorFailed
from storymesh.files.extraction.answer_store import FileAnswers
from storymesh.llm.retry import RetryPolicy
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.product.publication import Publication
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from storymesh.provenance.trace import Tracer, trace_record
from storymesh.release.catalog import read_record
from storymesh.release.rewritten_records import write_all_records
from storymesh.release.write import write_release
from tests.files.conftest import FilesDesk
from tests.support.model_server import Call, Outcome, Raw, Server, Status

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: carrier.mails
version: 1.0.0
status: active
schema:
  - name: mails
    customProperties:
      - {property: eventTime, value: written_at}
      - {property: quarantineLimit, value: 1.0}
    properties:
      - {name: shipment_id, logicalType: string, primaryKey: true, logicalTypeOptions: {pattern: "^SHP-[0-9]{6}$"}}
      - {name: file, logicalType: string, required: true}
      - {name: written_at, logicalType: timestamp}
      - {name: delay_hours, logicalType: integer, required: true, customProperties: [{property: unit, value: hours}]}
      - name: cause
        logicalType: string
        enum: [{value: weather, label: bad weather}, {value: strike, label: strike}, {value: other, label: other}]
      - {name: evidence, logicalType: array, customProperties: [{property: evidence, value: true}]}
"""
FILES = """\
apiVersion: storymesh/v1
kind: Files
from: {files: "sources/mail/**", read: mail}
take:
  file: file.uri
  written_at: mail.date
extract:
  model: "openai:small"
  base_url: URL
  prompt: mails.md.jinja
  rows: many
  attempts: 1
  evidence: {cause: judged}
"""
PROMPT = """\
Which shipments are late, says this mail of {{ mail.sender | default("nobody") }}?
{% for cause in labels.cause %}
- {{ cause.code }}: {{ cause.label }}
{% endfor %}
{{ text }}
"""
PROMPT_PATH = "domains/carrier/sources/mails.md.jinja"
NOTICE = "SHP-004579 is 53 hours late because of a strike."


def row(
    shipment: str = "SHP-004579", delay: Any = 53, quote: Any = "53 hours late", cause: Any = "strike"
) -> dict[str, Any]:
    return {
        "shipment_id": {"value": shipment, "quote": shipment},
        "delay_hours": {"value": delay, "quote": quote},
        "cause": {"value": cause, "quote": None},
    }


def told(*rows: dict[str, Any]) -> Raw:
    return Raw(json.dumps({"rows": rows}))


Answering = Callable[[Call], Outcome]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_NARRATOR_KEY", "none-needed")
    impatient = partial(RetryPolicy, tries=2, first=0.01, longest=0.01)
    monkeypatch.setattr("storymesh.files.extraction.ask.RetryPolicy", impatient)


class ModelDesk:
    """A desk of mails whose values a scripted model takes; `answer` is what it says next."""

    def __init__(self, desk: FilesDesk, server: "Scripted") -> None:
        self.desk, self.server = desk, server
        desk.contract = CONTRACT
        desk.files = FILES.replace("URL", server.url)
        desk.more[PROMPT_PATH] = PROMPT

    def publish(self, *rows: dict[str, Any]) -> Publication:
        if rows:
            self.server.script = lambda _: told(*rows)
        return self.desk.publish()

    def rows(self) -> list[dict[str, Any]]:
        snapshot = ProductStore(Warehouse(self.desk.store), "carrier").latest_snapshot("mails")
        assert snapshot is not None
        found = [row for path in snapshot.files for row in pq.read_table(path).to_pylist()]
        return sorted(found, key=lambda row: str(row["shipment_id"]))

    @property
    def calls(self) -> int:
        return len(self.server.calls)


class Scripted(Server):
    """A server whose script may change."""

    script: Answering

    def __init__(self) -> None:
        super().__init__(lambda call: self.script(call))


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with Scripted() as running:
        yield running


@pytest.fixture
def model(desk: FilesDesk, server: Scripted) -> ModelDesk:
    server.calls.clear()
    return ModelDesk(desk, server)


def test_what_the_file_says_is_published_with_where_it_says_it(model: ModelDesk) -> None:
    model.desk.mail("a.eml", body=f"Good morning,\n\n{NOTICE}\n")
    published = model.publish(row())
    assert (published.rows_in, published.rows_out) == (1, 1), published.quarantined
    (found,) = model.rows()
    assert (found["shipment_id"], found["delay_hours"], found["cause"]) == ("SHP-004579", 53, "strike")
    evidence = {item["property"]: item for item in found["evidence"]}
    assert {name: item["how"] for name, item in evidence.items()} == {
        "file": "taken", "written_at": "taken", "shipment_id": "quoted", "delay_hours": "quoted", "cause": "judged",
    }  # fmt: skip
    delay = evidence["delay_hours"]
    assert (delay["quote"], delay["part"], delay["uri"]) == ("53 hours late", "1", "sources/mail/a.eml")
    body = f"Good morning,\n\n{NOTICE}\n"
    assert body[delay["begin"] : delay["end"]] == "53 hours late"
    (call,) = model.server.calls
    schema = call.body["response_format"]["json_schema"]["schema"]
    asked = schema["properties"]["rows"]["items"]["properties"]
    assert asked["shipment_id"]["properties"]["value"] == {"type": "string", "pattern": "^SHP-[0-9]{6}$"}
    assert asked["delay_hours"]["description"] == "delay hours, in hours"
    assert asked["cause"]["properties"]["value"]["enum"] == ["weather", "strike", "other", None]
    assert "weather: bad weather" in asked["cause"]["description"]
    assert "- weather: bad weather" in call.prompt
    assert f"{NOTICE}" in call.prompt


def test_dagster_shows_figures_and_what_the_contract_lets_people_see(model: ModelDesk) -> None:
    import dagster as dg

    from storymesh.orchestration.assets.file_metadata import gathered_files

    def shown(*rows: dict[str, Any]) -> dict[str, Any]:
        summaries: list[Any] = []
        model.server.script = lambda _: told(*rows)
        published = model.desk.publish(observe=summaries.append)
        contract = model.desk.mesh().contract("carrier.mails")
        event = gathered_files(dg.AssetKey("mails"), "v1", summaries[0], contract, published.snapshot)
        return {name: value.value for name, value in event.metadata.items()}

    model.desk.mail("a.eml", body=f"{NOTICE}\n")
    model.desk.write("b.eml", b"%PDF-1.7")
    found = shown(row(), row("SHP-000001", 12))
    figures = {"files": 2, "files_with_rows": 1, "files_without_rows": 0, "files_refused": 1, "refused: wrong type": 1}
    figures |= {"opened": 2, "read": 1, "calls": 1, "answers_paid_before": 0, "files_that_kept_earlier_rows": 0}
    assert {name: found[name] for name in figures} == figures
    assert found["input_tokens"] > 0
    assert "shipment\\_id: the quote is not in the file | 1 |" in found["rows_that_the_files_do_not_say"]
    assert (
        "| SHP-004579 | delay\\_hours | 53 | quoted | 53 hours late | sources/mail/a.eml, part 1, char"
        in found["sample"]
    )
    assert "| SHP-004579 | cause | strike | judged |" in found["sample"]

    # Evidence is internal here: of a public value no more than how it was taken.
    model.desk.contract = CONTRACT.replace("name: cause\n", "name: cause\n        classification: public\n")
    assert "| SHP-004579 | cause | strike | judged |  |  |" in shown(row())["sample"]
    # Where a value of the row may not be shown, its words are not either.
    model.desk.contract = CONTRACT.replace("written_at, logical", "written_at, classification: restricted, logical")
    hidden = shown(row())["sample"]
    assert "| SHP-004579 | delay\\_hours | 53 | quoted |  | part 1, characters" in hidden
    assert "| SHP-004579 | written\\_at | (restricted) | taken |" in hidden
    assert "a.eml" not in hidden.replace("| SHP-004579 | file | sources/mail/a.eml |", "")
    model.desk.contract = CONTRACT.replace("logicalType: array", "logicalType: array, classification: restricted")
    assert "sample" not in shown(row())


NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: mails
version: 1.0.0
title: What carriers wrote
owner: desk@example.com
license: cc-by-4.0
cast: {mail: carrier.mails@1}
case:
  anchor: mail
  at: mail.written_at
  facts: {minutes: mail.delay_hours * 60}
records:
  report: {format: text, text: report.md.jinja}
"""
REPORT = """\
{{ mail.shipment_id }}: {{ minutes }} minutes late, {{ mail.cause | default("other") }}, {{ mail.written_at | date }}.
"""
FOLDER = "narratives/mails"


def evidence_of(build: Build) -> dict[str, Any]:
    """Return the evidence of each property that the only record prints, as JSON has it."""
    (case_id,) = pq.read_table(build.files.cases)["case_id"].to_pylist()
    records = [row for row in pq.read_table(build.files.records("report")).to_pylist() if row["case_id"] == case_id]
    with Tracer(build) as tracer:
        (trace,) = tracer.trace_records("report", records)
        assert tracer.confirm() == {}
    assert trace.mistakes == ()
    traced = json.loads(trace_as_json(trace, "mails", "1.0.0-r1", "", {"carrier.mails"}))
    found = {}

    def follow(origins: list[dict[str, Any]]) -> None:
        for origin in origins:
            follow(origin.get("origins", []))
            if origin["kind"] == "row":
                found[origin["property"]] = origin.get("evidence")

    for span in traced["columns"][0]["spans"]:
        follow(span["origins"])
    return found


def test_a_printed_value_traces_to_the_words_of_its_file(model: ModelDesk, capsys: pytest.CaptureFixture[str]) -> None:
    model.desk.contract = CONTRACT.replace("logicalType: timestamp", "logicalType: timestamp, required: true").replace(
        "name: cause\n", "name: cause\n        classification: public\n"
    )
    path = model.desk.mail("a b.eml", body="SHP-004579 is 53 hours late, says <ann@mail.example>\n")
    model.desk.more |= {f"{FOLDER}/narrative.yaml": NARRATIVE, f"{FOLDER}/report.md.jinja": REPORT}
    quote = "53 hours late, says <ann@mail.example>"
    assert model.publish(row(quote=quote)).rows_out == 1
    mesh = model.desk.mesh()
    build = pin_build(mesh, mesh.narrative("mails"))
    write_all_records(build)
    found = evidence_of(build)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert {name: item["how"] for name, item in found.items()} == {
        "shipment_id": "quoted", "delay_hours": "quoted", "cause": "judged", "written_at": "taken",
    }  # fmt: skip
    # Evidence is internal here: of a public value it says no more than how it was taken.
    assert found.pop("cause") == {"how": "judged", "hidden": True}
    assert {(item["uri"], item["sha256"]) for item in found.values()} == {("sources/mail/a b.eml", digest)}
    command = "storymesh files carrier.mails --file 'sources/mail/a b.eml'"
    assert {item["command"] for item in found.values()} == {command}
    delay = found["delay_hours"]
    assert delay["quote"] == "53 hours late, says <[e-mail]>"
    assert (delay["part"], delay["begin"], delay["end"]) == ("1", 14, 14 + len(quote))
    release = write_release(build, open_tracer=lambda: Tracer(build))
    page = (release.path / "report.html").read_text(encoding="utf-8")
    assert "quoted &#34;53 hours late, says &lt;[e-mail]&gt;&#34; in sources/mail/a b.eml, part 1" in page
    assert "ann@" not in page
    counted = {name: one.model_dump() for name, one in release.manifest.evidence["report"].items()}
    assert {name: {how: count for how, count in one.items() if count} for name, one in counted.items()} == {
        "carrier.mails.shipment_id": {"quoted": 1}, "carrier.mails.written_at": {"taken": 1},
        "carrier.mails.delay_hours": {"quoted": 1}, "carrier.mails.cause": {"judged": 1},
    }  # fmt: skip
    card = (release.path / "README.md").read_text(encoding="utf-8")
    assert "a language model judged them: `carrier.mails.cause` (100.0% of its values)." in card
    assert re.search(r'id="files">.*<th scope="row">carrier\.mails\.cause</th>.*1 \(100', page, re.DOTALL)
    croissant = json.loads((release.path / "croissant.json").read_text(encoding="utf-8"))
    assert "carrier.mails.cause (100.0% of its values)" in croissant["rai:dataAnnotationProtocol"]
    (case_id,) = pq.read_table(build.files.cases)["case_id"].to_pylist()
    record = read_record(release, f"report/{case_id}")
    assert "quote" not in str(record)
    show_trace(trace_record(build, record), "mails", "1.0.0-r1", "", {"carrier.mails"}, sql=False)
    shown = capsys.readouterr().out
    assert f'quoted "{delay["quote"]}" in sources/mail/a b.eml, part 1, characters 14-' in shown
    assert f"sha256 {digest}" in shown
    assert command in shown
    # Of a premise of which nothing leaves but by a rule no evidence is read: no rule was asked about it.
    assert set(evidence_of(replace(build, guarded={"mail": "harbour"})).values()) == {None}
    model.desk.more[f"{FOLDER}/narrative.yaml"] = f"{NARRATIVE}dataset: {{pseudonymise: [mail.shipment_id]}}\n"
    model.desk.more[f"{FOLDER}/report.md.jinja"] = REPORT.replace("shipment_id", "shipment_id | pseudonym")
    mesh = model.desk.mesh()
    hiding = pin_build(mesh, mesh.narrative("mails"))
    write_all_records(hiding)
    found = evidence_of(hiding)
    del found["cause"]
    assert [item for item in found.values() if {"uri", "quote", "command"} & item.keys()] == []
    assert {(item["sha256"], item["hidden"]) for item in found.values()} == {(digest, True)}


SLY = {
    "another value": (row(delay=35), "delay_hours: the quote does not say it"),
    "a quote that nobody wrote": (
        row(delay=35, quote="a delay of 35 hours"),
        "delay_hours: the quote is not in the file",
    ),
    "a quote that is nearly there": (row(delay=54, quote="54 hours late"), "delay_hours: the quote is not in the file"),
    "another unit": (row(delay=20, quote="20 minutes late"), "delay_hours: the quote does not say it"),
    "another row's value": (row(delay=9, quote="9 hours late"), "delay_hours: the sentence is of another row"),
    "a number of another column": (row(delay=4579, quote="SHP-004579"), "delay_hours: the quote does not say it"),
    "a denial": (row(delay=70, quote="70 hours late"), "delay_hours: the file denies it"),
    "a bound": (row(delay=90, quote="90 hours"), "delay_hours: the quote does not say it"),
    "a shipment that is not there": (row("SHP-999999"), "shipment_id: the quote is not in the file"),
    "no shipment": (
        row() | {"shipment_id": {"value": None, "quote": None}},
        "shipment_id: the answer has no value, and the contract requires one",
    ),
    "no number": (row(delay="a while"), "delay_hours: the answer has a value that is no integer"),
    "a part of an hour": (row(delay=53.5), "delay_hours: the answer has a value that is no integer"),
    "a truth": (row(delay=True), "delay_hours: the answer has a value that is no integer"),
    "a cause that there is not": (row(cause="pirates"), "cause: the answer has a value that the enum does not have"),
    "nothing of the value": (
        {"shipment_id": {"value": "SHP-004579", "quote": "SHP-004579"}},
        "delay_hours: the answer has no value, and the contract requires one",
    ),
}
BODY = f"""{NOTICE}

SHP-000002 is 9 hours late. The gate opens 20 minutes late.

SHP-004579 will not be 70 hours late. SHP-004579 waits at most 90 hours.
"""


def test_sly_answers_are_refused_each_with_its_reason(model: ModelDesk) -> None:
    answers = {}
    for number, (name, (answer, _)) in enumerate(SLY.items()):
        model.desk.mail(f"{number:02}.eml", subject=name, body=f"{BODY}\nYours, mail {number}\n")
        answers[f"Yours, mail {number}\n"] = told(answer)
    model.server.script = lambda call: next(answer for mark, answer in answers.items() if mark in call.prompt)
    published = model.publish()
    assert published.rows_out == 0
    assert published.quarantine_path is not None
    refused = pq.read_table(published.quarantine_path).to_pylist()
    found = {Path(item["storymesh:file"]).name: item["reasons"] for item in refused}
    assert [found[f"{number:02}.eml"] for number in range(len(SLY))] == [[reason] for _, reason in SLY.values()]


def test_answers_that_cannot_be_read_are_counted_and_the_others_go_on(model: ModelDesk) -> None:
    bodies = {
        "cut": Raw('{"rows": [{"shipment', finish="length"), "plain": Raw("It is late."), "nothing": Raw(""),
        "list": Raw('{"rows": "none"}'), "refusal": Raw("I may not", finish="content_filter"),
        "server": Status(413, "too long"), "none": told(),
        "thoughts": Raw(f"Let me see {{...}}\n```json\n{json.dumps({'rows': [row()]})}\n```"),
        "good": told(row()),
    }  # fmt: skip
    for name in bodies:
        model.desk.mail(f"{name}.eml", body=f"{NOTICE} <{name}>")
    model.server.script = lambda call: next(answer for name, answer in bodies.items() if f"<{name}>" in call.prompt)
    published = model.publish()
    assert published.rows_out == 0  # two mails say the same shipment
    assert dict(published.quarantined) == {
        "file: the answer reached the limit of its length and was cut off": 1,
        "file: the answer is not the JSON that was asked for": 3,
        "file: the answer is that it will not answer": 1,
        "file: the model's server refuses the question": 1,
        "primaryKey: shipment_id": 2,
    }
    outcomes = model.desk.outcomes()
    assert outcomes.outcomes == {"row": 2, "no row": 7}
    assert outcomes.reasons["file: the answer is not the JSON that was asked for"] == 3
    assert sum(outcomes.reasons.values()) == 6, "that a mail says nothing is no fault"


def test_a_model_is_told_what_was_wrong_and_its_best_answer_counts(model: ModelDesk) -> None:
    model.desk.files = model.desk.files.replace("attempts: 1", "attempts: 3")
    model.desk.mail("a.eml", body=BODY)
    answers = [told(row(), row("SHP-000002", 8, None)), Raw("?"), told(row(), row("SHP-000002", 9, None))]
    model.server.script = lambda call: answers[len(call.body["messages"]) // 2 - 1]
    assert model.publish().rows_out == 2
    said = [call.body["messages"][-1]["content"] for call in model.server.calls]
    assert "- delay_hours: the file does not say it" in said[1]
    assert "- the answer is not the JSON that was asked for" in said[2]
    assert [(item["shipment_id"], item["delay_hours"]) for item in model.rows()] == [
        ("SHP-000002", 9), ("SHP-004579", 53),
    ]  # fmt: skip
    answers[2] = told(row())
    model.desk.mail("a.eml", body=f"{BODY}\nAgain.", at=9)
    published = model.publish()
    assert (published.rows_out, sum(published.quarantined.values())) == (1, 0)


def test_a_file_is_asked_about_once_and_again_for_what_shapes_its_rows(model: ModelDesk) -> None:
    for number in range(3):
        model.desk.mail(f"{number}.eml", body=f"SHP-00000{number} is {number + 20} hours late.")
    model.server.script = lambda call: told(*of_text(call.prompt))
    first = model.publish()
    assert (first.rows_out, model.calls) == (3, 3)
    assert model.desk.publish().unchanged
    assert first.snapshot is not None
    model.desk.folder.joinpath("0.eml").rename(model.desk.folder / "moved.eml")
    moved = model.publish()
    assert (moved.rows_out, model.calls) == (3, 3)
    assert "sources/mail/moved.eml" in {item["file"] for item in model.rows()}
    model.desk.mail("1.eml", body="SHP-000001 is 77 hours late.", at=9)
    assert (model.publish().rows_out, model.calls) == (3, 4)
    assert [item["delay_hours"] for item in model.rows()] == [20, 77, 22]
    digest = model.desk.collection().source_digest()
    for change in (
        lambda: model.desk.more.update({PROMPT_PATH: PROMPT + "\nWell?"}),
        lambda: setattr(model.desk, "files", model.desk.files.replace("openai:small", "openai:large")),
        lambda: setattr(model.desk, "contract", model.desk.contract.replace("label: strike", "label: walkout")),
    ):
        change()
        before, model.server.calls[:] = digest, []
        digest = model.desk.collection().source_digest()
        assert digest != before
        assert (model.publish().rows_out, model.calls) == (3, 3)


def of_text(prompt: str) -> list[dict[str, Any]]:
    """Return the rows that an honest model would find."""
    found = re.findall(r"(SHP-\d{6}) is (\d+) hours late", prompt)
    return [row(shipment, int(delay), f"{delay} hours late") for shipment, delay in found]


def test_nothing_of_a_deleted_file_is_left_and_no_prompt_is_kept(model: ModelDesk) -> None:
    model.desk.mail("stays.eml", body="SHP-000001 is 20 hours late.")
    model.desk.mail("goes.eml", body="SHP-000002 is 30 hours late. Xylophones were on board.")
    cause = {"value": "other", "quote": "Xylophones were on board"}
    model.server.script = lambda call: told(
        *({**item, "cause": cause} if "Xylo" in call.prompt else item for item in of_text(call.prompt))
    )
    assert model.publish().rows_out == 2
    answers = model.desk.collection().answers_path
    with FileAnswers(answers) as store:
        kept = store._connection.execute("SELECT messages FROM answer").fetchall()
    assert all(re.fullmatch(r'\[\["sha256","[0-9a-f]{64}"\]\]', messages) for (messages,) in kept)
    model.desk.files = model.desk.files.replace("take:", "limits: {gone: 1}\ntake:")
    (model.desk.folder / "goes.eml").unlink()
    assert (model.publish().rows_out, model.calls) == (1, 2)
    files = [path for path in answers.parent.iterdir() if path.is_file()]
    assert answers in files
    assert not [path for path in files if b"ylophones" in path.read_bytes()]


def test_a_server_that_dies_stops_the_run_and_what_was_paid_is_kept(model: ModelDesk) -> None:
    model.desk.files = model.desk.files.replace("attempts: 1", "attempts: 1\n  concurrency: 1")
    for number in range(4):
        model.desk.mail(f"{number}.eml", body=f"SHP-00000{number} is {number + 20} hours late.")
    model.server.script = lambda call: told(*of_text(call.prompt)) if call.number < 2 else Status(503, "gone away")
    with pytest.raises(NarratorFailed, match=r"has answered nothing in 2 tries: .* gone away"):
        model.publish()
    model.server.calls.clear()
    model.server.script = lambda call: told(*of_text(call.prompt))
    assert (model.publish().rows_out, model.calls) == (4, 2)


def test_files_that_the_budget_does_not_reach_are_asked_about_at_the_next_run(model: ModelDesk) -> None:
    model.desk.files = model.desk.files.replace(
        "attempts: 1", "attempts: 1\n  concurrency: 1\n  parameters: {max_tokens: 100}\n  budget: {tokens: 6000}"
    )
    for number in range(4):
        model.desk.mail(f"{number}.eml", body=f"SHP-00000{number} is {number + 20} hours late. {'x' * 1000}")
    model.server.script = lambda call: Raw(told(*of_text(call.prompt)).text, usage=(3000, 50))
    first = model.publish()
    assert first.rows_out + sum(first.quarantined.values()) == 4
    assert set(first.quarantined) == {"file: the budget was spent before it was asked about (tried again)"}
    assert first.rows_out == model.calls
    assert model.desk.collection().source_digest() is None
    model.server.script = lambda call: Raw(told(*of_text(call.prompt)).text, usage=(10, 5))
    assert model.publish().rows_out == 4


@pytest.mark.parametrize(
    ("where", "old", "new", "expected"),
    [
        ("files", "{cause: judged}", "{shipment_id: judged}", "error[no-evidence]: 'shipment_id' is"),
        ("files", "openai:small", "small", "error[wrong-value]: the model 'small' names no provider"),
        ("files", "base_url: ", "base_url: https://elsewhere.example/v1 #", "error[host-not-allowed]"),
        ("files", "attempts: 1", "budget: {usd: 1}", "error[no-price]: the budget is in US dollars"),
        ("files", "attempts: 1", "parameters: {api_key: x}", "error[wrong-value]: the parameter 'api_key'"),
        ("contract", "logicalType: integer", "logicalType: boolean", "error[no-evidence]: 'delay_hours' is true or"),
        ("contract", "logicalType: integer", "logicalType: object", "error[wrong-type]: 'delay_hours' is JSON text"),
        ("contract", "required: true, customP", "classification: restricted, customP",
         "error[classification]: 'evidence' quotes the words that say 'delay_hours'"),
        ("contract", "logicalType: array", "logicalType: string", "error[wrong-value]: 'evidence' has the evidence"),
        ("contract", "{property: evidence, value: true}", "{property: leastConfidence, value: 2}",
         "error[wrong-value]: leastConfidence is a number between 0 and 1"),
    ],
)  # fmt: skip
def test_what_a_model_cannot_be_asked_is_found_before_any_file_is_read(
    model: ModelDesk, where: str, old: str, new: str, expected: str
) -> None:
    assert old in getattr(model.desk, where)
    setattr(model.desk, where, getattr(model.desk, where).replace(old, new, 1))
    found = [finding.text() if hasattr(finding, "text") else str(finding) for finding in model.desk.findings()]
    assert any(expected in line for line in found), "\n".join(found)


def test_restricted_values_are_shown_to_a_model_of_this_machine_alone(model: ModelDesk) -> None:
    model.desk.contract = model.desk.contract.replace("required: true, customP", "classification: restricted, customP")
    model.desk.contract = model.desk.contract.replace(
        "logicalType: array", "logicalType: array, classification: restricted"
    )
    assert [str(item) for item in model.desk.findings() if item.severity == "error"] == []
    model.desk.files = re.sub(r"  base_url: .*\n", "", model.desk.files)
    (finding,) = [item for item in model.desk.findings() if item.severity == "error"]
    assert finding.rule == "model-not-allowed"
    model.desk.more["mesh.yaml"] = "premises: {default: {models: ['openai:small']}}\n"
    assert [str(item) for item in model.desk.findings() if item.severity == "error"] == []
