"""The template in an answer of a model: one rule about the whole answer, whatever else stands in it."""

OPEN, CLOSE = "<template>", "</template>"
MAX_CHARACTERS = 64 * 1024


def template_in_answer(answer: str | None) -> tuple[str, str]:
    """Return the template in an answer and an empty text, or an empty text and why there is none.

    It is what stands between the last `<template>` and the `</template>` behind it. All before and after it is thrown
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
