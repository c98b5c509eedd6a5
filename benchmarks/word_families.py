"""The families of English words, from WordNet: `python -m benchmarks.word_families FOLDER`.

FOLDER is a database of WordNet 3.0 (`data.verb`, `index.noun`, `cntlist.rev`, …; Debian's package wordnet-base has it).
It writes platform/storymesh/lexicon/languages/en.families: of verbs and adjectives the nouns that name the same act or
state ("complain" and "complaint"), so that a retelling may use either. A noun counts where it mostly means that;
a person or a thing ("insurer", "painting") is never one. Words of other roots are in `same` of en.toml.
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storymesh.lexicon.language import FOLDER, Language, language_of

ACTS = {"act", "communication", "event", "feeling", "phenomenon", "possession", "process", "state", "cognition"}
STATES = {"attribute", "feeling", "state"}
FILES = (
    *(
        "Tops",
        "act",
        "animal",
        "artifact",
        "attribute",
        "body",
        "cognition",
        "communication",
        "event",
        "feeling",
        "food",
    ),
    *("group", "location", "motive", "object", "person", "phenomenon", "plant", "possession", "process", "quantity"),
    *("relation", "shape", "state", "substance", "time"),
)
LEAST_NOUN = 0.4  # the share of the uses of a noun that are its verb's act, at least
LEAST_WORD = 0.15  # the share of the uses of a verb or adjective that the noun is of, at least
FIRST_FILE = 3  # the number that WordNet gives the first of FILES
COMMON_LETTERS = 3  # what the two begin with, at least
_WORD = re.compile(r"[a-z]{3,}")
_PARTS = {"noun": "n", "verb": "v", "adj": "a"}
_KINDS = {"1": "n", "2": "v", "3": "a", "5": "a"}


@dataclass(frozen=True)
class Sense:
    """A sense of some words, with the words and nouns of it that are derived from each other."""

    words: tuple[str, ...]
    file: int
    derived: tuple[tuple[int, str, int], ...]  # the place of a word, the noun's sense, and its place there


class WordNet:
    """The senses of WordNet, and how often each is meant."""

    def __init__(self, folder: Path) -> None:
        self.senses: dict[tuple[str, str], Sense] = {}
        self._meant: Counter[tuple[str, str, int]] = Counter()
        self._order: dict[tuple[str, str], list[str]] = {}
        for line in (folder / "cntlist.rev").read_text("ascii").splitlines():
            key, number, count = line.split()
            lemma, _, kind = key.partition("%")
            if kind[0] in _KINDS:
                self._meant[lemma, _KINDS[kind[0]], int(number)] += int(count)
        for name, part in _PARTS.items():
            for line in _lines(folder / f"data.{name}"):
                self.senses[part, line.split()[0]] = _sense(line.partition("|")[0].split())
            for line in _lines(folder / f"index.{name}"):
                fields = line.split()
                self._order[part, fields[0]] = fields[-int(fields[2]) :]

    def share(self, word: str, part: str, sense: str) -> float:
        """Return how much of the uses of a word are of one sense; half a use is added to each that was seen in none."""
        order = self._order[part, word]
        counts = [self._meant[word, part, at + 1] + 0.5 for at in range(len(order))]
        if sum(counts) == len(order) / 2:  # never seen: the first sense is the commonest
            return 1 / len(order) if order.index(sense) == 0 else 0.0
        return counts[order.index(sense)] / sum(counts)

    def families(self) -> dict[str, set[str]]:
        """Return the nouns of each verb and adjective."""
        linked: dict[tuple[str, str, str], tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
        for (part, name), sense in self.senses.items():
            for place, noun_sense, noun_place in sense.derived if part != "n" else ():
                of_noun = self.senses["n", noun_sense]
                word, noun = sense.words[place], of_noun.words[noun_place]
                is_act = FILES[of_noun.file - FIRST_FILE] in (ACTS if part == "v" else STATES)
                if is_act and _WORD.fullmatch(word) and _WORD.fullmatch(noun):
                    words, nouns = linked[word, part, noun]
                    words.add(name)
                    nouns.add(noun_sense)
        found: dict[str, set[str]] = defaultdict(set)
        for (word, part, noun), (words, nouns) in linked.items():
            if (
                word[:COMMON_LETTERS] == noun[:COMMON_LETTERS]
                and sum(self.share(noun, "n", sense) for sense in nouns) >= LEAST_NOUN
                and sum(self.share(word, part, sense) for sense in words) >= LEAST_WORD
                and (self._seen(noun, "n") or (part == "v" and self._seen(word, part)))
                and not (part == "a" and noun.endswith("ness"))
            ):
                found[word].add(noun)
        return found

    def _seen(self, word: str, part: str) -> bool:
        return any(self._meant[word, part, at + 1] for at in range(len(self._order[part, word])))


def _lines(path: Path) -> Iterator[str]:
    return (line for line in path.read_text("ascii").splitlines() if not line.startswith("  "))


def _sense(fields: list[str]) -> Sense:
    count = int(fields[3], 16)
    words = tuple(fields[4 + 2 * at].partition("(")[0].lower() for at in range(count))
    links = fields[5 + 2 * count :]
    derived = []
    for at in range(0, 4 * int(fields[4 + 2 * count]), 4):
        sign, sense, part, places = links[at : at + 4]
        one, other = int(places[:2], 16), int(places[2:], 16)
        if sign == "+" and part == "n" and one and other:
            derived.append((one - 1, sense, other - 1))
    return Sense(words, int(fields[1]), tuple(derived))


def family_lines(families: dict[str, set[str]], language: Language) -> Iterator[str]:
    """Yield a line for each family whose words the endings of the language do not make one; a noun of several is left
    out, since it would make one of those."""
    verbs = Counter(noun for nouns in families.values() for noun in nouns)
    for word, nouns in sorted(families.items()):
        own = sorted(noun for noun in nouns if verbs[noun] == 1 and language.stem(noun) != language.stem(word))
        if own and word not in verbs:
            yield " ".join([word, *own])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("folder", type=Path)
    path = FOLDER / "en.families"
    header = "".join(line for line in path.read_text("utf-8").splitlines(keepends=True) if line.startswith("#"))
    lines = family_lines(WordNet(arguments.parse_args().folder).families(), language_of("en"))
    path.write_text(header + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
