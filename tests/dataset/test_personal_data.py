"""Personal data in free text: what is found, what is not, and that no record shows it in any view or format."""

import csv
import json
import os
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.dataset.build import Build
from storymesh.dataset.personal_data import MASKS
from storymesh.dataset.personal_data_finder import PersonalDataFinder, PersonNames
from storymesh.dataset.preview import preview_records
from storymesh.dataset.stages import write_cases_and_precedents
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, StorymeshError
from storymesh.narrative.definition import read_narrative
from storymesh.provenance.trace import trace_record
from storymesh.release.catalog import Release
from storymesh.release.write import write_release
from tests.support.paths import ROOT
from tests.support.release_builds import Told, make, with_narrative
from tests.support.small_build import build_of
from tests.support.small_mesh import Product
from tests.support.small_release import drops_of, released, rows_of

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
EACH = 1_000 if DEEP else 30  # values of a column of the reference mesh that are looked at
DRAWN = 20_000 if DEEP else 200
NAMES = PersonNames.from_values(["Ann Example", "José Ñandú", "de la Cruz, María", "Brisbane", "SHP-0815"])
FINDER = PersonalDataFinder(NAMES, ("DE", "US"))

PERSONS = {
    "e-mail": [
        "ann@example.com",
        "Ann.Example+tag@sub.example.co.uk",
        "ANN@EXAMPLE.COM",
        "a_b-c%d@x-y.org",
        "ann (at) example.com",
        "ann[at]example[dot]com",
        "jörg@bücher.example",
    ],
    "phone": [
        "+49 30 901820",
        "+4930901820",
        "0049 30 901820",
        "+49 (0)30 901820",
        "(030) 901820",
        "030/901820",
        "+1 650-253-0000",
        "(650) 253-0000",
        "650.253.0000",
        "+44 20 7946 0958",
    ],
    "iban": [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89 3704 0044 0532 0130 00",
        "GB82 WEST 1234 5698 7654 32",
        "DE89-3704-0044-0532-0130-00",
        "NO93 8601 1117 947",
    ],
    "card": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555555555554444",
        "378282246310005",
        "3530111333300000",
        "6011 1111 1111 1117",
        "2223 0031 2200 3222",
    ],
    "name": [
        "Ann Example",
        "ANN EXAMPLE",
        "ann  example",
        "Ann\nExample",
        "José Ñandú",
        "Jose\u0301 N\u0303andú",
        "De La Cruz, María",
        "Brisbane",
        "BRISBANE",
        "SHP-0815",
        "shp 0815",
    ],
}
AROUND = ["{}", "Call {} now.", "Told by {}, who knew.", "({})", "see: {}; then", "Ankunft um 10:30, {}\nEnde"]
HARMLESS = [
    "IMO 9811000",
    "9811000",
    "DEHAM",
    "USNYC-2",
    "2024-03-01",
    "2024-03-01T10:30:00Z",
    "01.03.2024 10:30",
    "1.697.102,28",
    "34,168.00",
    "USD 1,234,567.89",
    "0.4111111111111111",
    "MSCU1234565",
    "SHP-0001",
    "4111111111111112",
    "1234567890123456",
    "9780306406157",
    "DE89370400440532013001",
    "10:30-11:45",
    "53.5511, 9.9937",
    "A-35-2023",
    "3105497",
    "6502530000",
    "user@host",
    "@channel",
    "100 @ 5.50",
    "R2D2 AT work",
    "12 (at) most",
    "an example",
    "brisbane",
    "Examples of Ann",
    "de la Cruz",
    "ID4111111111111111",
    "p-0123456789ab",
    "a1b2c3d4-0000-4111-8111-111111111111",
    "+12345678901234",
    "2021-03-23 to 2021-03-29",
    "400 m / 59 m / 224,000 t",
]


@pytest.mark.parametrize(("kind", "person"), [(kind, text) for kind, texts in PERSONS.items() for text in texts])
def test_personal_data_is_found_however_it_is_written(kind: Any, person: str) -> None:
    for around in AROUND:
        assert FINDER.replace(around.format(person), MASKS) == (around.format(MASKS[kind]), [kind])


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_left_alone(text: str) -> None:
    for around in AROUND:
        assert FINDER.replace(around.format(text), MASKS) == (around.format(text), [])


def test_nothing_in_the_reference_mesh_is_taken_for_personal_data() -> None:
    finder = PersonalDataFinder(regions=("US", "DE", "GB", "NL", "EG", "SG"))
    values: defaultdict[tuple[Path, str], set[str]] = defaultdict(set)
    for path in sorted((ROOT / "domains").rglob("sources/**/*.csv")):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for column, value in row.items():
                    if isinstance(value, str):
                        values[path, column].add(value)
    assert sum(map(len, values.values())) > 10_000
    chance = random.Random(1)
    sample = {value for found in values.values() for value in chance.sample(sorted(found), min(EACH, len(found)))}
    assert len(sample) > 400
    assert [value for value in sorted(sample) if finder.find(f"Note: {value}, see {value}.")] == []


@pytest.fixture(scope="module")
def one_thread() -> Iterator[Engine]:
    with open_engine(memory="1GB", threads=1) as engine:
        yield engine


FINDERS = (PersonalDataFinder(), PersonalDataFinder(regions=("DE", "US")))


def test_text_that_the_engine_does_not_preselect_holds_no_personal_data(one_thread: Engine) -> None:
    chance, parts = random.Random(7), [*chain.from_iterable(PERSONS.values()), *HARMLESS]
    drawn = [", then ".join(chance.choices(parts, k=chance.randint(1, 5))) for _ in range(DRAWN)]
    texts = one_thread.materialize(pa.table({"text": [*parts, *drawn]}))
    for finder in FINDERS:
        others = one_thread.fetch_rows(texts.filter(~texts["text"].re_search(finder.preselection)))
        assert len(others) > len(HARMLESS) // 4
        assert [row["text"] for row in others if finder.find(row["text"])] == []


def test_a_record_with_personal_data_made_up_by_a_model_drops_without_its_text(tmp_path: Path) -> None:
    """The records are those that a language model rewrote: no row of a product held what is in their texts."""
    cases = [Told("d1", datetime(2023, 5, 1), answer="write to ann@example.com"), Told("d2", datetime(2023, 5, 2))]
    build = make(tmp_path, cases)
    path = tmp_path / build.narrative.document.path
    prompt = "advice: {from: said, narrator: {model: some, prompt: a.jinja}}\n  said: {format: messages, user: a.jinja"
    path.write_text(path.read_text().replace("advice: {format: messages, user: a.jinja", prompt))
    for name in ("", ".drops"):
        shutil.copy(
            build.files.folder / f"records/advice{name}.parquet", build.files.folder / f"records/said{name}.parquet"
        )
    records = pq.read_table(build.files.records("advice"))
    notes = [[{"column": "assistant", "model": "some", "attempts": 1, "answer": "write to ann@example.com"}]] * 2
    pq.write_table(records.append_column("retellings", pa.array(notes)), build.files.records("advice"))
    release = write_release(with_narrative(build, read_narrative(path, tmp_path)))
    assert release.drops["advice"] == {"personal data: e-mail": 1}
    dropped = drops_of(release, "advice")["d1"]
    assert (dropped["messages"], dropped["retellings"]) == (None, None)
    assert dropped["facts"]["delay"]["waterway"] == "Suez"
    assert "ann@example.com" in rows_of(release, "report")["d1"]["text"]  # the templates' own words are their author's


# --- a mesh ---

NARRATIVE = """
apiVersion: storymesh/v1
kind: Narrative
id: late-calls
version: 1.0.0
title: Calls that ran late
owner: quay@example.com
license: mit
cast: {call: quay.calls@1, note: quay.notes@1}
case:
  anchor: call
  at: call.came
  closes: call.went
  links:
    note: {on: {call: call.id}, within: {after: -1d, before: 9d}, expect: any}
  facts: {first_note: note | first}
  outcome: {action: call.action, score: call.hours, worked: call.hours >= 4}
  precedents: {match: [[call.quay]], min: 1, quote: 2}
records:
  report: {format: text, text: report.jinja}
  passage: {format: retrieval, text: report.jinja}
dataset: {pseudonymise: [call.captain]}
"""
REPORT = (
    "{{ call.quay }} {{ call.captain }} {{ case.id }}{% for one in note %} {{ one.text }}{% endfor %}"
    "{% if first_note %} {{ first_note.text | upper }} {{ first_note.text | length }}{% endif %}"
)
CAST = {
    "call": Product(
        "calls",
        {
            "id": "string",
            "quay": "string",
            "captain": "string",
            "hours": "decimal(9,2)",
            "came": "timestamp",
            "went": "timestamp",
            "action": "string",
        },
        event="came",
        required=("quay", "captain", "hours", "came"),
        known_of={"action": "went", "hours": "went"},
    ),
    "note": Product(
        "notes",
        {"id": "string", "call": "string", "text": "string", "noted": "timestamp"},
        event="noted",
        required=("text",),
    ),
}
NOTES = {
    "c1": "fog, so call ann@example.com or +49 30 901820",
    "c2": "fog on 2024-03-01, IMO 9811000",
    "c3": "paid by DE89 3704 0044 0532 0130 00 and 4111 1111 1111 1111",
    "c4": "JOHN  SMITH said so",
}


def call(name: str) -> dict[str, Any]:
    day = int(name[1:])
    row = {"id": name, "quay": "Kai 4", "captain": "John Smith", "hours": Decimal("4.50"), "action": "wait"}
    return {**row, "came": datetime(2024, 3, day), "went": datetime(2024, 3, day, 9)}


def build_in(
    root: Path, dataset: str = "", rows: Any = None, narrative: str = NARRATIVE, report: str = REPORT
) -> Build:
    text = narrative.replace("captain]}", f"captain]{', ' if dataset else ''}{dataset}}}")
    given = rows or {
        "call": [call(name) for name in NOTES],
        "note": [
            {"id": f"n{name}", "call": name, "text": text, "noted": datetime(2024, 3, int(name[1:]), 1)}
            for name, text in NOTES.items()
        ],
    }
    return build_of(root, text, report, CAST, given)


@pytest.fixture(autouse=True)
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")


SECRETS = ("ann@", "901820", "DE89", "4111", "Smith", "SMITH", "smith")


def everything_in(folder: Path) -> str:
    """Return the content of all files of a folder, with the rows of Parquet files as JSON."""
    parts = []
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            parts.append(json.dumps(pq.read_table(path).to_pylist(), default=str, ensure_ascii=False))
        elif path.is_file():
            parts.append(path.read_text(encoding="utf-8"))
    return "\n".join(parts)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, Release]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")
        build = build_in(tmp_path_factory.mktemp("masked"))
        return build, released(build)


def test_masking_is_the_default_and_the_release_has_no_personal_data(masked: tuple[Build, Release]) -> None:
    _, release = masked
    rows = rows_of(release, "report")
    assert "fog, so call [e-mail] or [phone]" in rows["c1"]["text"]
    assert "fog on 2024-03-01, IMO 9811000" in rows["c2"]["text"]
    assert "paid by [iban] and [card]" in rows["c3"]["text"]
    assert "[name] said so" in rows["c4"]["text"]
    assert "FOG, SO CALL [E-MAIL] OR [PHONE] 32" in rows["c1"]["text"]
    assert rows["c1"]["facts"]["note"] == [{"text": "fog, so call [e-mail] or [phone]"}]
    content = everything_in(release.path)
    assert [secret for secret in SECRETS if secret in content] == []


def test_the_card_and_the_lock_say_what_was_masked(masked: tuple[Build, Release]) -> None:
    _, release = masked
    lock = json.loads((release.path / "release.json").read_text())
    assert lock["personal"] == {
        "mode": "mask",
        "values": {"note.text": {"card": 1, "e-mail": 1, "iban": 1, "name": 1, "phone": 1}},
    }
    page = " ".join((release.path / "README.md").read_text().split())
    assert (
        "`note.text` (1 with a card number, 1 with an e-mail address, 1 with an IBAN, 1 with a name, "
        "1 with a phone number)" in page
    )


def test_the_interpreter_and_the_trace_agree_with_a_masked_record(masked: tuple[Build, Release]) -> None:
    build, release = masked
    previews = {row["case_id"]: row for row in preview_records(build, "report", sample=9)}
    for case_id, row in rows_of(release, "report").items():
        assert previews[case_id]["text"] == row["text"]
        assert trace_record(build, row).mistakes == ()


def test_refusing_drops_records_by_their_first_kind_and_keeps_none_of_the_text(tmp_path: Path) -> None:
    build = build_in(tmp_path, "personal: refuse")
    release = released(build)
    assert list(rows_of(release, "report")) == ["c2"]
    assert release.drops["report"] == {f"personal data: {kind}": 1 for kind in ("e-mail", "iban", "name")}
    assert {case_id: row["reason"] for case_id, row in drops_of(release, "passage").items()} == {
        "c1": "personal data: e-mail", "c3": "personal data: iban", "c4": "personal data: name",
    }  # fmt: skip
    content = everything_in(release.path)
    assert [secret for secret in SECRETS if secret in content] == []
    assert [row["case_id"] for row in preview_records(build, "report", sample=9)] == ["c2"]
    with pytest.raises(StorymeshError, match="'report' does not tell case c1: personal data: e-mail"):
        preview_records(build, "report", "c1")


def test_personal_data_in_the_facts_alone_is_refused_too(tmp_path: Path) -> None:
    report = (
        "{{ call.quay }}{% if call.quay == 'elsewhere' %}{% for one in note %}{{ one.text }}{% endfor %}{% endif %}"
    )
    assert list(rows_of(released(build_in(tmp_path, "personal: refuse", report=report)), "report")) == ["c2"]


def test_with_off_no_text_is_searched(tmp_path: Path) -> None:
    release = released(build_in(tmp_path, "personal: off"))
    assert "ann@example.com" in rows_of(release, "report")["c1"]["text"]
    assert "personal" not in json.loads((release.path / "release.json").read_text())
    assert "was not looked through" in (release.path / "README.md").read_text()


def test_without_personal_data_the_digest_is_the_same_in_every_mode(tmp_path: Path) -> None:
    clean = {
        "call": [call("c2")],
        "note": [{"id": "n", "call": "c2", "text": NOTES["c2"], "noted": datetime(2024, 3, 2, 1)}],
    }
    digests = {
        released(build_in(tmp_path / mode, f"personal: {mode}", clean)).digest for mode in ("mask", "refuse", "off")
    }
    assert len(digests) == 1


def test_an_address_that_names_rows_stops_the_build(tmp_path: Path) -> None:
    rows = {"call": [{**call("c1"), "id": "ann@example.com"}], "note": []}
    with pytest.raises(StorymeshError, match=r"'call.id' of 'late-calls' holds e-mail addresses") as raised:
        write_cases_and_precedents(build_in(tmp_path, "", rows))
    assert "pseudonymise" in raised.value.hint
    assert "ann@" not in str(raised.value)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("personal: hide", "'personal' is 'hide'"),
        ("phone_regions: [DE, germany]", "'germany' is not a country such as DE or US"),
        ("phone_regions: [XX]", "'XX' has no phone numbers"),
    ],
)
def test_a_wrong_setting_is_a_finding(tmp_path: Path, dataset: str, words: str) -> None:
    with pytest.raises(DefinitionErrors) as refused:
        build_in(tmp_path, dataset)
    assert words in str(refused.value)


def test_numbers_without_country_code_are_found_in_the_regions_of_the_narrative(tmp_path: Path) -> None:
    rows = {
        "call": [call("c1")],
        "note": [{"id": "n", "call": "c1", "text": "call (030) 901820", "noted": datetime(2024, 3, 1, 1)}],
    }
    assert "(030) 901820" in rows_of(released(build_in(tmp_path / "a", "", rows)), "report")["c1"]["text"]
    text = rows_of(released(build_in(tmp_path / "b", "phone_regions: [DE]", rows)), "report")["c1"]["text"]
    assert "call [phone]" in text
