"""Filters about null, codes and persons: default, label and pseudonym."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from storymesh.errors import NotInLanguage
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.evaluate import as_text
from storymesh.language.filters.base import CheckedCall, Filter, Origins, Parameter, SizedCall, TextFilter
from storymesh.language.sizes import ONE, PRINTED, Size, constant
from storymesh.language.static_values import ANYTHING, StaticValue, a_kind
from storymesh.language.types import Decimal, Float, Integer, Text, Type

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall


class DefaultFilter(Filter):
    name = "default"
    wants = "anything"
    summary = "another value where this one is null; with `true` behind it, also where it is empty, zero or false"
    example = ('none | default("none known")', "none known")
    parameters = (Parameter("value", True),)
    origins = Origins.FIRST_PRESENT
    takes_null = True

    def infer(self, call: CheckedCall) -> StaticValue:
        argument = call.arguments["value"]
        fallback = call.checker.value(argument)
        if fallback.type is ANYTHING:
            return fallback
        joined = call.checker.joined(call.base, fallback)
        if joined is None:
            words = f"{call.base.words or 'this'} is {a_kind(call.base.type)}, its default is {a_kind(fallback.type)}"
            return call.fail(words, "give it the same type", argument)
        return replace(joined, nullable=fallback.nullable)

    def estimate_size(self, call: SizedCall) -> Size:
        return call.base.merged(call.sizes["value"])

    def evaluate(self, given: Any, /, value: Any) -> Any:
        return value if given is None else given

    def compile(self, call: "CompiledCall") -> "ir.Value":
        return call.compiler.either(call.base.notnull(), call.base, call.value("value"))

    def result_cast(self, node: ast.FilterCall) -> Type | None:
        return node.typed.type if node.static is not None and isinstance(node.static.type, Float | Decimal) else None

    def blamable_parts(self, node: ast.FilterCall, value: StaticValue) -> tuple[Expression, ...]:
        parts = super().blamable_parts(node, value)
        return parts[1:] if value.nullable else parts


class LabelFilter(TextFilter):
    name = "label"
    wants = "a code with labels"
    summary = "the label that the contract's enum gives a code"
    example = ("delay.waterway | label", "Suez Canal")

    def infer(self, call: CheckedCall) -> StaticValue:
        if not _labels(call.base):
            hint = "put `label` where the code still has them, or give the property an `enum` with labels"
            return call.fail(f"{call.base.words or 'this'} has no labels", hint)
        return super().infer(call)

    def codes(self, call: CheckedCall) -> frozenset[str | int | float] | None:
        labels = _labels(call.base)
        return frozenset(labels.get(str(code), code) for code in call.base.codes) if call.base.codes else None

    def estimate_size(self, call: SizedCall) -> Size:
        longest = max(map(len, _labels(call.node.base.typed).values()), default=0)
        return Size(ONE, constant(longest) + call.base.characters)

    def evaluate(self, code: str, /, labels: Mapping[str, str]) -> str:
        return labels.get(code, code)

    def bound_arguments(self, node: ast.FilterCall) -> tuple[Any, ...]:
        return (dict(_labels(node.base.static)),)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        labels = _labels(call.node.base.typed)
        return call.base.cases(*labels.items(), else_=call.base)


def _labels(value: StaticValue | None) -> Mapping[str, str]:
    return value.type.labels if value is not None and isinstance(value.type, Text) else {}


class PseudonymFilter(TextFilter):
    """`p-` and 12 hex digits of SHA-256(key, `|`, value). What the data holds as its pseudonym stays as it is."""

    name = "pseudonym"
    accepts = (Text, Integer)
    wants = "a text or an integer"
    summary = "a stable stand-in that does not lead back without the key"
    example = ("shipment.consignee | pseudonym", "p-9994b5c4dbba")
    origins = Origins.PSEUDONYM
    needs_key = True
    wants_property = True

    def infer(self, call: CheckedCall) -> StaticValue:
        base = call.base
        if not base.paths or base.written:
            words = "the pseudonym of what is written out tells which records are about it"
            hint = "a pseudonym is of a property: where it may be null, put it behind `if … is not none`"
            return call.fail(words, hint, rule="restricted")
        paths = base.paths if base.pseudonym else frozenset((*path, "~") for path in base.paths)
        return replace(super().infer(call), classification="public", paths=paths)

    def estimate_size(self, call: SizedCall) -> Size:
        return Size(ONE, constant(PRINTED))

    def evaluate(self, value: Any, /, *, key: bytes) -> str:
        return "p-" + hashlib.sha256(key + b"|" + as_text(value).encode()).hexdigest()[:12]

    def is_identity(self, node: ast.FilterCall) -> bool:
        return node.base.static is not None and node.base.static.pseudonym

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.language.compile.values import pseudonym

        if call.compiler.key is None:
            raise NotInLanguage("pseudonym stands in templates only")
        return pseudonym(call.base, call.compiler.key)
