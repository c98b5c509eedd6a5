"""The word lists of a language, by which retellings and evidence are checked: a data file for each language.

`neutral` words say nothing by themselves; `joins` part two statements; `leads` belong to the value after them, of
which `genitives` and `datives` may say no time or place, and those of LOOSE are bound to less; the other lists are of
words that say something: `negations` (of which `denials` are one word in several forms), `numbers`, `months`, `units`,
`currencies`, `outcomes`, `modals`. `bounds` and the lists after them say where a number is none, or a denial none. The
rest says which words count as one: phrases, words of one meaning, forms, and families. A new language is a file, with a
second one of families if it has any.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
PLAIN = ("neutral", "joins", "leads", "genitives", "datives", "determiners", "moment", "number", "text", "denials")
LOOSE = (
    "light",
    "polar",
    "before_words",
    "infinitives",
    "so_long",
    "obligations",
    "causes",
    "reasons",
)
STANDING = ("pronouns", "possessives", "agents")
BOUNDING = ("to", "between", "both", "lists", "only", "numbered", "supposes")
PHRASES = ("bounds", "bounds_behind", "instead")
WEIGHTY = ("negations", "numbers", "months", "units", "currencies", "outcomes", "modals")
MAX_KEYS = 50_000
"""The words whose key is remembered: more than a language's texts have, and few enough for memory."""
MIN_STEM_LENGTH = 3
"""The letters that an ending leaves at least: below, words of different meaning fall together ("used", "us")."""
_WORD = re.compile(r"[^\W\d_]+")
_LOOKED_AT = 2_000  # words
_MIN_SHARE = 0.12  # of the words of a text are small ones of its language


class Morphology:
    """The rules by which words of a language count as forms of one: its endings, and what stands before a verb."""

    def __init__(self, read: Mapping[str, str], families: str) -> None:
        self._endings = sorted(read["endings"].split(), key=len, reverse=True)
        self._doubled = read["doubled"]
        self._dropped = read["dropped"]
        self._changed = read["changed"].split() or ["\n", ""]
        self._finite = tuple(read["finite"].split())
        self._participles = read["participles"].split()
        self._particles = sorted(read["particles"].split(), key=len, reverse=True)
        self._prefixes = read["prefixes"].split()
        self._forms: dict[str, str] = {}
        for line in read["forms"].splitlines():
            for form in line.split():
                self._forms.setdefault(form, line.split()[0])
        self._roots: dict[str, str] = {}
        for line in (*families.splitlines(), *read["same"].splitlines()):
            first, *others = (self.stem(word) for word in line.split() or ["#"])
            root = self._roots.get(first, first)
            self._roots.update(dict.fromkeys([first, *others], root) if first[0] != "#" else {})

    def key(self, word: str) -> str:
        """Return the key that the forms of a lower-case word share with its synonyms."""
        stem = self.stem(word)
        return self._roots.get(stem, stem)

    def stem(self, word: str) -> str:
        """Return the stem that the forms of a lower-case word share."""
        for particle in self._particles:
            if word.startswith(particle) and len(word) - len(particle) >= MIN_STEM_LENGTH:
                return particle + self._verb(word.removeprefix(particle))
        return self._verb(word)

    @property
    def has_particles(self) -> bool:
        return bool(self._particles)

    def is_particle(self, word: str) -> bool:
        return word in self._particles

    def finiteness(self, word: str) -> int:
        """Return the likelihood that a word is the finite verb: 2 for a known verb, 1 if it ends like one, else 0."""
        return 2 if self._first_form(word) else 1 if word.endswith(self._finite) else 0

    def _verb(self, word: str) -> str:
        """Return the key of a word without a particle: that of a participle ("gekommen") is its verb's."""
        if known := self._first_form(word):
            return known
        for syllable in self._participles:
            rest = word.removeprefix(syllable)
            if rest != word and len(rest) > MIN_STEM_LENGTH and rest.endswith(("t", "en")):
                return self._verb(rest)
        for prefix in self._prefixes:
            if word.startswith(prefix) and (known := self._first_form(word.removeprefix(prefix))):
                return prefix + known
        return self._stem(word)

    def _first_form(self, word: str) -> str | None:
        """Return the first form of the line that has a word, as it stands or without one of the endings."""
        stems = (word.removesuffix(ending) for ending in ("", *self._endings) if word.endswith(ending))
        return next((self._forms[stem] for stem in stems if stem in self._forms), None)

    def _stem(self, word: str) -> str:
        for ending in self._endings:
            if word.endswith(ending) and len(word) - len(ending) >= MIN_STEM_LENGTH:
                word = word.removesuffix(ending)
                break
        if len(word) > MIN_STEM_LENGTH and word[-1] == word[-2] and word[-1] in self._doubled:
            word = word[:-1]
        if len(word) <= MIN_STEM_LENGTH:
            return word
        word = word.removesuffix(self._dropped)
        return word[: -len(self._changed[0])] + self._changed[1] if word.endswith(self._changed[0]) else word


class Language:
    """The lists of one language, each a set of words in small letters, and the forms of its words."""

    def __init__(
        self,
        lists: Mapping[str, frozenset[str]],
        morphology: Morphology,
        phrases: Mapping[str, str],
        bounding: Mapping[str, str],
    ) -> None:
        self._lists = lists
        self._phrases = phrases
        self._bounding = bounding
        self._phrase = re.compile(rf"\b{_any_of(phrases)}\b", re.IGNORECASE)
        self._bound = re.compile(rf"\b{_any_of(bounding)}(?=\s*$)", re.IGNORECASE)
        self._morphology = morphology
        self._denial = min(lists["denials"])
        self._keys: dict[str, str] = {}
        self.causes = frozenset(map(self.key, lists["causes"]))
        self._weights = {self.key(word): name for name in reversed(WEIGHTY) for word in lists[name]}

    def key(self, word: str) -> str:
        """Return the key that the forms of one word share."""
        found = self._keys.get(word)
        if found is None:
            if len(self._keys) >= MAX_KEYS:
                self._keys.clear()
            found = self._keys[word] = self._make_key(word)
        return found

    def _make_key(self, word: str) -> str:
        plain = word.lower().replace("’", "'")
        if plain in self._lists["denials"]:
            return self._denial
        if plain in self._lists["negations"]:
            return plain
        return self._morphology.key(plain.removesuffix("'s").removesuffix("'"))

    def stem(self, word: str) -> str:
        """Return the stem that the forms of one lower-case word share, apart from its family."""
        return self._morphology.stem(word)

    def without_phrases(self, text: str) -> str:
        """Return a text with the word of each phrase that says no more than one ("took place" is "happened")."""
        return self._phrase.sub(lambda match: self._phrases[match[0].lower()], text)

    def with_plain_bound(self, text: str) -> str:
        """Return a text with one phrase for all that bound the number behind it alike ("over" is "more than")."""
        return self._bound.sub(lambda match: self._bounding[match[0].lower()], text)

    @property
    def has_particles(self) -> bool:
        """True if the language has separable verbs."""
        return self._morphology.has_particles

    def is_particle(self, word: str) -> bool:
        """Return True for the particle of a separable verb, which ends a statement ("kam … an")."""
        return self._morphology.is_particle(word.lower())

    def finiteness(self, word: str) -> int:
        """Return the likelihood that a word is the finite verb of its statement, 0 if nothing suggests it."""
        if word[:1].isupper() or self.leads(word) or self.weight(word) in ("numbers", "negations"):
            return 0
        return self._morphology.finiteness(word.lower()) or int(not self.says_nothing(word))

    def says_nothing(self, word: str) -> bool:
        """Return True for a word that is neutral anywhere; this very form counts, not its stem."""
        return word.lower().replace("’", "'") in self._lists["neutral"]

    def joins(self, word: str) -> bool:
        """Return True for a conjunction, which separates two statements."""
        return word.lower() in self._lists["joins"]

    def leads(self, word: str) -> bool:
        """Return True for a word that belongs to the value after it."""
        return word.lower() in self._lists["leads"]

    def is_open(self, word: str) -> bool:
        """Return True for a word that a vocabulary may allow: not one that carries weight, leads, gives a reason or
        denies."""
        plain = word.lower().replace("’", "'")
        closed = self.weight(word) is not None or self.leads(word) or plain in self._lists["polar"]
        return word[:1].isalpha() and not closed and self.key(word) not in self.causes

    def gives_reason(self, word: str) -> bool:
        """Return True for a word of `leads` that, before a word, says no more than "as"."""
        return word.lower() in self._lists["reasons"]

    def is_genitive(self, word: str) -> bool:
        """Return True for a word of `leads` that may say no more than whose a thing is, or by whom."""
        return word.lower() in self._lists["genitives"]

    def is_dative(self, word: str, behind: str) -> bool:
        """Return True for a word of `leads` that says no more than to or from whom a thing goes; `behind` is the word
        behind it, empty where a value stands."""
        nouns = self._lists["determiners"]
        return word.lower() in self._lists["datives"] and (not behind or bool({word.lower(), behind.lower()} & nouns))

    def words(self, name: str) -> frozenset[str]:
        """Return a list by its name, such as what a `moment` may be called; phrases as they are written."""
        return self._lists[name]

    def weight(self, word: str) -> str | None:
        """Return the list of weighty words that a word, in whatever form, is in; None if it is in none."""
        return self._weights.get(self.key(word))


@lru_cache
def language_of(name: str) -> Language:
    """Return a language by its code. Raises KeyError for one that has no file."""
    if name not in LANGUAGES:
        raise KeyError(name)
    import tomllib  # which compiles its patterns, for what few commands read

    read = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    lists = {kind: frozenset(read[kind].split()) for kind in (*PLAIN, *LOOSE, *STANDING, *BOUNDING, *WEIGHTY)}
    lists |= {kind: frozenset(read[kind].strip().splitlines()) for kind in PHRASES}
    families = FOLDER / f"{name}.families"
    morphology = Morphology(read, families.read_text(encoding="utf-8") if families.exists() else "")
    return Language(lists, morphology, _parse_synonyms(read["phrases"]), _parse_synonyms(read["bounding"]))


def _parse_synonyms(lines: str) -> dict[str, str]:
    """Return what each phrase of some lines says, a line for each: `phrase = what it says`."""
    return {phrase: word for phrase, _, word in (line.partition(" = ") for line in lines.strip().splitlines())}


def _any_of(phrases: Mapping[str, str]) -> str:
    """Return a pattern of any of some phrases, the longest first; of nothing if there are none."""
    return f"(?:{'|'.join(sorted(map(re.escape, phrases), key=len, reverse=True)) or '(?!)'})"


def text_language(text: str) -> str | None:
    """Return the code of the language of a text, None if it is unknown or the text is in no language."""
    words = [match[0].lower() for match, _ in zip(_WORD.finditer(text), range(_LOOKED_AT), strict=False)]
    if not words:
        return None
    counts = {code: sum(language_of(code).says_nothing(word) for word in words) for code in LANGUAGES}
    best = max(counts, key=lambda code: counts[code])
    others = max((count for code, count in counts.items() if code != best), default=0)
    return best if counts[best] >= _MIN_SHARE * len(words) and counts[best] > others else None
