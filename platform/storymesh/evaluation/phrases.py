"""The phrases by which free answers are read, in each language that has some: patterns of RE2 over small letters."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnswerPhrases:
    """The patterns of one language.

    too_few: that there are too few cases to say. advises_against: what not to do, to the end of the clause. recommends:
    the group `best` is the clause that says what is best. percentage: the group `value`. part_of: the groups `part` and
    `whole`, as in 3 of 10. no, yes: whether it will work. of_others: what earlier cases did, which is taken out before
    `foretells` looks for an ending that is told as the case's own.
    """

    language: str
    too_few: str
    advises_against: str
    recommends: str
    percentage: str
    part_of: str
    no: str
    yes: str
    of_others: str
    foretells: str


ENGLISH = AnswerPhrases(
    language="en",
    too_few=(
        r"\b(?:too few|too little|not enough|insufficient|no (?:closed|earlier|comparable|similar|such|other) "
        r"(?:closed )?cases?|cannot (?:say|tell|know)|can ?not be (?:said|told)|can['’]?t (?:say|tell)"
        r"|do(?:es)? not know|don['’]?t know|hard to say|unknown|no (?:data|evidence|precedents?))\b"
    ),
    advises_against=(
        r"\b(?:do not|don['’]?t|never|avoid|instead of|rather than|not to|worst|worse|least (?:likely|effective)"
        r"|did not work|mostly failed)\b[^.;:,!?\n]*"
    ),
    recommends=(
        r"(?s)(?P<best>[^.\n]*\b(?:best|recommend(?:ed)?|should|advise|choose|go with|i would|prefer)\b[^.\n]*)"
    ),
    percentage=r"(?P<value>\d{1,3}(?:\.\d{1,6})?) ?(?:%|per ?cent)",
    part_of=r"(?P<part>\d{1,7}) (?:times? )?(?:of|out of|in) (?P<whole>\d{1,7})",
    no=r"\b(?:no|not|n['’]t|won['’]?t|fail(?:s|ed)?|unlikely|false)\b|n['’]t\b",
    yes=r"\b(?:yes|work(?:s|ed)?|succeed(?:s|ed)?|likely|true)\b",
    of_others=r"\b(?:worked|did not work|failed|succeeded) (?:in|for|before|only|\d|most|best)",
    foretells=(
        r"\b(?:in this case|this time|in the end)\b[^\n]{0,200}\b(?:it|that|this|which) "
        r"(?:did not work|[a-z]{3,}ed|turned out)\b|\bit turned out\b"
    ),
)


PHRASES = {item.language: item for item in (ENGLISH,)}


def answer_phrases(language: str) -> AnswerPhrases:
    """Return the phrases of a language (`pt-BR`: of `pt`), of English where there are none: labels of actions, counts
    and percentages are read in any."""
    return PHRASES.get(language.partition("-")[0].lower(), ENGLISH)
