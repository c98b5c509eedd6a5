"""The phrases by which a free answer is read, a file for each language."""

from storymesh.evaluation.phrases.en import ENGLISH
from storymesh.evaluation.phrases.phrases import AnswerPhrases

PHRASES = {item.language: item for item in (ENGLISH,)}


def answer_phrases(language: str) -> AnswerPhrases:
    """Return the phrases of a language (`pt-BR`: of `pt`), of English where there are none: labels of actions, counts
    and percentages are read in any."""
    return PHRASES.get(language.partition("-")[0].lower(), ENGLISH)
