"""The names that a source tells, as runs of words, and the names of peoples."""

from collections.abc import Iterable

from storymesh.grounding.lexicon import DEMONYMS, GENERIC_NAME_PARTS, listed

CONNECTORS = frozenset(listed("of the de la el le al and & du des van der"))


class NameIndex:
    """Every run of words in the texts of a source: a name is supported if its words are there in that order."""

    def __init__(self, texts: Iterable[Iterable[str]]) -> None:
        self.joined = " "
        for words in texts:
            self.joined += " ".join(word for word in words if word not in CONNECTORS) + " | "

    def has_name(self, key: tuple[str, ...]) -> bool:
        """Return True if the texts have the name, or what is left of it without "port of", "line"."""
        if f" {' '.join(key)} " in self.joined:
            return True
        short = tuple(word for word in key if word not in GENERIC_NAME_PARTS)
        if not short:
            return True
        return f" {' '.join(short)} " in self.joined


def is_demonym(key: tuple[str, ...], names: NameIndex) -> bool:
    """Return True if a name is that of the people of a known country: "Dutch" for the Netherlands."""
    return len(key) == 1 and key[0] in DEMONYMS and names.has_name(tuple(DEMONYMS[key[0]].split()))
