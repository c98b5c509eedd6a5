"""Upper bounds for the values of a template, before any data exists: polynomials in the lengths of their parts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from storymesh.language.static_values import Path, StaticValue
from storymesh.language.types import Array, Json, Text

PRINTED = 64  # characters of what is no text, when it is printed
MAX_COUNT = 2**100
_MAX_TERMS = 2_000  # and factors, in what anybody writes
_MAX_FACTORS = 24


class Factor(NamedTuple):
    """The number of items, or of distinct values, of the lists at some paths together, or of characters of the longest
    text there."""

    measure: Literal["items", "distinct", "characters"]
    paths: frozenset[Path]


Term = tuple[Factor, ...]


@dataclass(frozen=True)
class Polynomial:
    """A sum of products: factors -> how often they count."""

    terms: Mapping[Term, int]

    def __add__(self, other: "Polynomial") -> "Polynomial":
        terms = dict(self.terms)
        for term, count in other.terms.items():
            terms[term] = min(terms.get(term, 0) + count, MAX_COUNT)
        return Polynomial(_reduced(terms))

    def __mul__(self, other: "Polynomial") -> "Polynomial":
        if self.terms == ONE.terms:
            return other
        longest = max(map(len, self.terms), default=0) + max(map(len, other.terms), default=0)
        if len(self.terms) * len(other.terms) > _MAX_TERMS or longest > _MAX_FACTORS:
            return Polynomial({(): MAX_COUNT})
        terms: dict[Term, int] = {}
        for left, count in self.terms.items():
            for right, times in other.terms.items():
                term = tuple(sorted((*left, *right), key=_order))
                terms[term] = min(terms.get(term, 0) + count * times, MAX_COUNT)
        return Polynomial(_reduced(terms))

    def merged(self, other: "Polynomial") -> "Polynomial":
        """Return what is as large as both."""
        names = self.terms.keys() | other.terms.keys()
        return Polynomial({term: max(self.terms.get(term, 0), other.terms.get(term, 0)) for term in names})

    @property
    def constant(self) -> int:
        """What counts whatever the data is."""
        return self.terms.get((), 0)

    def degree(self, measure: Literal["items", "characters"]) -> int:
        """Return how many factors stand in a product at most that count items (or distinct ones), or characters."""
        of_texts = measure == "characters"
        return max((sum((f.measure == "characters") is of_texts for f in term) for term in self.terms), default=0)


def _order(factor: Factor) -> tuple[str, list[Path]]:
    return factor.measure, sorted(factor.paths)


def _reduced(terms: dict[Term, int]) -> dict[Term, int]:
    """Return the terms, of which there are not more than anybody writes; else one that no data fits."""
    return terms if len(terms) <= _MAX_TERMS else {(): MAX_COUNT}


def constant(count: int) -> Polynomial:
    return Polynomial({(): count} if count else {})


ZERO, ONE = constant(0), constant(1)


@dataclass(frozen=True)
class Size:
    """Of a value: how many items it has, if it is a list, and how many characters, or each item of it has."""

    items: Polynomial = ONE
    characters: Polynomial = ZERO

    def merged(self, other: "Size") -> "Size":
        """Return what is as large as both."""
        return Size(self.items.merged(other.items), self.characters.merged(other.characters))


def size_of_data(value: StaticValue) -> Size:
    """Return the size of a value of the data, by the places where it may stand."""
    items = Polynomial({(Factor("items", value.counted or value.paths),): 1}) if isinstance(value.type, Array) else ONE
    kind = value.type.item.type if isinstance(value.type, Array) else value.type
    if not isinstance(kind, Text | Json):
        return Size(items, ZERO if isinstance(value.type, Array) else constant(PRINTED))
    return Size(items, Polynomial({(Factor("characters", value.paths),): 1}) if value.paths else constant(PRINTED))


def distinct_values(listed: Polynomial, paths: frozenset[Path]) -> Polynomial:
    """Return how many different values a list of `listed` items has whose values stand at `paths`: null is one too."""
    if not paths:
        return listed
    return Polynomial({(Factor("distinct", paths),): 1}) + constant(listed.constant + 1)


def most_characters(sizes: Iterable[Size]) -> Polynomial:
    """Return what is as long as each of some values."""
    result = ZERO
    for size in sizes:
        result = result.merged(size.characters)
    return result
