"""Faults that show before a text is parsed (empty, no prose, far too long, talk to the checker), and its relevance."""

import re
from collections.abc import Iterator

from storymesh.grounding.faults import CheckResult, Fault, characters_of, sentence_at
from storymesh.grounding.parsed_text import ParsedText
from storymesh.grounding.source_facts import SourceFacts

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|these\s+|those\s+|every\s+)*"
    r"(?:previous|prior|above|earlier|preceding|foregoing|former)?\s*(?:instructions?|rules?|prompts?|facts|messages?|checks?|claims?)\b"
    r"|\b(?:ignore|disregard) (?:the )?(?:above|previous)\b"
    r"|\b(?:system|developer) prompt\b|<\|[a-z_]{2,20}\|>|\[/?INST\]|</?(?:system|assistant|user)>"
    r"|^\s*(?:system|assistant|user)\s*:|\bas an? (?:ai|artificial|large)\b|\bi(?:'m| am) an ai\b|\blanguage model\b"
    r"|\b(?:checker|verifier|grader|evaluator|validator|fact[- "
    r"]check(?:er)?)\b[^.\n]{0,60}\b(?:accept|approve|pass|skip|ignore|score|mark|return|should|must)"
    r"|\b(?:accept|approve|mark|score|rate) this (?:text|retelling|answer|output|record|story|response)\b"
    r"|\bscore\s*[:=]\s*(?:1(?:\.0)?|100)\b|\bno further check(?:s|ing)?\b|\breply with\b|\bdo not (?:check|verify)\b"
    r"|\b(?:you are|act as|pretend to be) (?:now )?(?:an? |the "
    r")?(?:assistant|ai|checker|model|grader|system|expert|dan)\b",
    re.IGNORECASE | re.MULTILINE,
)
_ORDER_WORDS = (
    "ignore", "disregard", "forget", "override", "prompt", "<|", "inst]", "system", "assistant", "user", "as a",
    "an ai", "model",
    "checker", "verifier", "grader", "evaluator", "validator", "fact", "this", "score", "check", "reply", "verify",
    "you are", "act as", "pretend",
)  # fmt: skip
"""One of these stands in whatever `_ORDERS` finds: checked for first, since that is much quicker."""
_ANSWERS = re.compile(
    r"\s*(?:sure|certainly|of course|absolutely|okay|ok|great|here)\b[^.\n]{0,80}?(?:!|\bhere(?:'s|’s| is| "
    r"are)\b|\b(?:is|are) (?:a|the|my|your) "
    r"(?:re)?(?:telling|told|written|written version|version|story|rewrite|text|paraphrase|summary)\b)"
    r"|\s*(?:sure|certainly|of course|absolutely|okay|ok|here)\b[^.\n]{0,80}:\s*\n",
    re.IGNORECASE,
)
_TALK_WORDS = ("here", "hope this", "let me know", "request", "i can", "i am", "i'm", "i’m", "i have")
_TALK = re.compile(
    r"\bhere(?:'s|’s| is) (?:a|the|my|your) (?:\w+ ){0,2}(?:retelling|rewrite|version|paraphrase|revised text)\b"
    r"|\bi hope this helps\b|\blet me know if\b|\bas (?:you )?requested\b|\bi (?:cannot|can't|can’t|am unable to|'m "
    r"sorry)\b|\bi have (?:rewritten|retold|rephrased)\b",
    re.IGNORECASE | re.MULTILINE,
)


def check_format(text: str, story: str, known: str, longest: int) -> Iterator[Fault]:
    """Yield faults that show without parsing: an empty text, no prose, far too long, talk to the checker or about
    itself."""
    if not text.strip():
        yield Fault("text", 0, 0, "The text is empty. Tell the record in full sentences.", fatal=True)
        return
    if len(text) > longest:
        yield Fault(
            "text", longest, len(text),
            f"The text has {len(text):,} characters and the record {len(story):,}. Tell it in about the length of "
            f"the record.",
        )  # fmt: skip
        text = text[:longest]
    bare = text.strip()
    if not bare:
        yield Fault("text", 0, 0, "The text begins with nothing but blanks. Answer with the text alone.", fatal=True)
        return
    if (
        bare[0] in "{["
        and (bare[-1] in "}]" or re.match(r'[{\[]\s*["{\[]', bare))
        and not story.lstrip().startswith(bare[0])
    ):
        yield Fault(
            "text", 0, min(len(text), 200), "This is data (JSON), not prose. Answer with the text alone.", fatal=True
        )
        return
    if "```" in text and "```" not in story:
        at = text.index("```")
        yield Fault("text", at, at + 3, "The text holds a block of code. Answer with the text alone.")
    letters = sum(map(str.isalpha, bare[:4_000])) + sum(map(str.isspace, bare[:4_000]))
    if letters < 0.55 * len(bare[:4_000]) or "\ufffd" in bare or "\x00" in bare:
        yield Fault(
            "text", 0, min(len(text), 200), "Most of this is no text. Tell the record in full sentences.", fatal=True
        )
        return
    lowered = text.lower()
    for match in _ORDERS.finditer(text) if any(word in lowered for word in _ORDER_WORDS) else ():
        if match.group().strip().lower() not in (story + known).lower():
            yield Fault(
                "text", match.start(), match.end(),
                f"“{match.group().strip()[:80]}” speaks to a model or a checker, not of the record. Leave it out.",
            )  # fmt: skip
            break
    talk = _ANSWERS.match(text) or (_TALK.search(text) if any(word in lowered for word in _TALK_WORDS) else None)
    if talk is not None and talk.group().strip().lower() not in story.lower():
        yield Fault(
            "text",
            talk.start(),
            talk.end(),
            f"“{talk.group().strip()[:80]}” speaks of your answer, not of the record. Leave it out.",
        )


def check_relevance(parsed: ParsedText, truth: SourceFacts) -> CheckResult:
    """Check that the text is about this record at all, and does not repeat itself."""
    faults: list[Fault] = []
    words_said = sum(parsed.vocabulary.values())
    shared = sum(count for word, count in parsed.vocabulary.items() if word in truth.vocabulary)
    if words_said < 3 or shared < 0.12 * words_said:
        faults.append(
            Fault(
                "text",
                0,
                min(len(parsed.text), 200),
                "Hardly a word of this stands in the record. Retell the record.",
                fatal=True,
            )
        )
        return "text", 1, faults
    seen: dict[str, int] = {}
    for begin, end in parsed.spans:
        if end - begin >= 6:
            words = " ".join(token.low for token in parsed.tokens[begin:end])
            seen[words] = seen.get(words, 0) + 1
            if seen[words] == 3:
                first, last = characters_of(parsed, begin, end)
                faults.append(Fault("text", first, last, "The same sentence stands here three times. Say it once."))
                break
    for begin, end in parsed.spans:
        words_here = [word for word in parsed.concepts[begin:end] if word]
        if len(words_here) >= 9 and not any(word in truth.vocabulary for word in words_here):
            first, last = characters_of(parsed, begin, end)
            faults.append(
                Fault(
                    "text",
                    first,
                    last,
                    f"Nothing of “{sentence_at(parsed, begin)}” stands in the record. Leave it out.",
                )
            )
    return "text", 1, faults
