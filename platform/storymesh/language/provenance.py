"""The interpreter with provenance: for each stretch of a text where it stands, what printed it, and from which values.

Every value goes through the template as a `TracedValue`, with the paths that it comes from. All that acts on a value in
the sandbox (properties, filters, operators, comparisons, loops) is one of the sandbox's own hooks, so that tracing
needs no second meaning of the language: each hook calls the interpreter's own function on the bare values and joins
their paths. `and`, `or`, `not` and inline `if` are Python's: they ask a value for its truth, which is recorded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from jinja2 import nodes, pass_context
from jinja2.runtime import Context, LoopContext

from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language import ast
from storymesh.language.ast import Expression, Template
from storymesh.language.evaluate import as_text, bounded, calculate, draw_option, negative
from storymesh.language.filters.base import Filter, Origins
from storymesh.language.filters.registry import FILTERS
from storymesh.language.interpret import CASE_ID, STEPS, Interpreter, Row, Sandbox, Steps
from storymesh.language.jinja_nodes import COST, DRAW, STEPWISE, JinjaWriter, apply_filter
from storymesh.language.traced_values import (
    COUNTED,
    HIDDEN,
    NOWHERE,
    OriginPaths,
    Printed,
    TextSpan,
    TracedValue,
    TraceRecorder,
    bare,
    deciding_of,
    origins_of,
)
from storymesh.language.types import Array
from storymesh.location import Location

_TEXT, _OUTPUT, _CONDITION, _ASSIGNED = " text", " output", " condition", " assigned"
_RECORDER = " recorder"  # no template can spell a name with a space
_ITEM = "item"


class TracedText(NamedTuple):
    """A text and its spans, in order; they cover it."""

    text: str
    spans: tuple[TextSpan, ...]


class TracingInterpreter(Interpreter):
    """An interpreter that traces values. With `propagating`, null propagates, as in the expressions of YAML."""

    def __init__(self, template: Template, key: bytes, *, propagating: bool = False) -> None:
        self._propagating = propagating
        super().__init__(template, key)

    def _make_sandbox(self, template: Template, key: bytes) -> Sandbox:
        return TracingSandbox(template, key, self._propagating)

    def trace_text(self, case_id: str, names: Mapping[str, Any]) -> TracedText:
        """Return what `render` returns, with its spans. Raises as `render` does."""
        recorder = TraceRecorder()
        options = {"choose": partial(_choose, recorder, case_id), STEPS: self._new_steps(), _RECORDER: recorder}
        options[CASE_ID] = case_id
        texts: list[str] = []
        spans: list[TextSpan] = []
        begin = 0
        for text in self._parts(case_id, {**_traced_names(recorder, names), **options}):
            if text:
                spans.append(recorder.take_span(begin, len(text)))
                begin += len(text)
                texts.append(text)
            recorder.printed = None
        return TracedText("".join(texts), tuple(spans))

    def trace_value(self, name: str, names: Mapping[str, Any]) -> "TracedValue":
        """Return the value that the template's `set` gives to `name`. Raises NotInLanguage or TooLarge."""
        recorder = TraceRecorder()
        options = {STEPS: self._new_steps(), _RECORDER: recorder}
        template = self._sandbox.get_template(self._template.name)
        try:
            module = template.make_module({**_traced_names(recorder, names), **options})
        except (NotInLanguage, TooLarge):
            raise
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise NotInLanguage(f"{self._template.name}: {error}") from error
        return recorder.joined(getattr(module, name), NOWHERE, NOWHERE)


def _recorder(jinja: Context) -> TraceRecorder:
    found = jinja.resolve(_RECORDER)
    assert isinstance(found, TraceRecorder)
    return found


def _steps(jinja: Context) -> Steps:
    found = jinja.resolve(STEPS)
    assert isinstance(found, Steps)
    return found


def _traced_names(recorder: TraceRecorder, names: Mapping[str, Any]) -> dict[str, TracedValue]:
    return {name: recorder.traced(value, (name,)) for name, value in names.items()}


def _choose(recorder: TraceRecorder, case_id: str, template: str, place: int, *options: Any) -> TracedValue:
    option = options[draw_option(options, case_id, template, place)]
    return TracedValue(as_text(bare(option)), origins_of([option]), deciding_of([option]), recorder)


class TracingSandbox(Sandbox):
    """The sandbox whose hooks take and give traced values."""

    def __init__(self, template: Template, key: bytes, propagating: bool) -> None:
        super().__init__(template, key)
        self.propagating = propagating
        self.marks: list[tuple[Location, str | None]] = []
        traced = {name: self._traced(filter_, self.filters[name]) for name, filter_ in FILTERS.items()}
        own = {name: self._from_inputs(function) for name, function in self.filters.items() if name not in FILTERS}
        self.filters = {**own, **traced, STEPWISE: _stepwise, **{name: self.filters[name] for name in (COST, DRAW)}}
        self.filters |= {_TEXT: _mark_text, _OUTPUT: _mark_output, _CONDITION: _condition, _ASSIGNED: _assigned}
        self.tests = {name: _traced_test(name, test) for name, test in self.tests.items()}  # type: ignore[arg-type]

    def writer(self, name: str) -> JinjaWriter:
        return _MarkingWriter(name, self.marks)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext):
            return _of_loop(obj, attribute, super().getattr(obj, attribute))
        if not isinstance(obj, TracedValue):
            return super().getattr(obj, attribute)
        if obj.value is None:  # of a list without such a row it has the list's own path, and that has no attributes
            return TracedValue(super().getattr(None, attribute), obj.origins, obj.deciding, obj.recorder)
        steps = frozenset((*path, attribute) for path in obj.origins)
        value = super().getattr(obj.value, attribute)
        if isinstance(value, list) and len(obj.origins) == 1:
            return obj.recorder.traced(value, next(iter(steps)), obj.deciding)
        return TracedValue(value, steps, obj.deciding, obj.recorder)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        return self._computed(context, lambda one, two: calculate(operator, one, two), left, right)

    def call_unop(self, context: Any, operator: str, arg: Any) -> Any:
        return self._computed(context, negative, arg)

    def _computed(self, context: Any, function: Callable[..., Any], *inputs: Any) -> TracedValue:
        null = self.propagating and any(isinstance(value, TracedValue) and value.value is None for value in inputs)
        value = None if null else function(*map(bare, inputs))
        return TracedValue(value, origins_of(inputs), deciding_of(inputs), _recorder(context))

    def _traced(self, filter_: Filter, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a filter on traced values, whose result comes from what the filter says."""
        if Array in filter_.accepts:
            function = filter_.evaluate  # the steps are counted where the items are traced
        match filter_.origins:
            case Origins.INPUTS:
                return self._from_inputs(function, counting=Array in filter_.accepts)
            case Origins.ITEMS:
                return self._picking(filter_)
            case Origins.PROPERTIES:
                return _properties
            case Origins.ITEMS_OR_PROPERTIES:
                return self._gathering(filter_)
            case Origins.COUNT:
                return _length
            case Origins.FIRST_PRESENT:
                return _first_present
            case Origins.PSEUDONYM:
                return self._hiding(function)

    def _from_inputs(self, function: Callable[..., Any], *, counting: bool = False) -> Callable[..., Any]:
        """Return a filter on traced values, whose result comes from all that it was given."""

        @pass_context
        def traced(jinja: Context, *inputs: Any, **named: Any) -> TracedValue:
            if counting and isinstance(inputs[0], TracedValue) and isinstance(inputs[0].value, list):
                _steps(jinja).take(len(inputs[0].value))
            plain = {key: bare(value) for key, value in named.items()}
            found = self._computed(jinja, lambda *values: bounded(function(*values, **plain)), *inputs)
            more = tuple(named.values())
            return found.recorder.joined(found, origins_of(more), deciding_of(more))

        return traced

    def _hiding(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a filter on traced values, of whose inputs nothing is shown."""

        @pass_context
        def hiding(jinja: Context, *inputs: Any) -> TracedValue:
            found = self._computed(jinja, function, *inputs)
            hidden = frozenset((*path, HIDDEN) for path in found.origins)
            return TracedValue(found.value, hidden, found.deciding, found.recorder)

        return hiding

    def _picking(self, filter_: Filter) -> Callable[..., Any]:
        """Return a filter that gives items of its list; a number that each bears through it tells which they were."""
        first = filter_.parameters[0] if filter_.parameters else None
        places_attribute = first is not None and first.name == "attribute" and not first.by_name

        @pass_context
        def picking(jinja: Context, items: Any, *given: Any, **named: Any) -> TracedValue:
            recorder = _recorder(jinja)
            traced = recorder.joined(items, NOWHERE, NOWHERE)
            if traced.value is None and self.propagating:
                return traced
            listed = _items(jinja, traced)
            numbered = [Row({_ITEM: bare(item), "number": number}) for number, item in enumerate(listed)]
            arguments = [bare(value) for value in given]
            named = {name: bare(value) for name, value in named.items()}
            if places_attribute and arguments:
                arguments[0] = f"{_ITEM}.{arguments[0]}"
            elif filter_.parameters:
                named["attribute"] = f"{_ITEM}.{named['attribute']}" if named.get("attribute") else _ITEM
            picked = filter_.evaluate(numbered, *arguments, **named)
            if picked is None:
                return TracedValue(None, traced.origins, traced.deciding, recorder)
            if isinstance(picked, list):
                return TracedValue([listed[row["number"]] for row in picked], traced.origins, traced.deciding, recorder)
            return recorder.joined(listed[picked["number"]], NOWHERE, traced.deciding)

        return picking

    def _gathering(self, filter_: Filter) -> Callable[..., Any]:
        """Return a filter on traced values that may take a property of each item."""
        position = [parameter.name for parameter in filter_.parameters].index("attribute")
        gathered = self._from_inputs(filter_.evaluate, counting=True)

        @pass_context
        def gathering(jinja: Context, items: Any, *given: Any, **named: Any) -> TracedValue:
            attribute = bare(given[position] if len(given) > position else named.get("attribute"))
            if attribute:
                items = _properties(jinja, items, attribute=attribute)
                given, named = given[:position], {key: value for key, value in named.items() if key != "attribute"}
            return gathered(jinja, items, *given, **named)  # type: ignore[no-any-return]

        return gathering


def _items(jinja: Context, items: TracedValue) -> list[Any]:
    """Return the items of a list, each counted as a step."""
    if not isinstance(items.value, list):
        raise NotInLanguage(f"a list was wanted, a {type(items.value).__name__} was met")
    _steps(jinja).take(len(items.value))
    return items.value


@pass_context
def _properties(jinja: Context, items: TracedValue, attribute: Any) -> TracedValue:
    found = []
    for item in _items(jinja, items):
        for step in bare(attribute).split("."):
            item = item if item.value is None else jinja.environment.getattr(item, step)
        found.append(item)
    return TracedValue(found, items.origins, items.deciding, items.recorder)


@pass_context
def _length(jinja: Context, items: Any) -> TracedValue:
    """Return a length: that of a text comes from the text, that of a list counts its items."""
    recorder = _recorder(jinja)
    if not isinstance(items, TracedValue) or not isinstance(items.value, list):
        length = None if bare(items) is None else len(bare(items))
        return TracedValue(length, origins_of([items]), deciding_of([items]), recorder)
    listed = _items(jinja, items)
    return TracedValue(len(listed), _counting(listed, items.origins), deciding_of([items]), recorder)


def _counting(listed: Iterable[Any], origins: OriginPaths) -> OriginPaths:
    """Return what is counted: the items, or where there is none the list."""
    found = frozenset(path for item in listed if isinstance(item, TracedValue) for path in item.origins)
    return frozenset((*path, COUNTED) for path in found or origins)


def _first_present(given: Any, value: Any) -> Any:
    if bare(given) is not None:
        return given
    if isinstance(given, TracedValue):
        return given.recorder.joined(value, NOWHERE, given.origins | given.deciding)
    return value


def _traced_test(name: str, test: Callable[[Any], bool]) -> Callable[[Any], Any]:
    """Return a test on traced values. Whether something is there is asked, and shows nothing of it."""

    def traced(value: Any) -> Any:
        if not isinstance(value, TracedValue):
            return test(value)
        if name in ("none", "defined"):
            return TracedValue(test(value.value), NOWHERE, value.origins | value.deciding, value.recorder)
        return TracedValue(test(value.value), value.origins, value.deciding, value.recorder)

    return traced


class _TracedLoop:
    """The items of a loop, each a step; `loop.index` and its like count them."""

    def __init__(self, steps: Steps, items: Any, cost: int) -> None:
        self.items: list[Any] = items.value if isinstance(items, TracedValue) else items
        self.origins: OriginPaths = items.origins if isinstance(items, TracedValue) else NOWHERE
        self._steps = steps
        self._cost = cost

    def __iter__(self) -> Iterator[Any]:
        for item in self.items:
            self._steps.take(self._cost)
            yield item


@pass_context
def _stepwise(jinja: Context, items: Any, cost: int) -> _TracedLoop:
    return _TracedLoop(_steps(jinja), items, cost)


def _of_loop(loop: LoopContext, attribute: str, value: Any) -> Any:
    """Return a loop's own number or answer, which counts items. A loop with `if` knows its own item only."""
    traced = loop._iterable
    if not isinstance(traced, _TracedLoop):
        return value
    counted = traced.items
    if attribute in ("index", "index0"):
        counted = counted[:value]
    elif attribute in ("revindex", "revindex0"):
        counted = counted[len(counted) - value :]
    first = next((item for item in traced.items if isinstance(item, TracedValue)), None)
    if first is None:
        return value
    return TracedValue(value, _counting(counted, traced.origins), NOWHERE, first.recorder)


# --- marks: what stands around text, printed expressions, conditions and `set` ---


class _MarkingWriter(JinjaWriter):
    """Writes a template so that the recorder learns of all that is printed."""

    def __init__(self, name: str, marks: list[tuple[Location, str | None]]) -> None:
        super().__init__(name)
        self._marks = marks

    def write_text(self, statement: ast.TemplateText) -> nodes.Expr:
        return self._marked(nodes.Const(statement.text), _TEXT, statement.at, None)

    def write_output(self, statement: ast.Output) -> nodes.Expr:
        return self._marked(super().write_output(statement), _OUTPUT, statement.at, statement.written)

    def write_condition(self, expression: Expression) -> nodes.Expr:
        return apply_filter(super().write_condition(expression), _CONDITION)

    def write_assigned(self, expression: Expression) -> nodes.Expr:
        return apply_filter(super().write_assigned(expression), _ASSIGNED)

    def _marked(self, value: nodes.Expr, name: str, at: Location, written: str | None) -> nodes.Expr:
        self._marks.append((at, written))
        return apply_filter(value, name, nodes.Const(len(self._marks) - 1))


def _mark_of(jinja: Context, index: int) -> tuple[Location, str | None]:
    sandbox = jinja.environment
    assert isinstance(sandbox, TracingSandbox)
    return sandbox.marks[index]


@pass_context
def _mark_text(jinja: Context, text: str, mark: int) -> str:
    _recorder(jinja).printed = Printed(*_mark_of(jinja, mark), None, NOWHERE, NOWHERE)
    return text


@pass_context
def _mark_output(jinja: Context, value: Any, mark: int) -> str:
    recorder = _recorder(jinja)
    deciding, recorder.deciding = recorder.deciding | deciding_of([value]), NOWHERE
    plain = bare(value)
    one_value = isinstance(value, TracedValue) and not isinstance(value.value, list)
    origins = value.origins if one_value else origins_of([value])
    recorder.printed = Printed(*_mark_of(jinja, mark), plain, origins, deciding)
    return as_text(plain)


@pass_context
def _condition(jinja: Context, value: Any) -> bool:
    """Ask the condition of a statement: it decides which text stands there, not what an expression prints."""
    answer = bool(value)
    _recorder(jinja).deciding = NOWHERE
    return answer


@pass_context
def _assigned(jinja: Context, value: Any) -> TracedValue:
    """Return a value that gets a name: what decided it goes with it."""
    recorder = _recorder(jinja)
    deciding, recorder.deciding = recorder.deciding, NOWHERE
    if isinstance(value, list):
        value = TracedValue(value, NOWHERE, NOWHERE, recorder)
    return recorder.joined(value, NOWHERE, deciding)
