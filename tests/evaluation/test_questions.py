"""The questions that a release carries: which cases they ask about, what counts as right, and that no text for training
holds them."""

from contextlib import suppress
from pathlib import Path
from string import ascii_letters, ascii_lowercase, digits

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from storymesh.dataset.build import Build
from storymesh.engine.dialect import split_words
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, StorymeshError
from storymesh.evaluation.baselines import BASELINES, baseline_predictions
from storymesh.evaluation.questions import question_set
from storymesh.evaluation.scores import score_predictions
from storymesh.lifecycle.verify import verify_release
from storymesh.provenance.trace import trace_record
from storymesh.release import word_screen
from storymesh.release.catalog import Release
from storymesh.release.evaluation_questions import KNOWN_QUESTION, find_known_questions, training_texts
from storymesh.release.layout import record_files
from storymesh.release.word_screen import screen_texts
from tests.support.evaluation_mesh import EVALUATION, delays, evaluation_build
from tests.support.small_release import drops_of, released, rows_of


def test_each_stratum_has_its_cases_and_all_are_of_the_test(release: Release) -> None:
    rows = rows_of(release, "eval").values()
    assert {row["split"] for row in rows} == {"test"}
    drawn = sorted((row["stratum"], row["abstain"]) for row in rows)
    assert drawn == [("kiel", True)] * 3 + [("panama", False)] * 3 + [("suez", False)] * 3
    reasons = {row["reason"] for row in drops_of(release, "eval").values()}
    assert reasons == {"not of the test's time", "not drawn for the evaluation"}


def test_what_is_right_is_computed_from_what_was_known(release: Release) -> None:
    truth = {row["id"]: row for row in delays()}
    for row in rows_of(release, "eval").values():
        own = truth[row["case_id"]]
        assert row["action"] == own["action"] and row["label"] == (own["hours"] >= 24)
        assert row["target"] == {"suez": ["slot"], "panama": ["rail"], "kiel": []}[row["stratum"]]
        assert {option["action"] for option in row["options"]} == {rate["action"] for rate in row["rates"]}
        assert all(0 <= rate["low"] <= rate["rate"] <= rate["high"] <= 1 for rate in row["rates"])
        assert (row["rate_action"] is None) == row["abstain"]
        assert row["action"] in row["verdict_question"]


def test_a_question_has_its_wordings_and_its_options_no_fixed_order(release: Release) -> None:
    rows = list(rows_of(release, "eval").values())
    assert all(len(row["rewordings"]) == 1 for row in rows)
    assert any(row["rewordings"] != [row["question"]] for row in rows)
    assert len({tuple(option["action"] for option in row["options"]) for row in rows if row["options"]}) > 1


def test_a_question_is_traced_in_each_wording(evaluated_build: Build, release: Release) -> None:
    record = min(rows_of(release, "eval").values(), key=lambda row: str(row["id"]))
    trace = trace_record(evaluated_build, record)
    assert trace.mistakes == ()
    assert {"question", "rewordings.0", "context"} <= {column.name for column in trace.columns}


def test_no_question_stands_in_a_text_for_training(release: Release) -> None:
    assert release.manifest.certificate["evaluation"] == 0
    assert verify_release(release.path, open_engine).differences == ()
    files = {config: record_files(release.path, config) for config in ("report", "advice")}
    with open_engine() as engine:
        training = training_texts(engine, files)
        questions = engine.read_parquet(record_files(release.path, "eval")["test"])
        assert find_known_questions(engine, questions, training) == []
        asked = engine.fetch_rows(questions.order_by("id").limit(1))[0]
        words = pa.table({"text": [f"They said: {asked['question'].upper()} And so on."]})
        assert find_known_questions(engine, questions, [*training, engine.materialize(words)]) == [asked["id"]]


def test_a_few_words_tell_which_of_many_texts_may_hold_a_question(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_engine() as engine:
        questions = engine.read_parquet(record_files(release.path, "eval")["test"])
        asked = [row["question"] for row in engine.fetch_rows(questions.order_by("id"))]
        accented = asked[0].replace("e", "e\u0301")  # another word, though it holds each letter
        held = [
            f"So: {asked[1].upper()}!",
            asked[2].replace(" ", " - "),
            *(f"a text of its own, number {n}" for n in range(99)),
        ]
        training = [engine.materialize(pa.table({"text": texts})) for texts in (held, [accented, None, ""])]
        expected = find_known_questions(engine, questions, training)
        assert len(expected) == len({asked[1], asked[2]})
        monkeypatch.setattr(word_screen, "_MIN_TEXTS", 0)
        assert find_known_questions(engine, questions, training) == expected
        words = questions.select(words=split_words(questions["question"]))
        with screen_texts(engine, words, training, training[:1]) as texts:
            assert 2 <= engine.fetch_value(texts.count()) < 10
        assert find_known_questions(engine, questions, [engine.materialize(pa.table({"text": [""] * 9}))]) == []


def test_a_word_is_found_in_every_text_whose_plain_form_holds_it() -> None:
    letters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    marked = [f"{letter}{chr(mark)}" for letter in ascii_letters for mark in range(0x300, 0x370)]
    with open_engine() as engine:
        plain = word_screen._normalize(ibis._["text"])
        texts = engine.materialize(pa.table({"text": [*letters, *marked]}))
        few = engine.materialize(texts.filter(plain.re_search("[a-z0-9]")))
        for word in ascii_lowercase + digits:
            missed = few.filter(plain.contains(word) & ~word_screen._has_word(few["text"], word))
            assert engine.fetch_rows(missed) == []


def test_a_question_that_a_training_text_holds_is_dropped(tmp_path: Path) -> None:
    evaluation = "evaluation: {each: 2, tasks: {verdict: known.jinja}}\n"
    rows = delays()
    build = evaluation_build(
        tmp_path, evaluation, rows, {"known.jinja": "{{ delay.waterway }}: was it {{ option.action }}?"}
    )
    release = released(build)
    assert release.manifest.certificate["evaluation"] == 0
    assert {row["reason"] for row in drops_of(release, "eval").values()} >= {KNOWN_QUESTION}


REFUSED: dict[str, tuple[str, str]] = {
    "no task": ("evaluation: {tasks: {}}", "no question is asked"),
    "abstain alone": ("evaluation: {tasks: {rate: rate.jinja, abstain: true}}", "`abstain` asks what is best"),
    "no template": ("evaluation: {tasks: {best: aks.jinja}}", "there is no template 'aks.jinja'"),
    "a stratum of time": (
        "evaluation: {strata: [delay.detected_at], tasks: {best: ask.jinja}}",
        "a stratum wants a text, a whole number, or true and false",
    ),
    "a stratum of the future": (
        "evaluation: {strata: [delay.hours], tasks: {best: ask.jinja}}",
        "'delay.hours' is known only when the case closes",
    ),
    "a question with its answer": (
        "evaluation: {tasks: {rate: told.jinja}}",
        "'option.rate' is what is asked",
    ),
    "too many wordings": ("evaluation: {wordings: 9, tasks: {best: ask.jinja}}", "less than or equal to 5"),
}


@pytest.mark.parametrize(("evaluation", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said_in_the_file(tmp_path: Path, evaluation: str, message: str) -> None:
    with pytest.raises(DefinitionErrors) as caught:
        evaluation_build(tmp_path, f"{evaluation}\n", [], {"told.jinja": "{{ option.rate | percent }}"})
    lines = [str(finding) for finding in caught.value.findings]
    assert any(message in line for line in lines), lines
    assert all(line.startswith("narratives/delays/") and ":1:1:" not in line for line in lines), lines


def test_a_record_cannot_have_the_format_or_the_name_of_the_evaluation(tmp_path: Path) -> None:
    for part, message in (
        ("  eval: {format: text, text: report.jinja}\n" + EVALUATION, "makes the config 'eval'"),
        ("  mine: {format: evaluation, best: ask.jinja}\n", "which is written as `evaluation:`"),
    ):
        with pytest.raises(DefinitionErrors) as caught:
            evaluation_build(tmp_path, part, [])
        assert message in str(caught.value.findings[0])


def test_records_of_strangers_are_scored_or_refused_in_words(release: Release) -> None:
    (file,) = record_files(release.path, "eval")["test"]
    cases = pq.read_table(file)
    number = cases.num_rows
    for place, name in enumerate(cases.column_names):
        for strange in (pa.nulls(number), pa.array([[1]] * number), pa.array([{"a": 1}] * number)):
            with suppress(StorymeshError):
                questions = question_set(cases.set_column(place, name, strange), {})
                for baseline in BASELINES:
                    score_predictions(questions, baseline_predictions(questions, [], baseline))
    assert len(question_set(cases.slice(0, 0), {}).questions) == 0


def test_a_closed_book_is_not_asked_to_decline_what_only_a_look_up_shows(release: Release) -> None:
    (file,) = record_files(release.path, "eval")["test"]
    cases = pq.read_table(file)
    assert not any(cases["withheld"].to_pylist())
    declines = cases["abstain"].to_pylist()
    first = [flag and flag not in declines[:place] for place, flag in enumerate(declines)]
    place = cases.column_names.index("withheld")
    marked = question_set(cases.set_column(place, "withheld", pa.array(first)), {})
    older = question_set(cases.drop_columns(["withheld"]), {})
    predicted = baseline_predictions(marked, [], "precedents")
    wordings = len(marked.questions.filter(pc.equal(marked.questions["case"], 0)).filter(pc.field("task") == "best"))
    scored = {book: score_predictions(marked, predicted, book)["abstain"]["recall"] for book in ("open", "closed")}
    assert scored["open"].n - scored["closed"].n == wordings
    assert scored["open"].value == scored["closed"].value == 1.0
    assert score_predictions(older, predicted, "closed")["abstain"]["recall"].n == scored["open"].n


def test_the_card_says_what_needs_no_model(release: Release) -> None:
    card = (release.path / "README.md").read_text(encoding="utf-8")
    assert "## Evaluation" in card
    assert "| action table | 1.00 (1.00 to 1.00, of 12) |" in card
