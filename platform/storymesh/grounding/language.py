"""The words of a language as the check of a retelling knows them: lists in a data file for each language.

`neutral` words say nothing by themselves; `joins` part two statements; `leads` belong to the value behind them; the
other lists are of words that say something: `negations`, `numbers`, `months`, `units`, `currencies`, `outcomes`.
`endings` and `forms` say which words count as the same. A new language is a file.
"""

import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "languages"
LANGUAGES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
WEIGHTY = ("negations", "numbers", "months", "units", "currencies", "outcomes")
MOST_KEYS = 50_000
"""The words whose key is remembered: more than a language's texts have, and few enough for memory."""
SHORTEST_STEM = 3
"""The letters that an ending leaves at least: below, words of different meaning fall together ("used", "us")."""


class Language:
    """The lists of one language, each a set of words in small letters."""

    def __init__(
        self, lists: Mapping[str, frozenset[str]], endings: Iterable[str], doubled: str, forms: Mapping[str, str]
    ) -> None:
        self._lists = lists
        self._endings = sorted(endings, key=len, reverse=True)
        self._doubled = doubled
        self._forms = forms
        self._keys: dict[str, str] = {}
        self._weights = {self.key(word): name for name in reversed(WEIGHTY) for word in lists[name]}

    def key(self, word: str) -> str:
        """Return what the forms of one word have in common."""
        found = self._keys.get(word)
        if found is None:
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            found = self._keys[word] = self._make_key(word)
        return found

    def _make_key(self, word: str) -> str:
        plain = word.lower().replace("’", "'")
        if plain in self._lists["negations"]:
            return plain
        plain = plain.removesuffix("'s").removesuffix("'")
        if plain in self._forms:
            return self._forms[plain]
        for ending in self._endings:
            if plain.endswith(ending) and len(plain) - len(ending) >= SHORTEST_STEM:
                plain = plain.removesuffix(ending)
                break
        if len(plain) > SHORTEST_STEM and plain[-1] == plain[-2] and plain[-1] in self._doubled:
            plain = plain[:-1]
        return plain.removesuffix("e") if len(plain) > SHORTEST_STEM else plain

    def says_nothing(self, word: str) -> bool:
        """Return True for a word that may stand anywhere; the form counts, not what it has in common with others."""
        return word.lower().replace("’", "'") in self._lists["neutral"]

    def joins(self, word: str) -> bool:
        """Return True for a word that parts two statements."""
        return word.lower() in self._lists["joins"]

    def leads(self, word: str) -> bool:
        """Return True for a word that belongs to the value behind it."""
        return word.lower() in self._lists["leads"]

    def weight(self, word: str) -> str | None:
        """Return the list of weighty words that a word, in whatever form, is in; None if it is in none."""
        return self._weights.get(self.key(word))


@lru_cache
def language_of(name: str) -> Language:
    """Return a language by its code. Raises KeyError for one that has no file."""
    if name not in LANGUAGES:
        raise KeyError(name)
    read = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    lists = {kind: frozenset(read[kind].split()) for kind in ("neutral", "joins", "leads", *WEIGHTY)}
    forms: dict[str, str] = {}
    for line in read["forms"].splitlines():
        for form in line.split():
            forms.setdefault(form, line.split()[0])
    return Language(lists, read["endings"].split(), read["doubled"], forms)
