"""Vocabulary suggestions: the words in refused answers that the story does not have, counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from storymesh.grounding.check import check_grounding, grounding_feedback
from storymesh.lexicon.language import language_of
from storymesh.llm.budget import Usage
from storymesh.llm.response_cache import ResponseCache
from storymesh.llm.retry import RetryPolicy
from storymesh.narrative.narrator_definition import Narrator
from storymesh.rewriting.estimate import follow_answers
from storymesh.rewriting.rewriter import CheckedAnswer, Rewriter, RewriteTask

AROUND = 40  # characters of an answer that are shown on each side of a word


@dataclass(frozen=True)
class SuggestedWord:
    """A word with the number of texts that were refused for it, and of those that would be accepted with it alone;
    `example` is where a model wrote it."""

    word: str
    texts: int
    alone: int
    example: str


@dataclass(frozen=True)
class VocabularySuggestion:
    """Of the `texts` with a stored answer those that have a `refused` one; the `words` that a vocabulary may let in,
    the commonest first; and the `closed` words, which no vocabulary lets in, with the number of their texts."""

    texts: int
    refused: int
    words: tuple[SuggestedWord, ...]
    closed: dict[str, int]


@dataclass
class _Counts:
    texts: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    written: dict[str, Counter[str]] = field(default_factory=dict)  # key -> the forms that were met
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, task: RewriteTask, checks: Iterable[CheckedAnswer]) -> None:
        language = language_of(task.source.language)
        met, closed = set[str](), set[str]()
        for checked in checks:
            grounding = checked.grounding
            assert grounding is not None
            words = {fault.words for fault in grounding.faults if fault.kind == "word"}
            open_words = {word for word in words if language.is_open(word)}
            closed |= {word.lower() for word in words - open_words}
            for word in open_words:
                key = language.key(word)
                met.add(key)
                self.written.setdefault(key, Counter())[word.lower()] += 1
                self.examples.setdefault(key, _around(checked.told or "", word))
            if len({language.key(word) for word in open_words}) == 1 and len(open_words) == len(grounding.faults):
                self.alone[language.key(next(iter(open_words)))] += 1
        self.texts.update(met)
        self.closed.update(closed)

    def suggestion(self, texts: int, refused: int) -> VocabularySuggestion:
        words = [
            SuggestedWord(self.written[key].most_common(1)[0][0], count, self.alone[key], self.examples[key])
            for key, count in self.texts.items()
        ]
        words.sort(key=lambda word: (-word.texts, -word.alone, word.word))
        return VocabularySuggestion(texts, refused, tuple(words), dict(self.closed.most_common()))


def suggest_vocabulary(
    tasks: Iterable[RewriteTask], narrator: Narrator, answers: ResponseCache
) -> VocabularySuggestion:
    """Return the words that the stored answers for these tasks were refused for. Makes no call."""

    def ignore_usage(_: Usage) -> None:
        return

    rewriter = Rewriter(narrator, answers, ignore_usage, check_grounding, grounding_feedback, RetryPolicy(), ask=False)
    counts, texts, refused = _Counts(), 0, 0
    for task in tasks:
        found = [step for step in follow_answers(rewriter, task) if isinstance(step, CheckedAnswer)]
        checks = [step for step in found if step.grounding is not None and step.grounding.faults]
        texts, refused = texts + bool(found), refused + bool(checks)
        counts.add(task, checks)
    return counts.suggestion(texts, refused)


def _around(text: str, word: str) -> str:
    """Return a word with what stands around it in a text."""
    at = max(text.find(word), 0)
    begin, end = max(at - AROUND, 0), at + len(word) + AROUND
    shown = " ".join(text[begin:end].split())
    return f"{'…' if begin else ''}{shown}{'…' if end < len(text) else ''}"
