"""The sentences and clauses of a text, by its marks, line breaks and conjunctions."""

from storymesh.grounding.lexicon import listed
from storymesh.grounding.tokens import Token

_ENDS = frozenset(".!?")
BREAKS = frozenset(",;:()[]—–|")
_CONJUNCTIONS = frozenset(
    listed("and but while whereas though although then which yet against versus compared rather before after")
)


def segment_tokens(tokens: list[Token], text: str) -> tuple[list[int], list[int], list[bool]]:
    """Return the sentence and clause number of each token, and True if it opens its sentence."""
    sentences, clauses, starts = [], [], []
    sentence = clause = 0
    fresh = True
    filled = False
    count = len(tokens)
    for at, token in enumerate(tokens):
        mark = token.text if token.kind == "mark" else ""
        if mark == "\n":
            previous = tokens[at - 1].text if at else "\n"
            following = tokens[at + 1].text if at + 1 < count else "\n"
            hard = (
                previous in ".!?:;\n"
                or following in "\n#*-•–|"
                or (at + 2 < count and tokens[at + 1].kind == "number" and tokens[at + 2].text in (".", ")"))
                or (at > 0 and _short_line(tokens, at))
            )
            if hard and filled:
                sentences.append(sentence)
                clauses.append(clause)
                starts.append(False)
                sentence += 1
                clause += 1
                fresh, filled = True, False
                continue
        sentences.append(sentence)
        clauses.append(clause)
        wordy = token.kind != "mark"
        starts.append(fresh and wordy)
        if wordy:
            fresh, filled = False, True
        if mark in _ENDS and mark and filled:
            following_at = tokens[at + 1].begin if at + 1 < count else len(text)
            previous = tokens[at - 1].text if at else ""
            spaced = following_at > token.end or at + 1 >= count or tokens[at + 1].text in "\n\"”')*"
            initial = mark == "." and (len(previous) == 1 and previous.isalpha())
            numbered = mark == "." and previous.isdigit() and (at < 2 or tokens[at - 2].text == "\n")
            if spaced and not initial and not numbered:
                sentence += 1
                clause += 1
                fresh, filled = True, False
            elif numbered:
                fresh = True
        elif (mark == "(" and _is_aside(tokens, at)) or (mark == ")" and at > 1 and _is_aside(tokens, at - 2)):
            pass
        elif mark in BREAKS and mark:
            clause += 1
            if mark in ":" and at + 1 < count:
                fresh = True
        elif token.low in _CONJUNCTIONS:
            clause += 1
    return sentences, clauses, starts


def _is_aside(tokens: list[Token], at: int) -> bool:
    """Return True if a bracket holds one word, as in "in Nigeria (NG) on 31 March": it begins no clause."""
    return (
        at + 2 < len(tokens)
        and tokens[at].text == "("
        and tokens[at + 2].text == ")"
        and tokens[at + 1].kind in ("word", "code")
    )


def _short_line(tokens: list[Token], at: int) -> bool:
    """Return True if the line before `at` has a few words only, so that it is a heading."""
    begin = at - 1
    while begin >= 0 and tokens[begin].text != "\n":
        begin -= 1
    return tokens[at - 1].end - tokens[begin + 1].begin < 60 if begin + 1 < at else True
