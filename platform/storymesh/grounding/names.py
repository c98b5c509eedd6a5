"""Each name and code stands in the source, and plays the part that it plays there."""

from storymesh.grounding.faults import CheckResult, Fault, characters_of, quote_around, words_at
from storymesh.grounding.lexicon import (
    COMMON_CAPITALS,
    COMMON_WORDS,
    GENERIC_NAME_PARTS,
    concept,
    listed,
)
from storymesh.grounding.name_index import is_demonym
from storymesh.grounding.parsed_text import Mention, ParsedText, folded
from storymesh.grounding.source_facts import SourceFacts


def check_names(parsed: ParsedText, truth: SourceFacts) -> CheckResult:
    """Each name and code stands in the source, and plays the part that it plays there."""
    faults: list[Fault] = []
    checked = 0
    for mention in parsed.mentions:
        if not mention.key:
            continue
        checked += 1
        where = characters_of(parsed, mention.at, mention.to)
        text = words_at(parsed, mention.at, mention.to)
        if mention.kind == "code":
            if mention.key[0] not in truth.codes and not truth.names.has_name(mention.key):
                faults.append(Fault("code", *where, f"The code {text} stands nowhere in the record."))
                continue
        elif not _named(parsed, truth, mention):
            faults.append(Fault("name", *where, f"The name {text} stands nowhere in the record."))
            continue
        held = truth.parts.get(mention.key, set())
        for part in mention.parts:
            if (
                held
                and part not in held
                and any(part in parts for key, parts in truth.parts.items() if key != mention.key)
            ):
                right = ", ".join(" ".join(key).upper() for key, parts in truth.parts.items() if part in parts)
                faults.append(
                    Fault(
                        "code" if mention.kind == "code" else "name", *where,
                        f"“{quote_around(parsed, mention)}”: {text} does not play this part in the record; "
                        f"{right} does.",
                    )
                )  # fmt: skip
                break
    return "name", checked, faults


def _named(parsed: ParsedText, truth: SourceFacts, mention: Mention) -> bool:
    key = mention.key
    if truth.names.has_name(key) or is_demonym(key, truth.names):
        return True
    if any(parsed.tokens[at].low in ("of", "from", "for", "de") for at in range(mention.at + 1, mention.to)):
        split = next(
            at for at in range(mention.at + 1, mention.to) if parsed.tokens[at].low in ("of", "from", "for", "de")
        )
        halves = [
            tuple(
                folded(token.low)
                for token in parsed.tokens[begin:end]
                if token.kind == "word" and token.low not in ("the", "of")
            )
            for begin, end in ((mention.at, split), (split + 1, mention.to))
        ]
        if all(half in truth.keys for half in halves):
            return True
    words = [token for token in parsed.tokens[mention.at : mention.to] if token.kind == "word"]
    if not any(len(token.text) > 1 and token.text.isupper() and token.low not in COMMON_CAPITALS for token in words):
        if set(key) <= _HOLIDAYS:
            return True
        rest = tuple(
            word
            for word in key
            if word not in COMMON_WORDS and word not in COMMON_CAPITALS and word not in GENERIC_NAME_PARTS
        )
        if not rest:
            return len(key) == 1 or _in_heading(parsed, mention)
        if truth.names.has_name(rest):
            return True
        if all(truth.names.has_name((word,)) or concept(word) in truth.vocabulary for word in rest) and _in_heading(
            parsed, mention
        ):
            return True
        # A word of the record that a text writes with a capital: "the Perishables".
        if len(rest) == 1 and concept(rest[0]) in truth.vocabulary:
            return True
    return False


_HOLIDAYS = frozenset(listed("new year years christmas day eve boxing easter"))


def _in_heading(parsed: ParsedText, mention: Mention) -> bool:
    begin, end = parsed.spans[parsed.sentence_of[mention.at]]
    words = [token for token in parsed.tokens[begin:end] if token.kind == "word" and len(token.text) > 3]
    return parsed.tokens[begin].text in "#*" or sum(token.text[0].isupper() for token in words) >= 0.7 * len(words)
