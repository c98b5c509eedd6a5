"""The phrases of a language that answers are read by, as patterns of RE2 over texts in small letters."""

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
