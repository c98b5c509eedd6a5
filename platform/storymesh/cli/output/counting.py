"""Counts with their nouns."""


def count_of(number: int, noun: str) -> str:
    """Return '1 version', '2 versions'."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
