"""`storymesh evaluate`: what needs no model, a file of answers by whomever, and a server on loopback."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from storymesh.release.catalog import Release
from storymesh.release.evaluation_document import read_evaluation_document
from tests.support.model_server import Call, Raw, Server, Status

Command = Callable[..., Any]
BEST = {"suez": "slot", "panama": "rail"}


def figures(out: str, result: int = 0) -> dict[str, float]:
    scores = json.loads(out)["results"][result]["scores"]
    return {f"{task}.{name}": score["value"] for task, named in scores.items() for name, score in named.items()}


def right_answer(question: str) -> str:
    known = next((name for name in BEST if name in question), None)
    if known is None:
        return "There are too few cases to say."
    return f"Best: {BEST[known]}."


def questions_of(storymesh: Command, release: Release, folder: Path, *options: str) -> list[dict[str, Any]]:
    path = folder / "questions.jsonl"
    done = storymesh(folder, "evaluate", str(release.path), "--questions", str(path), *options)
    assert done.code == 0, done.err
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_answers(path: Path, answers: Iterable[tuple[str, Any]]) -> Path:
    path.write_text("".join(json.dumps({"id": name, "answer": text}) + "\n" for name, text in answers))
    return path


def test_baselines_need_no_model(storymesh: Command, release: Release, tmp_path: Path) -> None:
    done = storymesh(tmp_path, "evaluate", str(release.path), "--baseline", "all", "--format", "json")
    names = [result["book"] for result in json.loads(done.out)["results"]]
    assert names == ["chance", "majority", "action table", "precedents"]
    chance, table = figures(done.out, 0), figures(done.out, 2)
    assert chance["best.best"] == pytest.approx(1 / 3, abs=1e-3)
    # One half whatever is asked: as far from what happened as the share that worked is from one half.
    assert (chance["verdict.brier"], chance["verdict.auc"]) == (0.25, 0.5)
    assert chance["verdict.ece"] == pytest.approx(abs(chance["verdict.accuracy"] - 0.5), abs=1e-3)
    assert (table["best.best"], table["abstain.recall"], table["abstain.precision"]) == (1.0, 1.0, 1.0)
    written = read_evaluation_document(release.path).baselines
    assert written["action table"]["best"]["best"].value == 1.0, "the release says so itself"


def test_answers_are_read_and_scored(storymesh: Command, release: Release, tmp_path: Path) -> None:
    asked = questions_of(storymesh, release, tmp_path)
    answers = [(item["id"], right_answer(item["messages"][-1]["content"])) for item in asked if item["task"] == "best"]
    path = write_answers(tmp_path / "answers.jsonl", [*answers, ("nobody/asked", "x"), answers[0]])
    into = tmp_path / "out"
    options = ("--answers", str(path), "--task", "best,abstain", "--least", "best=1", "--into", str(into))
    done = storymesh(tmp_path, "evaluate", str(release.path), *options, "--format", "json")
    assert done.code == 0, done.err
    assert figures(done.out)["best.best"] == figures(done.out)["abstain.recall"] == 1.0
    counts = json.loads(done.out)["results"][0]["counts"]
    assert (counts["unknown"], counts["repeated"], counts["unanswered"]) == (1, 1, 0)
    assert json.loads((into / "results.json").read_text())["answers"]["closed"]
    page = (into / "results.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "best-1/" in page


def test_what_is_missing_counts_as_wrong_and_below_the_demand_is_exit_1(
    storymesh: Command, release: Release, tmp_path: Path
) -> None:
    (first, *_) = questions_of(storymesh, release, tmp_path, "--task", "best")
    path = write_answers(tmp_path / "a.jsonl", [(first["id"], "<script>alert(1)</script> In this case it worked.")])
    options = ("--answers", str(path), "--into", str(tmp_path / "out"), "--least", "best=0.8")
    done = storymesh(tmp_path, "evaluate", str(release.path), *options)
    assert done.code == 1
    assert "best.best is 0.000, at least 0.8 is asked for" in done.err
    page = (tmp_path / "out/results.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "it tells how the case went" in page


def test_cited_cases_have_to_exist_and_to_belong(storymesh: Command, release: Release, tmp_path: Path) -> None:
    asked = questions_of(storymesh, release, tmp_path, "--task", "best", "--book", "open")
    quoting = next(item for item in asked if "D0" in item["messages"][-1]["content"])
    own = next(word for word in quoting["messages"][-1]["content"].split() if word.startswith("D0"))
    path = write_answers(tmp_path / "a.jsonl", [(quoting["id"], f"Best: slot, as in {own}, D001 and D999.")])
    done = storymesh(
        tmp_path, "evaluate", str(release.path), "--answers", str(path), "--book", "open", "--format", "json"
    )
    found = figures(done.out)
    assert found["facts.citations exist"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["facts.citations known"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["facts.citations belong"] == pytest.approx(1 / 3, abs=1e-3)


def test_a_case_is_cited_by_the_number_that_it_was_shown_with(
    storymesh: Command, release: Release, tmp_path: Path
) -> None:
    asked = questions_of(storymesh, release, tmp_path, "--task", "best", "--book", "open")
    quoting = next(item for item in asked if "[2] D0" in item["messages"][-1]["content"])
    own = quoting["messages"][-1]["content"].partition("[2] ")[2].split()[0]
    path = write_answers(tmp_path / "a.jsonl", [(quoting["id"], f"Best: slot [2], [4-5] ({own}) and [99].")])
    options = ("--answers", str(path), "--into", str(tmp_path / "out"), "--format", "json")
    done = storymesh(tmp_path, "evaluate", str(release.path), *options, "--book", "open")
    found = figures(done.out)
    shares = [found[f"facts.citations {name}"] for name in ("exist", "known", "belong")]
    assert shares == [pytest.approx(3 / 4, abs=1e-3)] * 3, "the id is that of [2], and nothing has the number 99"
    assert found["facts.grounded"] == 1.0, "a citation is no number that an answer tells"
    assert "1 of 4 cited cases do not exist: [99]" in (tmp_path / "out/results.html").read_text(encoding="utf-8")
    closed = storymesh(tmp_path, "evaluate", str(release.path), *options)
    assert figures(closed.out)["facts.citations exist"] == pytest.approx(1 / 5, abs=1e-3), "none has seen a number"


def test_one_that_always_takes_the_first_of_a_list_is_seen(
    storymesh: Command, release: Release, tmp_path: Path
) -> None:
    asked = questions_of(storymesh, release, tmp_path, "--task", "best", "--list-actions")
    listing = [(item["id"], item["messages"][-1]["content"].partition("Choose one of: ")[2]) for item in asked]
    orders = {name.partition("/")[2]: set() for name, _ in listing}  # type: ignore[var-annotated]
    for name, words in listing:
        orders[name.partition("/")[2]].add(words)
    assert any(len(words) == 2 for words in orders.values()), "each wording has another order"
    path = write_answers(tmp_path / "a.jsonl", [(name, words.partition(";")[0] or None) for name, words in listing])
    options = ("--answers", str(path), "--list-actions", "--format", "json")
    found = figures(storymesh(tmp_path, "evaluate", str(release.path), *options).out)
    assert (found["best.names the first"], found["best.names the first by chance"]) == (
        1.0,
        pytest.approx(1 / 3, abs=1e-3),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": "best-1/D091", "answer": "\xff"}', "a.jsonl:1: the line is not UTF-8 text"),
        (b"[" * 100_000, "a.jsonl:1: the line is no JSON"),
        (b"\n[1]\n", "a.jsonl:2: the line names no question"),
        (b'{"id": "best-1/D091"}', "a.jsonl:1: the line has no `answer`"),
        (b'{"id": "best-1/D091", "answer": ["x"]}', "a.jsonl:1: `answer` is no text"),
        (b'{"id": "x\\u001b[2J", "answer": "x"}', "answers no question of the release"),
        (b"", "answers no question of the release: it has no answer"),
        (b"x" * (2 * 2**20), "the line is longer than is read"),
    ],
)
def test_a_file_that_is_none_is_answered_in_words(
    storymesh: Command, release: Release, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    done = storymesh(tmp_path, "evaluate", str(release.path), "--answers", "a.jsonl")
    assert done.code == 1 and message in done.err, done.err
    assert "Traceback" not in done.err and "\x1b[2J" not in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "one of --answers, --model, --baseline and --questions"),
        (("--baseline", "al"), "there is no baseline 'al'"),
        (("--baseline", "all", "--task", "bets"), "'bets' is no task"),
        (("--baseline", "all", "--least", "best=8"), "asks for no share"),
        (("--baseline", "all", "--least", "0.8"), "asks for no figure"),
        (("--answers", "a.jsonl", "--book", "both"), "a file of answers is of one book"),
    ],
)
def test_what_does_not_fit_is_wrong_usage(
    storymesh: Command, release: Release, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = storymesh(tmp_path, "evaluate", str(release.path), *options)
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_server_is_asked_once_for_each_question_and_book(
    storymesh: Command, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("domains", "contracts", "narratives"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key-0123456789")

    def answer(call: Call) -> Raw | Status:
        assert not call.structured
        return Raw(right_answer(call.prompt))

    with Server(answer) as server:
        options = ("--model", "openai:any", "--base-url", server.url, "--book", "both", "--task", "best,abstain")
        done = storymesh(tmp_path, "evaluate", str(release.path), *options, "--format", "json")
        assert done.code == 0, done.err
        calls = len(server.calls)
        again = storymesh(tmp_path, "evaluate", str(release.path), *options, "--format", "json")
        assert (again.out, len(server.calls)) == (done.out, calls), "answers are kept"
    assert [result["book"] for result in json.loads(done.out)["results"]] == ["open", "closed"]
    assert figures(done.out, 1)["best.best"] == 1.0
    assert any("15 of 15" in call.prompt or "16 of 16" in call.prompt for call in server.calls)


def test_a_model_in_a_folder_that_is_none_is_answered_in_words(
    storymesh: Command, release: Release, tmp_path: Path
) -> None:
    done = storymesh(tmp_path, "evaluate", str(release.path), "--model", f"hf:{tmp_path / 'none'}")
    assert done.code == 1 and "is no folder with a model" in done.err
    (tmp_path / "model").mkdir()
    done = storymesh(tmp_path, "evaluate", str(release.path), "--model", f"hf:{tmp_path / 'model'}")
    assert done.code == 1 and ("transformers" in done.err or "cannot be opened" in done.err)


def test_a_model_in_a_folder_is_asked_once_until_a_file_of_it_changes(
    storymesh: Command, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("domains", "contracts", "narratives", "model"):
        (tmp_path / folder).mkdir()
    config = tmp_path / "model/config.json"
    asked: list[str] = []

    def answer(folder: Path, questions: Sequence[Sequence[tuple[str, str]]]) -> Iterator[str]:
        for messages in questions:
            if len(asked) == 5:
                raise KeyboardInterrupt
            asked.append(messages[-1][1])
            yield right_answer(asked[-1])

    monkeypatch.setattr("storymesh.evaluation.local_model.ask_local_model", answer)
    options = ("--model", f"hf:{config.parent}", "--task", "best", "--format", "json")
    outputs = []
    for content in ("{}", "{}", "{}", '{"n": 1}'):
        config.write_text(content, encoding="utf-8")
        done = storymesh(tmp_path, "evaluate", str(release.path), *options)
        outputs.append((done.code, done.out, len(asked)))
        asked += ["interrupted"] * (done.code == 130)
    count = len({str(item["messages"]) for item in questions_of(storymesh, release, tmp_path, "--task", "best")})
    assert [code for code, _, _ in outputs] == [130, 0, 0, 0]
    assert outputs[1] == outputs[2], "nothing is asked twice"
    assert [number for _, _, number in outputs] == [5, count + 1, count + 1, 2 * count + 1], "what was answered is kept"


def test_what_earlier_cases_show_grounds_an_answer_and_what_is_invented_does_not(
    storymesh: Command, release: Release, tmp_path: Path
) -> None:
    asked = questions_of(storymesh, release, tmp_path, "--task", "best")
    suez = [item["id"] for item in asked if "suez" in item["messages"][-1]["content"]]
    true = "Best: slot. It has worked about 10 times in 10. Then: wait, about 1 times in 10."
    found = []
    for text in (true, "Best: slot. It recovered 77 hours in 413 cases."):
        path = write_answers(tmp_path / "a.jsonl", [(name, text) for name in suez])
        done = storymesh(tmp_path, "evaluate", str(release.path), "--answers", str(path), "--format", "json")
        found.append(figures(done.out)["facts.grounded"])
        assert figures(done.out)["best.unread"] == 0.0, "what was not answered is not unread"
    assert found[0] == 1.0 and found[1] < 0.5
