"""What a model is sent about a file: the author's prompt, with the words of the file fenced, and the rules."""

from collections.abc import Mapping, Sequence
from typing import Any

from storymesh.files.extraction.answer_schema import QUOTE, ROWS, VALUE
from storymesh.files.extraction.definition import CONTENT_NAMES, LABELS, LINES, TypedExtraction, label_values
from storymesh.language.interpret import Interpreter, as_value
from storymesh.llm.canonical_json import canonical_json
from storymesh.llm.fences import FENCED, escape_fence, fence
from storymesh.llm.response_cache import ChatResponse, Messages

TEXT = "text"
_ECHO, _FEEDBACK = 8_000, 4_000
_RULES = f"""\
You take values out of a file. Answer with one JSON object: {{"{ROWS}": [...]}}. Each item has for each property \
{{"{VALUE}": ..., "{QUOTE}": "..."}}.
- "{QUOTE}" is copied from the file, sign by sign: the words of one sentence that say the value of this item.
- Take nothing that the file denies, says of something else, or gives as a bound. What it does not say is null, with \
null for its quote.
- Numbers are in the unit that is asked for, dates in ISO 8601, codes as they are listed."""


class FilePrompt:
    """The messages about files, for one definition."""

    def __init__(self, extraction: TypedExtraction) -> None:
        checked = extraction.prompt
        self._interpreter = Interpreter(checked.tree, b"")
        self._labels = as_value({LABELS: label_values(extraction.contract)})
        self._lines = LINES in checked.names
        self._prints_content = not CONTENT_NAMES.isdisjoint(checked.names)
        schema = {name: part for name, part in extraction.schema.items() if name != "title"}
        self._system = "\n\n".join((_RULES, FENCED, f"The schema of the answer:\n{canonical_json(schema)}"))

    def messages(self, uri: str, names: Mapping[str, Any]) -> Messages:
        """Return the messages about one file; `names` are what its reading has, as Arrow gives it.

        Raises NotInLanguage for what cannot be printed, and TooLarge past a bound.
        """
        text = names.get(TEXT) or ""
        given = {name: as_value(_escaped(value)) for name, value in names.items()}
        given[TEXT] = fence(text, "file")
        if self._lines:
            given[LINES] = [escape_fence(line) for line in text.splitlines()]
        prompt = self._interpreter.render(uri, {**given, **self._labels})
        if not self._prints_content:
            prompt = f"{prompt.rstrip()}\n\n{given[TEXT]}"
        return (("system", self._system), ("user", prompt))


def _escaped(value: Any) -> Any:
    """Return a value in which no text can begin or end a fence."""
    match value:
        case str():
            return escape_fence(value)
        case dict():
            return {name: _escaped(inside) for name, inside in value.items()}
        case list():
            return [_escaped(inside) for inside in value]
        case _:
            return value


def asked_again(messages: Messages, answer: ChatResponse, faults: Sequence[str]) -> Messages:
    """Return the messages of the next attempt: what was answered, and what is wrong with it."""
    wrong = "\n".join(f"- {fault}" for fault in dict.fromkeys(faults))[:_FEEDBACK]
    words = f"That was not accepted:\n{wrong}\nAnswer again, with all items, and leave out what the file does not say."
    return (*messages, ("assistant", answer.text[:_ECHO].strip() or "(no answer)"), ("user", words))
