"""Free-text answers, parsed: which action, how often, whether it works, or that there are too few cases.

The words that they are read by are in `phrases`. Actions are found by the labels of the contract (and their
codes), as whole words; patterns are RE2's, which takes a time that grows with the text alone, whoever wrote it. What
cannot be read is counted as unread, never guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storymesh.evaluation import phrases
from storymesh.evaluation.questions import Booleans, Floats, Integers

_NO_WORD = r"[^\p{L}\p{M}\p{N}]+"
_MARK = "toofewcases"
_SHARE = r"(?:^|[^\d.])(?P<value>(?:0?\.\d{1,9}|1\.0{1,9}))(?:$|[^\d%])"


@dataclass(frozen=True)
class ParsedAnswers:
    """What each of Q answers says. `choice`: the column of the action, -1 where none was read; `share`: a rate or a
    probability between 0 and 1, NaN where none was read; `verdict` the probability that it works, 1 or 0 for a plain
    yes or no; `foretells`: it tells how the case went."""

    answered: Booleans
    choice: Integers
    abstains: Booleans
    share: Floats
    verdict: Floats
    foretells: Booleans


def parse_answers(texts: pa.Array, actions: Mapping[str, str]) -> ParsedAnswers:
    """Parse answers. A null was not answered. `actions` are code -> label, in the order of their columns."""
    answered = np.asarray(pc.is_valid(texts))
    plain = pc.utf8_lower(pc.utf8_normalize(pc.fill_null(texts, ""), "NFC"))
    plain = pc.replace_substring_regex(plain, r"[*_`#>\"“”]+", " ")
    marked = pc.replace_substring_regex(plain, phrases.TOO_FEW, f" {_MARK} ")
    advised = pc.replace_substring_regex(marked, phrases.ADVISES_AGAINST, " ")
    best = pc.struct_field(pc.extract_regex(advised, phrases.RECOMMENDS), "best")
    named = [_normalize(label) for label in actions.values()]
    choice, _ = _first_action(pc.fill_null(best, ""), named)
    anywhere, where = _first_action(advised, named)
    # An action that is called best counts before one that is only named. A code counts as it is written: in small
    # letters it may be a common word.
    choice = np.where(choice >= 0, choice, anywhere)
    coded, _ = _first_action(pc.fill_null(texts, ""), [_normalize(code, lower=False) for code in actions])
    choice = np.where(choice >= 0, choice, coded)
    few = np.asarray(pc.find_substring(_words(advised), f" {_MARK} "), np.int64)
    abstains = (few >= 0) & ((where < 0) | (few < where))
    own = pc.replace_substring_regex(plain, phrases.OF_OTHERS, " ")
    share = _share(plain)
    no, yes = (np.asarray(pc.match_substring_regex(plain, pattern)) for pattern in (phrases.NO, phrases.YES))
    flat = np.where(no, 0.0, np.where(yes, 1.0, np.nan))
    verdict = np.where(np.isnan(share), flat, share)
    return ParsedAnswers(
        answered,
        np.where(abstains | ~answered, -1, choice),
        abstains & answered,
        np.where(answered, share, np.nan),
        np.where(answered & (few < 0), verdict, np.nan),
        np.asarray(pc.match_substring_regex(own, phrases.FORETELLS)) & answered,
    )


def _first_action(texts: pa.Array, names: Sequence[str]) -> tuple[Integers, Integers]:
    """Return the place of the name that each text has first and where it stands, -1 for both where it has none. Of
    names that begin at one place the longest counts."""
    words = _words(texts)
    first = np.full(len(texts), np.iinfo(np.int64).max)
    length, choice = np.zeros(len(texts), np.int64), np.full(len(texts), -1)
    for place, name in enumerate(names):
        if not name.strip():
            continue
        found = np.asarray(pc.find_substring(words, name), np.int64)
        better = (found >= 0) & ((found < first) | ((found == first) & (len(name) > length)))
        first, length = np.where(better, found, first), np.where(better, len(name), length)
        choice = np.where(better, place, choice)
    return choice, np.where(choice >= 0, first, -1)


def _words(texts: pa.Array) -> pa.Array:
    """Return the words of texts, each between spaces."""
    return pc.binary_join_element_wise(" ", pc.replace_substring_regex(texts, _NO_WORD, " "), " ", "")


def _normalize(label: str, *, lower: bool = True) -> str:
    text = pc.replace_substring_regex(pa.array([label.lower() if lower else label]), _NO_WORD, " ")[0].as_py()
    return f" {text.strip()} "


def _share(plain: pa.Array) -> Floats:
    """Return the first percentage of each text, or else the first `n of m`, or else the first number below 1."""
    percent = _number(pc.struct_field(pc.extract_regex(plain, phrases.PERCENTAGE), "value")) / 100
    counted = pc.extract_regex(plain, phrases.PART_OF)
    part, whole = _number(pc.struct_field(counted, "part")), _number(pc.struct_field(counted, "whole"))
    ratio = np.divide(part, whole, out=np.full(len(plain), np.nan), where=whole > 0)
    share = _number(pc.struct_field(pc.extract_regex(plain, _SHARE), "value"))
    found = np.where(np.isnan(percent), np.where(np.isnan(ratio), share, ratio), percent)
    return np.where((found >= 0) & (found <= 1), found, np.nan)


def _number(texts: pa.Array) -> Floats:
    filled = pc.if_else(pc.equal(pc.fill_null(texts, ""), ""), "nan", texts)
    return np.asarray(filled.cast(pa.float64()))
