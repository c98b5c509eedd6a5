"""Filters of texts: upper, lower, capitalize, title, initials, trim and replace.

Case is Unicode's simple mapping, one letter for one: an engine knows no other.
"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from storymesh.errors import TooLarge
from storymesh.language.evaluate import MAX_TEXT
from storymesh.language.filters.base import CheckedCall, Filter, Parameter, SizedCall, TextFilter
from storymesh.language.sizes import ONE, Size, constant
from storymesh.language.static_values import ANYTHING, StaticValue, a_kind, higher
from storymesh.language.types import Text

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall

# What Python's `str.strip` and `str.split` take for white space.
WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())


def upper(text: str) -> str:
    """Return a text in capital letters; `ß` is `ẞ`."""
    return "".join(map(_capital, text))


def _capital(letter: str) -> str:
    for mapped in (letter.upper(), letter.title()):
        if len(mapped) == 1:
            return mapped
    return "ẞ" if letter == "ß" else letter


def lower(text: str) -> str:
    """Return a text in small letters, wherever in a word they stand."""
    return "".join(letter.lower()[0] for letter in text)


def capitalize(text: str) -> str:
    return upper(text[:1]) + lower(text[1:])


class LetterCaseFilter(TextFilter):
    """A filter that gives the same letters, in capitals or not."""

    def codes(self, call: CheckedCall) -> frozenset[str | int | float] | None:
        return frozenset(map(self.evaluate, call.base.codes)) if call.base.codes else None


class UpperFilter(LetterCaseFilter):
    name = "upper"
    summary = "capital letters"
    example = ('"suez" | upper', "SUEZ")

    def evaluate(self, text: str, /) -> str:
        return upper(text)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        return call.base.upper()


class LowerFilter(LetterCaseFilter):
    name = "lower"
    summary = "small letters"
    example = ('"SUEZ" | lower', "suez")

    def evaluate(self, text: str, /) -> str:
        return lower(text)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        return call.base.lower()


class CapitalizeFilter(LetterCaseFilter):
    name = "capitalize"
    summary = "the first letter capital, the others small"
    example = ('"suez CANAL" | capitalize', "Suez canal")

    def evaluate(self, text: str, /) -> str:
        return capitalize(text)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.engine import dialect

        return dialect.substring(call.base, 0, 1).upper().concat(dialect.substring(call.base, 1).lower())


class TitleFilter(LetterCaseFilter):
    """Words begin at the start, and after white space of ASCII, a hyphen or an opening bracket."""

    name = "title"
    summary = "the first letter of each word capital, the others small"
    example = ('"suez canal" | title', "Suez Canal")

    def evaluate(self, text: str, /) -> str:
        parts = re.split(r"([-\s({\[<]+)", text, flags=re.ASCII)
        return "".join(capitalize(part) for part in parts)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        import ibis

        from storymesh.engine import dialect

        letters = dialect.characters(call.base)

        def cased(letter: "ir.StringValue", place: "ir.IntegerValue") -> "ir.StringValue":
            before = dialect.item_at(letters, place - 1)
            begins = (place == 0) | before.re_search(r"[-\s({\[<]")
            return ibis.ifelse(begins, letter.upper(), letter.lower())

        return dialect.concat_items(dialect.map_indexed(letters, cased))


class InitialsFilter(TextFilter):
    """Words are runs without white space."""

    name = "initials"
    summary = "the first letter of each word, in capitals"
    example = ('"ann van dijk" | initials', "AVD")
    keeps_unprintable = False

    def evaluate(self, text: str, /) -> str:
        return "".join(upper(word[0]) for word in text.split())

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.engine import dialect

        # Of an empty word, at the ends, there is no first letter.
        words = call.base.re_split(f"[{WHITE_SPACE}]+")
        return dialect.concat_items(dialect.map_items(words, lambda word: dialect.substring(word, 0, 1).upper()))


class TrimFilter(TextFilter):
    name = "trim"
    summary = "without white space at both ends"
    example = ('" a " | trim', "a")

    def evaluate(self, text: str, /) -> str:
        return text.strip()

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.engine import dialect

        return dialect.strip_characters(call.base, WHITE_SPACE)


class ReplaceFilter(Filter):
    """An empty text stands nowhere, so that nothing is put in its place."""

    name = "replace"
    accepts = (Text,)
    wants = "a text"
    summary = "every occurrence of a text by another"
    example = ('"a-b" | replace("-", " ")', "a b")
    parameters = (Parameter("old", True), Parameter("new", True))
    builds_text = True

    def infer(self, call: CheckedCall) -> StaticValue:
        result = call.result(Text())
        for argument in call.arguments.values():
            value = call.checker.value(argument)
            if not isinstance(value.type, Text) and value.type is not ANYTHING:
                words = f"`replace` wants texts, {value.words or 'this'} is {a_kind(value.type)}"
                return call.fail(words, at=argument)
            call.checker.present(argument, value, "given to `replace`")
            result = replace(
                result,
                nullable=result.nullable or (value.nullable and not call.checker.strict),
                classification=higher(result.classification, value),
                paths=result.paths | value.paths,
            )
        return result

    def estimate_size(self, call: SizedCall) -> Size:
        before, new = call.base.characters, call.literal("new")
        if new is None:
            return Size(ONE, before + before * call.sizes["new"].characters)
        times = -(-len(new) // max(1, len(call.literal("old") or "")))
        return Size(ONE, before * constant(max(1, times)))  # by less than was there, it does not grow

    def evaluate(self, text: str, /, old: str, new: str) -> str:
        if len(text) + text.count(old) * len(new) > MAX_TEXT:
            raise TooLarge(f"a text grew past {MAX_TEXT // 2**20} MiB", "replace less")
        return text.replace(old, new) if old else text

    def compile(self, call: "CompiledCall") -> "ir.Value":
        import ibis

        old = call.value("old")
        return ibis.ifelse(old == "", call.base, call.base.replace(old, call.value("new")))
