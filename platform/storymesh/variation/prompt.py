"""The request to a model for a template (text, names, stories, rules of the language), and what it answers."""

from collections.abc import Iterator, Sequence

from storymesh.language.ast import Include
from storymesh.language.filters.registry import FILTERS
from storymesh.language.locale_formats import ENGLISH, language_name
from storymesh.language.static_values import Path
from storymesh.llm.fences import FENCED, fence
from storymesh.llm.response_cache import Messages
from storymesh.narrative.meaning import meaning_of
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_template import TypedTemplate
from storymesh.variation.comparison import tree_parts

OPEN, CLOSE = "<template>", "</template>"
MAX_CHARACTERS = 64 * 1024


def template_in_answer(answer: str | None) -> tuple[str, str]:
    """Return the template in an answer and an empty text, or an empty text and why there is none.

    It is what stands between the last `<template>` and the `</template>` after it. All before and after it is thrown
    away: thoughts, fences, greetings, drafts.
    """
    if not answer or not answer.strip():
        return "", "There is no answer, or it was cut off because it did not end."
    begin = answer.rfind(OPEN)
    end = answer.find(CLOSE, begin)
    if begin < 0 or end < 0:
        return "", f"There is no template between {OPEN} and {CLOSE} in the answer, or it does not end."
    text = answer[begin + len(OPEN) : end].strip("\r\n")
    if not text.strip():
        return "", f"Nothing stands between {OPEN} and {CLOSE}."
    if len(text) > MAX_CHARACTERS:
        return "", f"The template has more than {MAX_CHARACTERS:,} characters."
    return text + "\n", ""


ECHO = 16_000  # characters of a refused answer that are shown again
STORY = 4_000  # characters of each story
# How a version should differ, in turn: two of them each, so that a hundred versions ask for different things.
MANNERS = (
    "short, plain sentences",
    "long sentences that lead from one thing to the next",
    "an entry in a logbook",
    "a note to a colleague",
    "a sober report",
    "an account for somebody new to the work",
    "what matters most first, the rest after it",
    "in the order of time",
    "a spoken account, as told across a table",
    "an item of a news agency",
    "paragraphs in another order than the original, where its conditions allow it",
    "other turns of phrase in every sentence, and another opening",
)
_TASK = f"""\
You write templates in a small dialect of Jinja. You are given a template, what its names mean, and texts that it has
made. Write another template that says the same things of the same cases in other words.

Rules:
- Print every value that the original prints, with the same expression and filters, under the same conditions, and no
  other value. Copy each {{{{ … }}}} as it stands; put other words around it.
- Keep each condition ({{% if %}}, {{% for %}}) that decides what is said, and add none. Where the original says one
  thing or another, so do you, and with the same meaning.
- Write no numbers, dates, names, units or currencies of your own, add no facts and no judgements.
- Tags: if, elif, else, endif, for, endfor, set, include of the partials that are shown. Nothing else of Jinja: no
  macros, no calls but choose(a, b, …), which draws one of some texts.
- Answer with the template between {OPEN} and {CLOSE}. Whatever stands outside is thrown away."""


def variant_messages(
    typed: TypedNarrative, template: TypedTemplate, stories: Sequence[str], number: int, language: str
) -> Messages:
    """Return the messages that ask for version `number` of a template, in a language."""
    texts = typed.narrative.templates
    parts = [f"The template {template.template}:\n\n{OPEN}\n{texts[template.template].rstrip()}\n{CLOSE}"]
    for name in _partials(template):
        parts.append(f"The partial {name}, which may be included as it is:\n\n```\n{texts[name].rstrip()}\n```")
    meanings = "\n".join(_meanings(typed, template))
    parts.append(f"The names:\n{meanings}")
    filters = [f"- {name}: {filter_.summary}; {{{{ {filter_.example[0]} }}}}" for name, filter_ in FILTERS.items()]
    parts.append("\n".join(["The filters:", *filters]))
    if stories:
        shown = "\n\n".join(fence(story[:STORY]) for story in stories)
        parts.append(f"Texts that the template has made. {FENCED}\n\n{shown}")
    first, second = MANNERS[number % len(MANNERS)], MANNERS[(number + 1 + number // len(MANNERS)) % len(MANNERS)]
    tongue = "the language of the original" if language == ENGLISH else language_name(language)
    parts.append(f"Write version {number}. Its manner: {first}; {second}. Write in {tongue}.")
    return (("system", _TASK), ("user", "\n\n".join(parts)))


def messages_after_refusal(messages: Messages, answer: str | None, faults: Sequence[str]) -> Messages:
    """Return the conversation for the next attempt: what was answered, and what is wrong with it."""
    found = "\n".join(f"- {fault}" for fault in faults)
    words = f"That template cannot be taken:\n{found}\nWrite the whole template again, between {OPEN} and {CLOSE}."
    return (*messages, ("assistant", (answer or "").strip()[:ECHO] or "(no answer)"), ("user", words))


def _partials(template: TypedTemplate) -> list[str]:
    """Return the names of the partials that a template includes, also through others."""
    return sorted({part.template for part in tree_parts(template.checked.tree) if isinstance(part, Include)})


def _meanings(typed: TypedNarrative, template: TypedTemplate) -> Iterator[str]:
    for path in sorted({_plain(path) for path in (*template.checked.reads, *template.checked.prints)}):
        if (meaning := meaning_of(typed, path)) is not None:
            yield f"- {'.'.join(path)}: {meaning}"


def _plain(path: Path) -> Path:
    return tuple(step for step in path if step not in ("#", "~"))
