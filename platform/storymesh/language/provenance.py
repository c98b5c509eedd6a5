"""The interpreter with provenance: for each stretch of a text where it stands, what printed it, and from which values.

Every value goes through the template as a `TracedValue`, with the paths that it comes from. All that acts on a value in
the sandbox (properties, filters, operators, comparisons, loops) is one of the sandbox's own hooks, so that tracing
needs no second meaning of the language: each hook calls the interpreter's own function on the bare values and joins
their paths. `and`, `or`, `not` and inline `if` are Python's: they ask a value for its truth, which is recorded.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from jinja2 import nodes, pass_context
from jinja2.lexer import TOKEN_VARIABLE_BEGIN, TOKEN_VARIABLE_END, TOKEN_WHITESPACE
from jinja2.runtime import Context, LoopContext

from storymesh.errors import NotInLanguage, TooLarge
from storymesh.language.filters import FILTERS, chosen, printed
from storymesh.language.interpret import (
    MAX_STEPS,
    STEPS,
    Interpreter,
    Rewriting,
    Row,
    Sandbox,
    Steps,
    bounded,
    calculate,
    filtered,
    negative,
)
from storymesh.language.parse import choose_places, position_of, positioned
from storymesh.language.types import Array
from storymesh.location import Location

OriginPath = tuple[str | int, ...]
OriginPaths = frozenset[OriginPath]
NOWHERE: OriginPaths = frozenset()
COUNTED = "#"  # the last step to what is only counted
HIDDEN = "~"  # the last step to what is only printed as its pseudonym


@dataclass(frozen=True)
class TextSpan:
    """A stretch of a text: characters `begin` to `end`. `expression` is what printed it, as it is written at `at`; None
    for words of the template. `value` is what was printed, `places` where it comes from, as steps from a name:
    `("disruption", 0, "title")`. `decided` are the places that decided, in this expression, what was printed."""

    begin: int
    end: int
    at: Location
    expression: str | None = None
    value: Any = None
    places: OriginPaths = NOWHERE
    decided: OriginPaths = NOWHERE


class TracedText(NamedTuple):
    """A text and its parts, in order; they cover it."""

    text: str
    parts: tuple[TextSpan, ...]


class TracingInterpreter(Interpreter):
    """An interpreter that follows values. With `propagating`, null propagates, as in the expressions of YAML."""

    def __init__(self, *given: Any, propagating: bool = False) -> None:
        super().__init__(*given)
        assert isinstance(self._environment, TracingSandbox)
        self._environment.propagating = propagating

    @staticmethod
    def _sandbox(*given: Any) -> Sandbox:
        return TracingSandbox(*given)

    def follow(self, template: str, case_id: str, names: Mapping[str, Any]) -> TracedText:
        """What `render` gives, with its parts. Raises as `render` does."""
        trail = TraceRecorder()
        options = {"choose": partial(_choose, trail, case_id), STEPS: Steps(MAX_STEPS), _RECORDER: trail}
        texts: list[str] = []
        parts: list[TextSpan] = []
        begin = 0
        for text in self._parts(template, case_id, {**_followed_names(trail, names), **options}):
            if text:
                parts.append(trail.taken(begin, len(text)))
                begin += len(text)
                texts.append(text)
            trail.made = None
        return TracedText("".join(texts), tuple(parts))

    def followed(self, template: str, name: str, names: Mapping[str, Any]) -> "TracedValue":
        """The value that a template's `set` gives to `name`, with its places. Raises NotInLanguage or TooLarge."""
        trail = TraceRecorder()
        options = {STEPS: Steps(MAX_STEPS), _RECORDER: trail}
        try:
            module = self._environment.get_template(template).make_module({**_followed_names(trail, names), **options})
        except (NotInLanguage, TooLarge):
            raise
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise NotInLanguage(f"{template}: {error}") from error
        return trail.joined(getattr(module, name), NOWHERE, NOWHERE)


class TracedValue:
    """A value, the places that it comes from, and those that decided that it is this one. A list holds its items
    followed; a row its bare properties, which are followed when they are read."""

    __slots__ = ("decided", "places", "trail", "value")

    def __init__(self, value: Any, places: OriginPaths, decided: OriginPaths, trail: "TraceRecorder") -> None:
        self.value = value
        self.places = places
        self.decided = decided
        self.trail = trail

    def __bool__(self) -> bool:
        self.trail.decided |= self.places | self.decided
        return bool(self.value)


def bare(value: Any) -> Any:
    """The value itself, and of a list its items."""
    if isinstance(value, TracedValue):
        return bare(value.value)
    return [bare(item) for item in value] if isinstance(value, list) else value


class _PrintedPart(NamedTuple):
    at: Location
    expression: str | None
    value: Any
    places: OriginPaths
    decided: OriginPaths


class TraceRecorder:
    """What one telling notes on its way: the part that is being made, and what was asked to be true for it."""

    def __init__(self) -> None:
        self.decided: OriginPaths = NOWHERE
        self.made: _PrintedPart | None = None

    def follow(self, value: Any, place: OriginPath, decided: OriginPaths = NOWHERE) -> TracedValue:
        if isinstance(value, list):
            value = [self.follow(item, (*place, index), decided) for index, item in enumerate(value)]
        return TracedValue(value, frozenset({place}), decided, self)

    def joined(self, value: Any, places: OriginPaths, decided: OriginPaths) -> TracedValue:
        if isinstance(value, TracedValue):
            return TracedValue(value.value, value.places | places, value.decided | decided, self)
        return TracedValue(value, places, decided, self)

    def taken(self, begin: int, length: int) -> TextSpan:
        assert self.made is not None, "every part of a text is marked"
        return TextSpan(begin, begin + length, *self.made)


_RECORDER = " trail"  # no template can spell a name with a space


def _recorder(jinja: Context) -> TraceRecorder:
    found = jinja.resolve(_RECORDER)
    assert isinstance(found, TraceRecorder)
    return found


def _steps(jinja: Context) -> Steps:
    found = jinja.resolve(STEPS)
    assert isinstance(found, Steps)
    return found


def _followed_names(trail: TraceRecorder, names: Mapping[str, Any]) -> dict[str, TracedValue]:
    return {name: trail.follow(value, (name,)) for name, value in names.items()}


def _places(values: Iterable[Any]) -> OriginPaths:
    """The places of some values; of lists those of their items."""
    found: set[OriginPath] = set()
    for value in values:
        if isinstance(value, TracedValue):
            if isinstance(value.value, list) and value.value:
                found |= _places(value.value)
            else:
                found |= value.places
        elif isinstance(value, list):
            found |= _places(value)
    return frozenset(found)


def _decided(values: Iterable[Any]) -> OriginPaths:
    found: set[OriginPath] = set()
    for value in values:
        if isinstance(value, TracedValue):
            found |= value.decided
            value = value.value
        if isinstance(value, list):
            found |= _decided(value)
    return frozenset(found)


def _choose(trail: TraceRecorder, case_id: str, template: str, place: int, *options: Any) -> TracedValue:
    option = options[chosen(options, case_id, template, place)]
    return TracedValue(printed(bare(option)), _places([option]), _decided([option]), trail)


class TracingSandbox(Sandbox):
    propagating = False

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.marks: list[Mark] = []
        plain = dict(self.filters)
        self.filters = {name: self._through(name, function) for name, function in plain.items()}
        self.filters |= {name: self._picking(name) for name in _PICKING}
        self.filters |= {STEPS: _stepwise, " counted": plain[" counted"], "map": _mapped, "length": _counted}
        self.filters |= {"default": _fallback, "join": self._gathered("join"), "sum": self._gathered("sum")}
        self.filters |= {" words": _words, " printed": _printed, " asked": _asked, " kept": _kept}
        self.tests = {name: _tested(test) for name, test in self.tests.items()}  # type: ignore[arg-type]

    def _rewriting(self, path: str, name: str, source: str, tree: nodes.Template) -> Rewriting:
        places = (path, name, choose_places(tree), self._labels, self._replaced, self._casts)
        return MarkingTransformer(WrittenExpressions(self, source), self.marks, *places)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext):
            return _of_loop(obj, attribute, super().getattr(obj, attribute))
        if not isinstance(obj, TracedValue):
            return super().getattr(obj, attribute)
        steps = frozenset((*place, attribute) for place in obj.places)
        if obj.value is None and self.propagating:
            return TracedValue(None, steps, obj.decided, obj.trail)
        value = super().getattr(obj.value, attribute)
        if isinstance(value, list) and len(obj.places) == 1:
            return obj.trail.follow(value, next(iter(steps)), obj.decided)
        return TracedValue(value, steps, obj.decided, obj.trail)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        return self._computed(context, lambda one, two: calculate(operator, one, two), left, right)

    def call_unop(self, context: Any, operator: str, arg: Any) -> Any:
        return self._computed(context, negative, arg)

    def _computed(self, context: Any, function: Callable[..., Any], *given: Any) -> TracedValue:
        null = self.propagating and any(isinstance(one, TracedValue) and one.value is None for one in given)
        value = None if null else function(*map(bare, given))
        return TracedValue(value, _places(given), _decided(given), _recorder(context))

    def _through(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter on bare values: what it gives comes from all that it was given."""
        counting = name in FILTERS and Array in FILTERS[name].takes
        meaning = FILTERS[name].function if counting else function

        @pass_context
        def through(jinja: Context, *given: Any, **named: Any) -> TracedValue:
            if counting and isinstance(given[0], TracedValue) and isinstance(given[0].value, list):
                _steps(jinja).take(len(given[0].value))
            plain = {key: bare(value) for key, value in named.items()}
            found = self._computed(jinja, lambda *values: bounded(meaning(*values, **plain)), *given)
            if name == "pseudonym":
                hidden = frozenset((*place, HIDDEN) for place in found.places)
                return TracedValue(found.value, hidden, found.decided, found.trail)
            more = tuple(named.values())
            return found.trail.joined(found, _places(more), _decided(more))

        return through

    def _picking(self, name: str) -> Callable[..., Any]:
        """A filter that gives items of its list: they bear their number through it, so that each stays followed."""

        @pass_context
        def picking(jinja: Context, items: Any, *given: Any, **named: Any) -> TracedValue:
            trail = _recorder(jinja)
            followed = trail.joined(items, NOWHERE, NOWHERE)
            if followed.value is None and self.propagating:
                return followed
            listed = _items(jinja, followed)
            numbered = [Row({_ITEM: bare(item), "number": number}) for number, item in enumerate(listed)]
            arguments = [bare(one) for one in given]
            if name in ("selectattr", "rejectattr") and arguments:
                arguments[0] = f"{_ITEM}.{arguments[0]}"
            elif name not in ("first", "last"):
                attribute = bare(named.get("attribute"))
                named = {**named, "attribute": f"{_ITEM}.{attribute}" if attribute else _ITEM}
            picked = FILTERS[name].function(numbered, *arguments, **{key: bare(value) for key, value in named.items()})
            if picked is None:
                return TracedValue(None, followed.places, followed.decided, trail)
            if isinstance(picked, list):
                return TracedValue([listed[one["number"]] for one in picked], followed.places, followed.decided, trail)
            return trail.joined(listed[picked["number"]], NOWHERE, followed.decided)

        return picking

    def _gathered(self, name: str) -> Callable[..., Any]:
        """`join` and `sum`, which may take a property of each item."""

        @pass_context
        def gathered(jinja: Context, items: Any, *given: Any, **named: Any) -> TracedValue:
            position = 1 if name == "join" else 0
            attribute = bare(given[position] if len(given) > position else named.get("attribute"))
            if attribute:
                items = _mapped(jinja, items, attribute=attribute)
                given, named = given[:position], {key: one for key, one in named.items() if key != "attribute"}
            return self._through(name, FILTERS[name].function)(jinja, items, *given, **named)  # type: ignore[no-any-return]

        return gathered


_ITEM = "item"
_PICKING = ("first", "last", "min", "max", "sort", "unique", "selectattr", "rejectattr")


def _items(jinja: Context, items: TracedValue) -> list[Any]:
    """The items of a list, each counted as a step."""
    if not isinstance(items.value, list):
        raise NotInLanguage(f"a list was wanted, a {type(items.value).__name__} was met")
    _steps(jinja).take(len(items.value))
    return items.value


@pass_context
def _mapped(jinja: Context, items: TracedValue, attribute: Any) -> TracedValue:
    found = []
    for item in _items(jinja, items):
        for step in bare(attribute).split("."):
            item = item if item.value is None else jinja.environment.getattr(item, step)
        found.append(item)
    return TracedValue(found, items.places, items.decided, items.trail)


@pass_context
def _counted(jinja: Context, items: Any) -> TracedValue:
    """The length of a text comes from the text; that of a list counts its items."""
    trail = _recorder(jinja)
    if not isinstance(items, TracedValue) or not isinstance(items.value, list):
        length = None if bare(items) is None else len(bare(items))
        return TracedValue(length, _places([items]), _decided([items]), trail)
    listed = _items(jinja, items)
    return TracedValue(len(listed), _counting(listed, items.places), _decided([items]), trail)


def _counting(listed: Iterable[Any], places: OriginPaths) -> OriginPaths:
    """What is counted: the items, or where there is none the list."""
    found = frozenset(place for item in listed if isinstance(item, TracedValue) for place in item.places)
    return frozenset((*place, COUNTED) for place in found or places)


def _fallback(met: Any, value: Any) -> Any:
    if bare(met) is not None:
        return met
    if isinstance(met, TracedValue):
        return met.trail.joined(value, NOWHERE, met.places | met.decided)
    return value


def _tested(test: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def tested(value: Any) -> Any:
        if not isinstance(value, TracedValue):
            return test(value)
        return TracedValue(test(value.value), value.places, value.decided, value.trail)

    return tested


class TracedLoop:
    """The items of a loop, each a step; `loop.index` and its like count them."""

    def __init__(self, steps: Steps, items: Any, cost: int) -> None:
        self.items: list[Any] = items.value if isinstance(items, TracedValue) else items
        self.places: OriginPaths = items.places if isinstance(items, TracedValue) else NOWHERE
        self._steps = steps
        self._cost = cost

    def __iter__(self) -> Iterator[Any]:
        for item in self.items:
            self._steps.take(self._cost)
            yield item


@pass_context
def _stepwise(jinja: Context, items: Any, cost: int) -> TracedLoop:
    return TracedLoop(_steps(jinja), items, cost)


def _of_loop(loop: LoopContext, attribute: str, value: Any) -> Any:
    """A loop's own number or answer, which counts items of its list. A loop with `if` knows its own item only."""
    listed = loop._iterable
    if not isinstance(listed, TracedLoop):
        return value
    counted = listed.items
    if attribute in ("index", "index0"):
        counted = counted[:value]
    elif attribute in ("revindex", "revindex0"):
        counted = counted[len(counted) - value :]
    first = next((item for item in listed.items if isinstance(item, TracedValue)), None)
    if first is None:
        return value
    return TracedValue(value, _counting(counted, listed.places), NOWHERE, first.trail)


Mark = tuple[Location, str | None]  # where it stands, and the expression as it is written; None for words


# --- marks: what the rewriting puts around words, printed expressions, conditions and `set` ---


def _mark(jinja: Context, index: int) -> Mark:
    sandbox = jinja.environment
    assert isinstance(sandbox, TracingSandbox)
    return sandbox.marks[index]


@pass_context
def _words(jinja: Context, text: str, mark: int) -> str:
    _recorder(jinja).made = _PrintedPart(*_mark(jinja, mark), None, NOWHERE, NOWHERE)
    return text


@pass_context
def _printed(jinja: Context, value: Any, mark: int) -> str:
    trail = _recorder(jinja)
    decided, trail.decided = trail.decided | _decided([value]), NOWHERE
    plain = bare(value)
    plainly = isinstance(value, TracedValue) and not isinstance(value.value, list)
    trail.made = _PrintedPart(*_mark(jinja, mark), plain, value.places if plainly else _places([value]), decided)
    return printed(plain)


@pass_context
def _asked(jinja: Context, value: Any) -> bool:
    """The condition of a statement: it decides which words stand there, not what an expression prints."""
    answer = bool(value)
    _recorder(jinja).decided = NOWHERE
    return answer


@pass_context
def _kept(jinja: Context, value: Any) -> TracedValue:
    """A value that gets a name: what decided it goes with it."""
    trail = _recorder(jinja)
    decided, trail.decided = trail.decided, NOWHERE
    if isinstance(value, list):
        value = TracedValue(value, NOWHERE, NOWHERE, trail)
    return trail.joined(value, NOWHERE, decided)


class WrittenExpressions:
    """Each `{{ … }}` of a template: the place of its first token, and the expression as it is written."""

    def __init__(self, environment: Sandbox, source: str) -> None:
        self._begins: list[tuple[int, int]] = []
        self._texts: list[str] = []
        inside: list[tuple[tuple[int, int], str, str]] | None = None
        for line, kind, text in positioned(source, environment.lexer.tokeniter(source, None)):
            if kind == TOKEN_VARIABLE_BEGIN:
                inside = []
            elif kind == TOKEN_VARIABLE_END and inside is not None:
                first = next((place for place, met, _ in inside if met != TOKEN_WHITESPACE), (int(line), 1))
                self._begins.append(first)
                self._texts.append("".join(text for _, _, text in inside).strip())
                inside = None
            elif inside is not None:
                inside.append(((int(line), getattr(line, "column", 1)), kind, text))

    def of(self, node: nodes.Node) -> tuple[tuple[int, int], str]:
        """Where the expression that a printed node belongs to begins, and its text."""
        index = bisect_right(self._begins, position_of(node)) - 1
        return (self._begins[index], self._texts[index]) if index >= 0 else (position_of(node), "")


class MarkingTransformer(Rewriting):
    def __init__(self, written: WrittenExpressions, marks: list[Mark], *given: Any) -> None:
        super().__init__(*given)
        self.written = written
        self.marks = marks

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        marked: list[nodes.Expr] = []
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                at = Location(self.path, *position_of(part))
                marked.append(self._marked(nodes.Const(part.data, lineno=part.lineno), " words", (at, None)))
            else:
                place, text = self.written.of(part)
                marked.append(self._marked(self.visit(part), " printed", (Location(self.path, *place), text)))
        return nodes.Output(marked, lineno=node.lineno)

    def _marked(self, value: nodes.Expr, name: str, mark: Mark) -> nodes.Expr:
        self.marks.append(mark)
        return filtered(value, name, nodes.Const(len(self.marks) - 1, lineno=value.lineno))

    def visit_If(self, node: nodes.If) -> nodes.Node:
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.If)
        rewritten.test = filtered(rewritten.test, " asked")
        return rewritten

    def visit_For(self, node: nodes.For) -> nodes.Node:
        rewritten = super().visit_For(node)
        assert isinstance(rewritten, nodes.For)
        if rewritten.test is not None:
            rewritten.test = filtered(rewritten.test, " asked")
        return rewritten

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:
        rewritten = self.generic_visit(node)
        assert isinstance(rewritten, nodes.Assign)
        rewritten.node = filtered(rewritten.node, " kept")
        return rewritten
