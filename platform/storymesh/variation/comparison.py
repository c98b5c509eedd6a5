"""The comparison of a variant with its original: the values that both print for real cases, and their conditions.

The rule is about values and conditions, and no guess about prose. In each case the variant prints the values that the
original prints there, no more and no fewer: the same origins with the same text, whether its letters are capitals or
not. It changes its words between two cases where, and only where, the original does. It reads what the original
reads. And its own words hold no digit and no uncommon sign that the words of the original do not hold.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, NamedTuple

from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language import ast
from storymesh.language.ast import Template
from storymesh.language.provenance import TracingInterpreter
from storymesh.language.static_values import StaticValue
from storymesh.language.traced_values import OriginPaths, TextSpan
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.location import Location

MAX_FAULTS = 6
_COMMON_SIGNS = frozenset(" \n\t\r,.;:!?'\"()…¿¡、。·")
_COMMON_CATEGORIES = frozenset({"Pd", "Pi", "Pf", "Zs"})

ValueKey = tuple[OriginPaths, str]


@dataclass(frozen=True)
class ComparedCase:
    """A real case, for one text: the id that `choose` draws by, and the names that its template sees."""

    case_id: str
    draw_id: str
    names: Mapping[str, Any]


class Wording(NamedTuple):
    """How one case is told: the spans of its values, the words around them that no chance has drawn, and the numbers
    and uncommon signs of what expressions print that is no value."""

    values: Mapping[ValueKey, TextSpan]
    words: tuple[str, ...]
    signs: frozenset[str]


class VariantComparison:
    """The original, rendered for some cases, against which variants are held."""

    def __init__(self, original: CheckedTemplate, cases: Sequence[ComparedCase], key: bytes) -> None:
        self.original = original
        self.cases = cases
        self._key = key
        self._told = list(_tell_cases(original.tree, cases, key))
        self._signs = _signs_of(original.tree).union(*(wording.signs for wording in self._told))

    def unreached(self) -> tuple[Location, ...]:
        """Return the places of the original that print a value in none of the cases: nothing is known of them."""
        seen = {span.at for wording in self._told for span in wording.values.values()}
        outputs = (
            part for part in tree_parts(self.original.tree) if isinstance(part, ast.Output) and part.value.typed.paths
        )
        return tuple(dict.fromkeys(output.at for output in outputs if output.at not in seen))

    def faults(self, variant: CheckedTemplate) -> list[str]:
        """Return how a variant differs from the original, as sentences for its author; empty if it does not."""
        faults = [*self._static_faults(variant)]
        if not faults:
            faults = self._case_faults(variant)
        return faults[:MAX_FAULTS]

    def _static_faults(self, variant: CheckedTemplate) -> Iterator[str]:
        original = self.original
        for verb, own, other in (
            ("print", set(variant.prints), set(original.prints)),
            ("read", {*variant.reads}, {*original.reads}),
        ):
            if missing := _join_paths(other - own):
                yield f"It does not {verb} {missing}, which the original {verb}s."
            if added := _join_paths(own - other):
                yield f"It {verb}s {added}, which the original does not {verb}."
        yield from self._sign_faults(_signs_of(variant.tree))

    def _sign_faults(self, signs: frozenset[str]) -> Iterator[str]:
        if new := sorted(signs - self._signs):
            shown = ", ".join(f"`{sign}`" if sign.isprintable() else f"U+{ord(sign[0]):04X}" for sign in new[:8])
            yield f"Its words hold {shown}, which the words of the original do not hold: print values, write no others."

    def _case_faults(self, variant: CheckedTemplate) -> list[str]:
        faults: dict[str, None] = {}
        words: dict[tuple[str, ...], tuple[str, ...]] = {}
        back: dict[tuple[str, ...], tuple[str, ...]] = {}
        told = _tell_cases(variant.tree, self.cases, self._key)
        try:
            for case, wanted, met in zip(self.cases, self._told, told, strict=True):
                for fault in (*_value_faults(case, wanted.values, met.values), *self._sign_faults(met.signs)):
                    faults.setdefault(fault)
                if words.setdefault(wanted.words, met.words) != met.words:
                    faults.setdefault(_separation_fault(words[wanted.words], met.words))
                if back.setdefault(met.words, wanted.words) != wanted.words:
                    faults.setdefault(_together(back[met.words], wanted.words))
                if len(faults) >= MAX_FAULTS:
                    break
        except (NotInLanguage, TooLarge) as error:
            faults.setdefault(f"It cannot tell a case that the original tells: {error}.")
        return list(faults)


def _tell_cases(tree: Template, cases: Iterable[ComparedCase], key: bytes) -> Iterator[Wording]:
    interpreter = TracingInterpreter(tree, key)
    for case in cases:
        text, spans = interpreter.trace_text(case.draw_id, case.names)
        values: dict[ValueKey, TextSpan] = {}
        words: list[str] = []
        signs: set[str] = set()
        for span in spans:
            part = " ".join(text[span.begin : span.end].split())
            if span.origins:
                values.setdefault((span.origins, part.casefold()), span)
                continue
            if span.expression is not None:
                signs.update(_signs_in(part))
            if part and (span.expression is None or span.deciding):  # what `choose` draws says nothing of the case
                words.append(part)
        yield Wording(values, tuple(words), frozenset(signs))


def _value_faults(
    case: ComparedCase, wanted: Mapping[ValueKey, TextSpan], met: Mapping[ValueKey, TextSpan]
) -> Iterator[str]:
    for key in wanted.keys() - met.keys():
        yield f"In case {case.case_id} it does not print {_shown(wanted[key], key)}, which the original prints there."
    for key in met.keys() - wanted.keys():
        yield f"In case {case.case_id} it prints {_shown(met[key], key)}, which the original does not print there."


def _shown(span: TextSpan, key: ValueKey) -> str:
    return f"`{{{{ {(span.expression or '').strip()} }}}}` (as “{key[1][:80]}”)"


def _separation_fault(first: tuple[str, ...], second: tuple[str, ...]) -> str:
    one, other = _difference(first, second)
    return f"It tells apart what the original tells in the same words: once “{one}”, once “{other}”."


def _together(first: tuple[str, ...], second: tuple[str, ...]) -> str:
    one, other = _difference(first, second)
    return f"It tells in the same words what the original tells apart: once “{one}”, once “{other}”."


def _difference(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, str]:
    """Return the first words that differ, of two lists that do."""
    place = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    one, other = (words[place][:120] if place < len(words) else "" for words in (first, second))
    return one, other


def _join_paths(paths: Iterable[tuple[str, ...]]) -> str:
    return ", ".join(f"`{'.'.join(step for step in path if step not in ('#', '~'))}`" for path in sorted(paths)[:8])


def _signs_of(tree: Template) -> frozenset[str]:
    """Return what stands in the words of a template and could say something: its numbers, and its uncommon signs."""
    return frozenset(sign for text in _texts(tree) for sign in _signs_in(text))


def _signs_in(text: str) -> Iterator[str]:
    yield from re.findall(r"\d+", text)
    yield from (sign for sign in text if not _is_common(sign))


def _is_common(sign: str) -> bool:
    category = unicodedata.category(sign)
    return sign in _COMMON_SIGNS or category[0] in "LM" or category == "Nd" or category in _COMMON_CATEGORIES


def _texts(tree: Template) -> Iterator[str]:
    """Yield the texts that a template may print as they stand; what filters make of arguments is seen in cases."""
    calls = [part for part in tree_parts(tree) if isinstance(part, ast.FilterCall)]
    arguments = {id(part) for call in calls for part in (*call.arguments, *(value for _, value in call.named))}
    for part in tree_parts(tree):
        if isinstance(part, ast.TemplateText):
            yield part.text
        elif isinstance(part, ast.Literal) and isinstance(part.value, str) and id(part) not in arguments:
            yield part.value


def tree_parts(part: object) -> Iterator[object]:
    """Yield every node of a typed tree, with those of its partials."""
    if isinstance(part, tuple):
        for item in part:
            yield from tree_parts(item)
    elif is_dataclass(part) and not isinstance(part, Location | StaticValue):
        yield part
        for inner in vars(part).values():
            yield from tree_parts(inner)
