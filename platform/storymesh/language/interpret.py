"""One case's text by plain sandboxed Jinja2: for preview, for trace, and as the oracle of the compiler.

Templates are untrusted. What is not in the language is refused before Jinja compiles it. The sandbox sees rows and
values only: no attribute of a Python object can be reached but those of `loop`, no call but `choose`. Every loop and
every list costs steps, of which a text has a fixed number, so that the same text stops at the same place everywhere.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import TemplateError, TemplateNotFound
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language.filters import EXACT, FILTERS, chosen, compared, printed, pseudonym, whole
from storymesh.language.parse import COMPARISONS, PositionedEnvironment, choose_places, parse_template, position_of
from storymesh.language.typecheck.static_values import Casts
from storymesh.language.types import Array
from storymesh.language.types import Decimal as DecimalType
from storymesh.location import Location

MAX_OUTPUT = 1024 * 1024
MAX_STEPS = 2_000_000
_LOOP_NAMES = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})


class Row(dict[str, Any]):
    """A row that is there counts as true, whichever of its properties were read."""

    def __bool__(self) -> bool:
        return True


class Day(datetime):
    """A date as the language has it: it compares as its midnight and prints as a date."""

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}-{self.day:02d}"


def as_value(value: Any) -> Any:
    """A value of Arrow's `to_pylist` as the interpreter takes it."""
    match value:
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
        case date():
            return Day(value.year, value.month, value.day)
        case dict():
            return Row({name: as_value(item) for name, item in value.items()})
        case list():
            return [as_value(item) for item in value]
        case _:
            return value


class Interpreter:
    """Renders the templates of one folder. `labels`, `replaced` and `casts` are what the checker found out of them."""

    def __init__(
        self,
        templates: Mapping[str, str],
        folder: str,
        labels: Mapping[Location, Mapping[str, str]],
        replaced: frozenset[Location],
        key: bytes,
        casts: Casts = MappingProxyType({}),
    ) -> None:
        self._environment = self._sandbox(templates, folder, labels, replaced, key, casts)

    @staticmethod
    def _sandbox(*given: Any) -> "Sandbox":
        return Sandbox(*given)

    def render(self, template: str, case_id: str, names: Mapping[str, Any]) -> str:
        """The text of one case; `names` are values as `as_value` gives them.

        Raises NotInLanguage for a value that cannot be printed, TooLarge past a bound, DefinitionErrors for what is no
        template of the language.
        """
        options = {"choose": partial(_choose, case_id), STEPS: Steps(MAX_STEPS)}
        return "".join(self._parts(template, case_id, {**names, **options}))

    def _parts(self, template: str, case_id: str, names: Mapping[str, Any]) -> Iterator[str]:
        """The text as Jinja gives it: each stretch of words and each printed value is one part."""
        size = 0
        try:
            for part in self._environment.get_template(template).generate(names):
                size += len(part)
                if size > MAX_OUTPUT:
                    raise TooLarge(f"the text of {case_id} is longer than {MAX_OUTPUT // 1024} KiB", "print less")
                yield part
        except TemplateError as error:
            raise NotInLanguage(f"{template} of {case_id}: {error.message}") from None
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise NotInLanguage(f"{template} of {case_id}: {error}") from error
        except RecursionError:
            raise TooLarge(f"{template} of {case_id} is nested too deep", "include less") from None

    def value(self, template: str, name: str, names: Mapping[str, Any]) -> Any:
        """The value that a template's `set` gives to `name`, for facts of one case and as the compiler's oracle."""
        module = self._environment.get_template(template).make_module({**names, STEPS: Steps(MAX_STEPS)})
        return getattr(module, name)


def _choose(case_id: str, template: str, place: int, *options: Any) -> str:
    return printed(options[chosen(options, case_id, template, place)])


STEPS = " steps"  # no template can spell a name with a space


class Steps:
    """What one text may still do. It is counted, never timed."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise TooLarge(f"the text takes more than {MAX_STEPS:,} steps", "loop over less")


@pass_context
def _stepwise(jinja: Context, items: Any, cost: int) -> Iterator[Any]:
    steps = jinja.resolve(STEPS)
    for item in items:
        steps.take(cost)
        yield item


@pass_context
def _counted(jinja: Context, nothing: str, cost: int) -> str:
    jinja.resolve(STEPS).take(cost)
    return nothing


def _of_list(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of lists that takes a step for each item, and refuses what is no list."""

    @pass_context
    def counting(jinja: Context, items: Any, *arguments: Any, **named: Any) -> Any:
        if not isinstance(items, list | str):
            raise NotInLanguage(f"a list was wanted, a {type(items).__name__} was met")
        jinja.resolve(STEPS).take(len(items))
        return bounded(function(items, *arguments, **named))

    return counting


def bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_OUTPUT:
        raise TooLarge(f"a text grew past {MAX_OUTPUT // 1024} KiB", "join less")
    return value


def _replaced(text: str, old: str, new: str) -> str:
    if len(text) + text.count(old) * len(new) > MAX_OUTPUT:
        raise TooLarge(f"a text grew past {MAX_OUTPUT // 1024} KiB", "replace less")
    return str(FILTERS["replace"].function(text, old, new))


def _concatenated(*parts: Any) -> str:
    texts = [printed(part) for part in parts]
    if sum(map(len, texts)) > MAX_OUTPUT:
        raise TooLarge(f"a text grew past {MAX_OUTPUT // 1024} KiB", "join less")
    return "".join(texts)


def _compared(left: Any, operator: str, right: Any) -> bool:
    return compared(COMPARISONS[operator], left, right)


def _cast(value: Any, scale: int | None) -> Any:
    """A number as the float or the decimal that stands in this place."""
    if value is None:
        return None
    return float(value) if scale is None else EXACT.quantize(Decimal(value), Decimal(1).scaleb(-scale))


class Sandbox(PositionedEnvironment, ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(
        self,
        templates: Mapping[str, str],
        folder: str,
        labels: Mapping[Location, Mapping[str, str]],
        replaced: frozenset[Location],
        key: bytes,
        casts: Casts,
    ) -> None:
        super().__init__(undefined=StrictUndefined, loader=_Folder(templates), finalize=printed)
        self.cache = {}
        self._folder = folder
        self._labels = labels
        self._replaced = replaced
        self._casts = casts
        self.globals = {}
        self.filters = {
            name: _of_list(signature.function) if Array in signature.takes else signature.function
            for name, signature in FILTERS.items()
        }
        self.filters["pseudonym"] = partial(pseudonym, key=key)
        self.filters["replace"] = _replaced
        # What the rewriting puts into the tree; no template can spell these.
        self.filters[STEPS] = _stepwise
        self.filters[" counted"] = _counted
        self.filters[" concatenated"] = _concatenated
        self.filters[" compared"] = _compared
        self.filters[" cast"] = _cast
        self.tests = {
            "none": lambda value: value is None,
            "defined": lambda value: not isinstance(value, Undefined),
            "true": lambda value: value is True,
            "false": lambda value: value is False,
        }

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        path = f"{self._folder}/{name}"
        parse_template(source, name or "", path)
        tree = super()._parse(source, name, filename)
        rewritten: nodes.Template = self._rewriting(path, name or "", source, tree).visit(tree)
        return rewritten

    def _rewriting(self, path: str, name: str, source: str, tree: nodes.Template) -> "Rewriting":
        return Rewriting(path, name, choose_places(tree), self._labels, self._replaced, self._casts)

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

    def call_unop(self, context: Any, operator: str, arg: Any) -> Any:
        return negative(arg) if operator == "-" else calculate("+", arg, 0)


Number = int | float | Decimal


def calculate(operator: str, left: Any, right: Any) -> Number | None:
    """Arithmetic of the language: decimals stay exact, integers have 64 bits, `/` is IEEE 754's division of floats,
    `//` and `%` of integers round down and are null for a divisor of zero."""
    for operand in (left, right):
        if isinstance(operand, bool) or not isinstance(operand, Number):
            raise NotInLanguage(f"`{operator}` wants numbers, a {type(operand).__name__} was met")
    if operator == "/" or isinstance(left, float) or isinstance(right, float):
        left, right = float(left), float(right)
    exact = isinstance(left, Decimal) or isinstance(right, Decimal)
    result: int | float | Decimal
    match operator:
        case "+":
            result = EXACT.add(left, right) if exact else left + right
        case "-":
            result = EXACT.subtract(left, right) if exact else left - right
        case "*":
            result = EXACT.multiply(_factor(left), _factor(right)) if exact else left * right
        case "/":
            return _quotient(left, right)
        case "//" if not exact:
            return whole(left // right) if right else None
        case "%" if not exact:
            return whole(left % right) if right else None
        case _:
            raise NotInLanguage(f"`{operator}` is not in the language")
    match result:
        case int():
            return whole(result)
        case Decimal():
            return _fitting(result)
        case _:
            return float(result)


def negative(value: Any) -> Number:
    """`-value`; a float keeps its minus zero, which nothing prints."""
    return -value if isinstance(value, float) else calculate("-", 0, value)  # type: ignore[return-value]


def _factor(value: int | Decimal) -> Decimal:
    """A factor of at most 19 digits, so that a product has at most 38: engines have no wider decimals."""
    factor = Decimal(value)
    digits, behind = _digits(factor)
    if digits > 19 or behind > 19:
        raise NotInLanguage("a decimal grew past 38 digits")
    return factor


def _fitting(result: Decimal) -> Decimal:
    """A decimal of at most 38 digits, 37 of them behind the point; zero has no sign."""
    if _digits(result)[1] > 37:
        result = EXACT.quantize(result, Decimal(1).scaleb(-37))
    if _digits(result)[0] > 38:
        raise NotInLanguage("a decimal grew past 38 digits")
    return EXACT.add(result, 0)


def _digits(value: Decimal) -> tuple[int, int]:
    """How many digits a finite decimal takes when it is written out, and how many of them behind the point."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return len(digits) + max(exponent, 0), max(-exponent, 0)


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


class Rewriting(NodeTransformer):
    """Puts into Jinja's tree what only the checker and the file know: labels, and the place of each choose."""

    def __init__(
        self,
        path: str,
        template: str,
        places: Mapping[tuple[int, int], int],
        labels: Mapping[Location, Mapping[str, str]],
        replaced: frozenset[Location],
        casts: Casts,
    ) -> None:
        self.path = path
        self.template = template
        self.places = places
        self.labels = labels
        self.replaced = replaced
        self.casts = casts

    def visit_Template(self, node: nodes.Template) -> nodes.Node:
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.Template)
        cost = sum(1 for _ in node.find_all(nodes.Node))
        counted = filtered(nodes.Const("", lineno=node.lineno), " counted", nodes.Const(cost, lineno=node.lineno))
        rewritten.body = [nodes.Output([counted], lineno=node.lineno), *rewritten.body]
        return rewritten

    def visit_For(self, node: nodes.For) -> nodes.Node:
        cost = 1 + sum(1 for part in node.body for _ in part.find_all(nodes.Node))
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.For)
        rewritten.iter = filtered(rewritten.iter, STEPS, nodes.Const(cost, lineno=node.lineno))
        return rewritten

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.Compare)
        left = rewritten.expr
        whole_chain: nodes.Expr | None = None
        for operand in rewritten.ops:
            one = filtered(left, " compared", nodes.Const(operand.op, lineno=node.lineno), operand.expr)
            whole_chain = one if whole_chain is None else nodes.And(whole_chain, one, lineno=node.lineno)
            left = operand.expr
        assert whole_chain is not None
        return whole_chain

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.Concat)
        return filtered(rewritten.nodes[0], " concatenated", *rewritten.nodes[1:])

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:
        return self._cast(node, "Conditional")

    def visit_And(self, node: nodes.And) -> nodes.Node:
        return self._cast(node, "And")

    def visit_Or(self, node: nodes.Or) -> nodes.Node:
        return self._cast(node, "Or")

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self._list(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self._list(node)

    def _list(self, node: nodes.List | nodes.Tuple) -> nodes.Node:
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.List | nodes.Tuple)
        scale = self._scale(node, "ListLiteral")
        items = rewritten.items if scale is None else [filtered(item, " cast", scale) for item in rewritten.items]
        return nodes.List(items, lineno=node.lineno)

    def _cast(self, node: nodes.Expr, kind: str) -> nodes.Node:
        rewritten = self.generic_visit(node)
        scale = self._scale(node, kind)
        return rewritten if scale is None else filtered(rewritten, " cast", scale)

    def _scale(self, node: nodes.Node, kind: str) -> nodes.Const | None:
        """What `_cast` takes where the checker found that numbers of two kinds meet: a scale, or none for floats."""
        type_ = self.casts.get((Location(self.path, *position_of(node)), kind))
        if type_ is None:
            return None
        return nodes.Const(type_.scale if isinstance(type_, DecimalType) else None, lineno=node.lineno)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        rewritten = self._cast(node, "FilterCall")
        assert isinstance(rewritten, nodes.Filter)
        if rewritten.name == " cast":
            return rewritten
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


def filtered(value: nodes.Node | None, name: str, *arguments: nodes.Node) -> nodes.Filter:
    assert value is not None
    return nodes.Filter(value, name, list(arguments), [], None, None, lineno=value.lineno)
