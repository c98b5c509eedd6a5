"""A file of answers from outside: JSON lines with `id` and `answer`, read within limits."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from storymesh.errors import StorymeshError, suggest_name
from storymesh.input_file import open_input
from storymesh.printable import printable

MAX_LINE_BYTES = 1024 * 1024  # bytes
MAX_LINES = 1_000_000
MAX_ANSWER_LENGTH = 100_000  # characters that are read


@dataclass(frozen=True)
class AnswerFile:
    """Answers by the id of their question; of two to one question the first. `unknown` and `repeated` count lines that
    answer no question of the release, and one that is answered already; `cut` those longer than is read."""

    texts: Mapping[str, str]
    unknown: int = 0
    repeated: int = 0
    cut: int = 0


def read_answer_file(path: Path, questions: Collection[str]) -> AnswerFile:
    """Return the answers in a file of JSON lines. Raises StorymeshError, with the line, for one that is no such file,
    and where no line answers one of the questions."""
    known = frozenset(questions)
    texts: dict[str, str] = {}
    counts = {"unknown": 0, "repeated": 0, "cut": 0}
    strange = ""
    with open_input(path, path.parent) as file:
        for number, line in _lines(path, file):
            question, answer = _parse(f"{path}:{number}", line)
            if question not in known:
                counts["unknown"] += 1
                strange = strange or question
            elif question in texts:
                counts["repeated"] += 1
            elif answer is not None:
                counts["cut"] += len(answer) > MAX_ANSWER_LENGTH
                texts[question] = answer[:MAX_ANSWER_LENGTH]
    if not texts:
        found = f"the first is '{printable(strange)[:100]}'" if strange else "it has no answer"
        message = f"{path} answers no question of the release: {found}"
        hint = f"an id is that of a question, such as {min(known)}" if known else suggest_name(strange, known)
        raise StorymeshError(message, hint)
    return AnswerFile(texts, **counts)


def _lines(path: Path, file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    for number in range(1, MAX_LINES + 2):
        line = file.readline(MAX_LINE_BYTES + 1)
        if not line:
            return
        if len(line) > MAX_LINE_BYTES or number > MAX_LINES:
            what = "line is longer" if len(line) > MAX_LINE_BYTES else "file has more lines"
            hint = f"at most {MAX_LINES:,} lines of {MAX_LINE_BYTES // 1024:,} KiB are read, a JSON object each"
            raise StorymeshError(f"{path}:{number}: the {what} than is read", hint)
        if line.strip():
            yield number, line


def _parse(place: str, line: bytes) -> tuple[str, str | None]:
    """Return the question's id and the answer of a line; a null is no answer."""
    hint = 'write {"id": "best-1/…", "answer": "…"} on a line'
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise StorymeshError(f"{place}: the line is not UTF-8 text", "save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise StorymeshError(f"{place}: the line is no JSON: {' '.join(str(error).split())[:120]}", hint) from None
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise StorymeshError(f"{place}: the line names no question", hint)
    if "answer" not in value:
        raise StorymeshError(f"{place}: the line has no `answer`", hint)
    answer = value["answer"]
    if answer is not None and (not isinstance(answer, str | int | float) or isinstance(answer, bool)):
        raise StorymeshError(f"{place}: `answer` is no text", hint)
    text = None if answer is None else str(answer).encode("utf-8", "replace").decode()
    return value["id"], text
