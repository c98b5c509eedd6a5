"""One case's text by plain sandboxed Jinja2: for preview, for trace, and as the oracle of the compiler.

Templates are untrusted. The sandbox sees dictionaries and values only: no attribute of a Python object can be reached
but those of `loop`, no call but `choose`, and a text that grows past its bound stops.
"""

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Undefined, nodes
from jinja2.exceptions import TemplateError, TemplateNotFound
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language.filters import FILTERS, chosen, pseudonym
from storymesh.language.syntax import PositionedEnvironment, choose_places, position_of
from storymesh.location import Location

MAX_OUTPUT = 1024 * 1024
_LOOP_NAMES = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})


class Day(datetime):
    """A date as the language has it: it compares as its midnight and prints as a date."""

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}-{self.day:02d}"


def as_value(value: Any) -> Any:
    """A value of Arrow's `to_pylist` as the interpreter takes it."""
    match value:
        case datetime():
            return value
        case date():
            return Day(value.year, value.month, value.day)
        case dict():
            return {name: as_value(item) for name, item in value.items()}
        case list():
            return [as_value(item) for item in value]
        case _:
            return value


class Interpreter:
    """Renders the templates of one folder. `labels` and `replaced` are what the checker found out about them."""

    def __init__(
        self,
        templates: Mapping[str, str],
        folder: str,
        labels: Mapping[Location, Mapping[str, str]],
        replaced: frozenset[Location],
        key: bytes,
    ) -> None:
        self._environment = _Sandbox(templates, folder, labels, replaced, key)

    def render(self, template: str, case_id: str, names: Mapping[str, Any]) -> str:
        """The text of one case. Raises NotInLanguage for a value that cannot be printed, TooLarge past the bound."""
        options = {"choose": partial(_choose, case_id)}
        parts: list[str] = []
        size = 0
        try:
            for part in self._environment.get_template(template).generate({**names, **options}):
                parts.append(part)
                size += len(part)
                if size > MAX_OUTPUT:
                    raise TooLarge(f"the text of {case_id} is longer than {MAX_OUTPUT // 1024} KiB", "print less")
        except TemplateError as error:
            raise NotInLanguage(f"{template} of {case_id}: {error.message}") from None
        return "".join(parts)


def _choose(case_id: str, template: str, place: int, *options: str) -> str:
    return options[chosen(options, case_id, template, place)]


class _Sandbox(PositionedEnvironment, ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(
        self,
        templates: Mapping[str, str],
        folder: str,
        labels: Mapping[Location, Mapping[str, str]],
        replaced: frozenset[Location],
        key: bytes,
    ) -> None:
        super().__init__(undefined=StrictUndefined, loader=_Folder(templates))
        self.cache = {}
        self._folder = folder
        self._labels = labels
        self._replaced = replaced
        self.globals = {}
        self.filters = {name: signature.function for name, signature in FILTERS.items()}
        self.filters["pseudonym"] = partial(pseudonym, key=key)
        self.tests = {
            "none": lambda value: value is None,
            "defined": lambda value: not isinstance(value, Undefined),
            "true": lambda value: value is True,
            "false": lambda value: value is False,
        }

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        rewriting = _Rewriting(f"{self._folder}/{name}", name or "", choose_places(tree), self._labels, self._replaced)
        rewritten: nodes.Template = rewriting.visit(tree)
        return rewritten

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, LoopContext) and attribute in _LOOP_NAMES:
            return getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        return calculate(operator, left, right)


def calculate(operator: str, left: Any, right: Any) -> int | float | Decimal | None:
    """Arithmetic of the language: decimals stay exact, integers have 64 bits, `/` is IEEE 754's division of floats,
    `//` and `%` of integers round down and are null for a divisor of zero."""
    if operator == "/" or isinstance(left, float) or isinstance(right, float):
        left, right = float(left), float(right)
    result: int | float | Decimal
    match operator:
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case "/":
            return _quotient(left, right)
        case "//":
            return left // right if right else None
        case _:
            return left % right if right else None
    if isinstance(result, int) and abs(result) >= 2**63:
        raise NotInLanguage("a whole number grew past 64 bits")
    return result


def _quotient(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)


class _Folder(BaseLoader):
    def __init__(self, templates: Mapping[str, str]) -> None:
        self._templates = templates

    def get_source(self, environment: Any, template: str) -> tuple[str, str, Any]:
        if template not in self._templates:
            raise TemplateNotFound(template)
        return self._templates[template], template, lambda: True


class _Rewriting(NodeTransformer):
    """Puts into Jinja's tree what only the checker and the file know: labels, and the place of each choose."""

    def __init__(
        self,
        path: str,
        template: str,
        places: Mapping[tuple[int, int], int],
        labels: Mapping[Location, Mapping[str, str]],
        replaced: frozenset[Location],
    ) -> None:
        self.path = path
        self.template = template
        self.places = places
        self.labels = labels
        self.replaced = replaced

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.Filter)
        at = Location(self.path, *position_of(node))
        if node.name == "label":
            rewritten.args = [nodes.Const(dict(self.labels.get(at, {})))]
        if node.name == "pseudonym" and at in self.replaced and rewritten.node is not None:
            return rewritten.node
        return rewritten

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        place = self.places.get(position_of(node))
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.Call)
        if place is not None:
            rewritten.args = [nodes.Const(self.template), nodes.Const(place), *rewritten.args]
        return rewritten
