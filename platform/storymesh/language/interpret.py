"""One case's text by plain sandboxed Jinja2: for preview, for trace, and as the oracle of the compiler.

Templates are untrusted. What is not in the language is refused when it is parsed. The sandbox sees rows and values
only: no attribute of a Python object can be reached but those of `loop`, no call but `choose`. Every loop and every
list costs steps, of which a text has a fixed number, so that the same text stops at the same place everywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, pass_context
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import TemplateError, TemplateNotFound
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language import ast
from storymesh.language.ast import Template
from storymesh.language.bounds import MAX_STEPS
from storymesh.language.evaluate import (
    EXACT,
    MAX_OUTPUT,
    MAX_TEXT,
    TESTS,
    as_text,
    bounded,
    calculate,
    compare,
    draw_option,
    fitting,
    negative,
)
from storymesh.language.filters.base import Filter
from storymesh.language.filters.registry import FILTERS
from storymesh.language.jinja_nodes import CAST, COMPARE, CONCAT, COST, DRAW, STEPWISE, JinjaWriter
from storymesh.language.types import Array
from storymesh.language.variants import drawn_template

CHECKED_STEPS = 20  # times MAX_STEPS: of a typed template the bound was held before, by `language.bounds`
STEPS, CASE_ID = " steps", " case id"  # no template can spell a name with a space
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
    """Return a value of Arrow's `to_pylist` as the interpreter takes it."""
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
    """Renders one typed template; `key` is that of its pseudonyms."""

    def __init__(self, template: Template, key: bytes) -> None:
        self._template = template
        self._sandbox = self._make_sandbox(template, key)
        self._times = CHECKED_STEPS if _is_typed(template) else 1

    def _make_sandbox(self, template: Template, key: bytes) -> "Sandbox":
        return Sandbox(template, key)

    def _new_steps(self) -> "Steps":
        return Steps(MAX_STEPS * self._times)

    def render(self, case_id: str, names: Mapping[str, Any]) -> str:
        """Return the text of one case; `names` are values as `as_value` gives them.

        Raises NotInLanguage for a value that cannot be printed, TooLarge past a bound.
        """
        options = {"choose": partial(_choose, case_id), STEPS: self._new_steps(), CASE_ID: case_id}
        return "".join(self._parts(case_id, {**names, **options}))

    def _parts(self, case_id: str, names: Mapping[str, Any]) -> Iterator[str]:
        """Yield the text as Jinja gives it: each stretch of the template's text and each printed value is one part."""
        size, template = 0, self._template.name
        try:
            for part in self._sandbox.get_template(template).generate(names):
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

    def value(self, name: str, names: Mapping[str, Any]) -> Any:
        """Return the value that the template's `set` gives to `name`, for facts of one case."""
        options = {STEPS: self._new_steps()}
        return getattr(self._sandbox.get_template(self._template.name).make_module({**names, **options}), name)


def _is_typed(template: Template) -> bool:
    """Return True if the checker has been over a template, so that its cost is known before it is rendered."""
    seen: set[int] = set()
    left: list[Template] = [template]
    while left:
        for statement in left.pop().body:
            match statement:
                case ast.Output(value=value) | ast.Assign(value=value) | ast.If(test=value) | ast.For(items=value):
                    return value.static is not None
                case ast.Include(partial=partial) if partial is not None and id(partial) not in seen:
                    seen.add(id(partial))
                    left.append(partial)
                case ast.Draw():
                    left.extend(statement.templates)
    return False  # nothing but text


def _choose(case_id: str, template: str, place: int, *options: Any) -> str:
    return as_text(options[draw_option(options, case_id, template, place)])


class Steps:
    """What one text may still do. It is counted, never timed."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int) -> None:
        """Take some steps. Raises TooLarge where there are not so many left."""
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
def _cost(jinja: Context, nothing: str, cost: int) -> str:
    jinja.resolve(STEPS).take(cost)
    return nothing


@pass_context
def _draw(jinja: Context, partials: tuple[str, ...], place: str, names: tuple[str, ...]) -> str:
    return partials[drawn_template(str(jinja.resolve(CASE_ID)), place, names)]


def _of_list(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter of lists that takes a step for each item, and refuses what is no list."""

    @pass_context
    def counting(jinja: Context, items: Any, *arguments: Any, **named: Any) -> Any:
        if not isinstance(items, list | str):
            raise NotInLanguage(f"a list was wanted, a {type(items).__name__} was met")
        jinja.resolve(STEPS).take(len(items))
        return bounded(function(items, *arguments, **named))

    return counting


def _concat(*parts: Any) -> str:
    texts = [as_text(part) for part in parts]
    if sum(map(len, texts)) > MAX_TEXT:
        raise TooLarge(f"a text grew past {MAX_TEXT // 2**20} MiB", "join less")
    return "".join(texts)


def _compare(left: Any, operator: str, right: Any) -> bool:
    return compare(operator, left, right)


def _cast(value: Any, scale: int | None) -> Any:
    """Return a number as a float, or as a decimal of `scale`."""
    if value is None:
        return None
    return float(value) if scale is None else fitting(EXACT.quantize(Decimal(value), Decimal(1).scaleb(-scale)))


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja with the language's filters and operators, which reaches rows and values only."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self, template: Template, key: bytes) -> None:
        # The tree bounds how many templates there are: each is compiled once.
        options = {"undefined": StrictUndefined, "finalize": as_text, "autoescape": False, "cache_size": -1}
        super().__init__(loader=_TreeLoader(template), **options)
        self.globals = {}
        self.filters = {name: self._function(filter_, key) for name, filter_ in FILTERS.items()}
        self.filters |= {STEPWISE: _stepwise, COST: _cost, CONCAT: _concat, COMPARE: _compare, CAST: _cast}
        self.filters[DRAW] = _draw
        self.tests = dict(TESTS)

    @staticmethod
    def _function(filter_: Filter, key: bytes) -> Callable[..., Any]:
        function = partial(filter_.evaluate, key=key) if filter_.needs_key else filter_.evaluate
        return _of_list(function) if Array in filter_.accepts else function

    def writer(self, name: str) -> JinjaWriter:
        """Return what writes the template `name` as Jinja's nodes."""
        return JinjaWriter(name)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if obj is None:  # null flows through a dot
            return None
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


class _TreeLoader(BaseLoader):
    """Gives Jinja a template and its partials from their trees: nothing is parsed here."""

    def __init__(self, template: Template) -> None:
        self._trees = {template.name: template}

    def load(self, environment: Environment, name: str, globals: Any = None) -> JinjaTemplate:  # noqa: A002 - Jinja's name
        if name not in self._trees:
            raise TemplateNotFound(name)
        assert isinstance(environment, Sandbox)
        writer = environment.writer(name)
        tree = writer.write_template(self._trees[name])
        self._trees |= writer.partials
        tree.set_lineno(1)  # the places are in the tree of the language
        tree.set_environment(environment)
        return JinjaTemplate.from_code(environment, environment.compile(tree, name), globals or {})
