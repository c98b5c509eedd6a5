"""Which rows the printed values of a template come from, as an ibis expression beside its text.

A row bears its key wherever it goes, so a value that stands in a row is led back to it by the value itself. What has
left its row (a scalar that was `set`, a list of one property) carries the keys along. Both follow the conditions,
loops and choices of the template, by the same rules as the interpreter that traces values.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.compile.expressions import Names
from storymesh.language.compile.filters import CompiledCall
from storymesh.language.compile.templates import TemplateCompiler, loop_values, uses_loop
from storymesh.language.compile.values import truth
from storymesh.language.filters.base import Origins
from storymesh.language.filters.registry import FILTERS
from storymesh.language.static_values import Path
from storymesh.language.types import Array, Struct, Text

_VALUE, _KEYS = "value", "keys"
NO_KEYS = "array<string>"


def compile_printed_rows(
    template: Template,
    names: Names,
    case_id: ir.StringValue,
    key: bytes,
    rows: Collection[Path],
    key_of: Callable[[ir.StructValue], ir.StringValue],
) -> ir.ArrayValue | None:
    """Return the keys of the rows at the paths `rows` that a typed template prints values of; None if it never does.

    Keys may be in the list more than once. What is only counted or asked is not printed. `names`, `case_id` and `key`
    are those of `compile_template`.
    """
    compiler = TemplateCompiler(names, case_id, key, None)
    return _PrintedRows(compiler, frozenset(rows), key_of).of_template(template)


class _PrintedRows:
    """The walk through one template. `compiler` has the values of the names at the place that is looked at; `keys` are
    those of names that stand for single values out of rows, `items` those for lists of such values, as structs of
    `value` and `keys`."""

    def __init__(
        self, compiler: TemplateCompiler, rows: frozenset[Path], key_of: Callable[[ir.StructValue], ir.StringValue]
    ) -> None:
        self.compiler = compiler
        self.rows = rows
        self.key_of = key_of
        self.keys: dict[str, ir.ArrayValue] = {}
        self.items: dict[str, ir.ArrayValue] = {}

    # --- statements ---

    def of_template(self, template: Template) -> ir.ArrayValue | None:
        outer, self.compiler.file = self.compiler.file, template.name
        found = self.of_body(template.body)
        self.compiler.file = outer
        return found

    def of_body(self, statements: Sequence[Statement]) -> ir.ArrayValue | None:
        return _union(self._of_statement(statement) for statement in statements)

    def _of_statement(self, statement: Statement) -> ir.ArrayValue | None:
        match statement:
            case ast.Output(value=value):
                keys = self.all_keys(value)
                if keys is None or not isinstance(value.typed.type, Text):
                    return keys
                return _either((self.compiler.value(value) != "").fill_null(False), keys, None)  # else nothing shows
            case ast.Assign():
                self._assign(statement)
                return None
            case ast.If():
                return self._of_if(statement)
            case ast.For() if self._prints_rows(statement):
                return self._of_loop(statement)
            case ast.Include(partial=Template() as partial):
                kept = self._state()
                found = self.of_template(partial)
                self._restore(kept)
                return found
            case ast.Draw():
                return self._of_draw(statement)
            case _:
                return None

    def _of_draw(self, statement: ast.Draw) -> ir.ArrayValue | None:
        found = [self._of_statement(include) for include in statement.includes]
        if all(keys is None for keys in found):
            return None
        return self.compiler.of_drawn(statement, [_present(keys) for keys in found])

    def _prints_rows(self, part: object) -> bool:
        """Return True if a part of the tree prints a value out of a row."""
        if isinstance(part, ast.Output):
            return self._is_inside(part.value)
        if isinstance(part, tuple):
            return any(map(self._prints_rows, part))
        match part:
            case ast.If() | ast.For():
                return self._prints_rows(part.body) or self._prints_rows(part.otherwise)
            case ast.Include(partial=Template() as partial):
                return self._prints_rows(partial.body)
            case ast.Draw():
                return self._prints_rows(part.includes)
            case _:
                return False

    def _state(self) -> tuple[dict[str, ir.Value], dict[str, ir.ArrayValue], dict[str, ir.ArrayValue]]:
        return dict(self.compiler.names), dict(self.keys), dict(self.items)

    def _restore(self, state: tuple[dict[str, ir.Value], dict[str, ir.ArrayValue], dict[str, ir.ArrayValue]]) -> None:
        self.compiler.names, self.keys, self.items = map(dict, state)

    def _assign(self, statement: ast.Assign) -> None:
        name, value = statement.name, statement.value
        keys = items = None
        if self._is_inside(value) and not self._are_rows(value):
            if isinstance(value.typed.type, Array):
                items = self.items_of(value)
            else:
                keys = self.keys_of(value)
        self.compiler.names[name] = self.compiler.value(value)
        self._bind(name, keys, items)

    def _bind(self, name: str, keys: ir.ArrayValue | None, items: ir.ArrayValue | None) -> None:
        for known, given in ((self.keys, keys), (self.items, items)):
            known.pop(name, None)
            if given is not None:
                known[name] = given

    def _of_if(self, statement: ast.If) -> ir.ArrayValue | None:
        test = self.compiler.test(statement.test)
        before = self._state()
        body = self.of_body(statement.body)
        after_body = self._state()
        self._restore(before)
        otherwise = self.of_body(statement.otherwise)
        after_otherwise = self._state()
        self.compiler.names = self.compiler.merged_names(test, after_body[0], after_otherwise[0])
        self.keys = _merged(test, after_body[1], after_otherwise[1])
        self.items = _merged(test, after_body[2], after_otherwise[2])
        return _either(test, body, otherwise)

    def _of_loop(self, statement: ast.For) -> ir.ArrayValue | None:
        before = self._state()
        carried = self._is_inside(statement.items) and not self._are_rows(statement.items)
        items = self._carried_items(statement) if carried else self.compiler.items(statement)
        count = items.length().cast("int64")

        def body(item: ir.Value, place: ir.IntegerValue) -> ir.ArrayValue:
            self._restore(before)
            self._bind(statement.target, item[_KEYS] if carried else None, None)
            self.compiler.names |= {statement.target: item[_VALUE] if carried else item}
            self.compiler.names |= {"loop": loop_values(place, count)}
            return _present(self.of_body(statement.body))

        found = None
        if self._prints_rows(statement.body):
            if uses_loop(statement.body):
                lists = dialect.map_indexed(items, body)
            else:
                lists = dialect.map_items(items, lambda item: body(item, ibis.literal(0)))
            found = _flat(lists)
        self._restore(before)
        otherwise = self.of_body(statement.otherwise)
        self._restore(before)
        return _either((items.length() > 0).fill_null(False), found, otherwise) if otherwise is not None else found

    def _carried_items(self, statement: ast.For) -> ir.ArrayValue:
        """Return the items of a loop over values out of rows that pass its test."""
        items, test, before = self.items_of(statement.items), statement.test, dict(self.compiler.names)
        if test is None:
            return items

        def passes(item: ir.StructValue) -> ir.BooleanValue:
            self.compiler.names = {**before, statement.target: item[_VALUE]}
            holds = self.compiler.test(test)
            self.compiler.names = dict(before)
            return holds

        return dialect.filter_items(items, passes)

    # --- expressions ---

    def _is_inside(self, expression: Expression) -> bool:
        """Return True if a value may come out of a row. What is only counted does not."""
        return any(
            path[-1] != "#" and any(path[:length] in self.rows for length in range(1, len(path) + 1))
            for path in expression.typed.paths
        )

    def _are_rows(self, expression: Expression) -> bool:
        """Return True if a value is a row, or a list of rows."""
        kind = expression.typed.type
        while isinstance(kind, Array):
            kind = kind.item.type
        return isinstance(kind, Struct) and all(path in self.rows for path in expression.typed.paths)

    def all_keys(self, expression: Expression) -> ir.ArrayValue | None:
        """Return the keys of all that a value comes from, of a list those of its items; None: it comes from no row."""
        if not self._is_inside(expression):
            return None
        if not isinstance(expression.typed.type, Array):
            return self.keys_of(expression)
        if self._are_rows(expression):
            return self._keys_of_rows(self.compiler.value(expression))
        return _flat(dialect.map_items(self.items_of(expression), lambda item: item[_KEYS]))

    def _keys_of_rows(self, value: ir.Value) -> ir.ArrayValue:
        kind = value.type()
        if not kind.is_array():
            return ibis.array([self.key_of(value)])
        if kind.value_type.is_array():
            return _flat(dialect.map_items(value, self._keys_of_rows))
        return _present(dialect.map_items(value, self.key_of))

    def keys_of(self, expression: Expression) -> ir.ArrayValue | None:
        """Return the keys of the rows that a single value comes from; None: it comes from none."""
        if not self._is_inside(expression):
            return None
        if self._are_rows(expression):
            return self._keys_of_rows(self.compiler.value(expression))
        match expression:
            case ast.Name():
                return self.keys.get(expression.name)
            case ast.Attribute():
                return self.keys_of(expression.base)
            case ast.FilterCall():
                return self._keys_of_call(expression)
            case ast.And() | ast.Or() | ast.Conditional():
                test, then, otherwise = self._sides(expression)
                return _either(test, self.keys_of(then), self.keys_of(otherwise))
            case ast.Choose():
                options = [_present(self.keys_of(option)) for option in expression.options]
                return self.compiler.drawn(expression).cases(*enumerate(options[:-1]), else_=options[-1])
            case ast.Concat(parts=parts):
                return _union(map(self.all_keys, parts))
            case ast.Arithmetic() | ast.Compare():
                return _union([self.all_keys(expression.left), self.all_keys(expression.right)])
            case ast.Negate() | ast.Not():
                return self.all_keys(expression.operand)
            case ast.IsTest():
                return self.all_keys(expression.base)
            case _:
                return None

    def _sides(self, expression: ast.And | ast.Or | ast.Conditional) -> tuple[ir.BooleanValue, Expression, Expression]:
        """Return a choice as its test, and what it gives where that holds and where it does not."""
        if isinstance(expression, ast.Conditional):
            return self.compiler.test(expression.test), expression.then, expression.otherwise
        test = truth(self.compiler.value(expression.left))
        if isinstance(expression, ast.And):
            return test, expression.right, expression.left
        return test, expression.left, expression.right

    def _keys_of_call(self, call: ast.FilterCall) -> ir.ArrayValue | None:
        filter_ = FILTERS[call.name]
        arguments = list(filter_.arguments_by_name(call).values())
        match filter_.origins:
            case Origins.ITEMS:
                picked = self._filtered(call)
                return _present(picked[_KEYS])
            case Origins.FIRST_PRESENT:
                given = self.compiler.value(call.base).notnull()
                return _either(given, self.keys_of(call.base), _union(map(self.keys_of, arguments)))
            case Origins.COUNT | Origins.PSEUDONYM:
                return self.keys_of(call.base)
            case _:
                return _union([self.all_keys(call.base), *map(self.all_keys, arguments)])

    def items_of(self, expression: Expression) -> ir.ArrayValue:
        """Return the items of a list out of rows, as structs of `value` and `keys`."""
        if self._are_rows(expression):
            return _items(self.compiler.value(expression), self._keys_of_rows)
        match expression:
            case ast.Name() if expression.name in self.items:
                return self.items[expression.name]
            case ast.ListLiteral():
                pairs = [(self.compiler.value(item), _present(self.keys_of(item))) for item in expression.items]
                return ibis.array([ibis.struct({_VALUE: value, _KEYS: keys}) for value, keys in pairs])
            case ast.Attribute():
                keys = _present(self.keys_of(expression.base))
                return _items(self.compiler.value(expression), lambda _: keys)
            case ast.And() | ast.Or() | ast.Conditional():
                test, then, otherwise = self._sides(expression)
                return ibis.ifelse(test, self.items_of(then), self.items_of(otherwise))
            case ast.FilterCall() if FILTERS[expression.name].origins is Origins.ITEMS:
                return self._filtered(expression)
            case ast.FilterCall() if FILTERS[expression.name].origins is Origins.PROPERTIES:
                base, arguments = self.items_of(expression.base), self._looking_in(expression)
                looked_at = CompiledCall(self.compiler, expression, base, arguments).looked_at
                return dialect.map_items(base, lambda item: ibis.struct({_VALUE: looked_at(item), _KEYS: item[_KEYS]}))
            case ast.FilterCall():
                items = self.items_of(expression.base)  # an item for each item, such as their pseudonyms
                return dialect.map_indexed(
                    self.compiler.value(expression),
                    lambda value, place: ibis.struct({_VALUE: value, _KEYS: items[place][_KEYS]}),
                )
            case _:
                return _items(self.compiler.value(expression), lambda _: _present(None))

    def _filtered(self, call: ast.FilterCall) -> ir.Value:
        """Return what a filter gives of the items of its list, with their keys."""
        arguments = self._looking_in(call) if FILTERS[call.name].parameters else {}
        base = self.items_of(call.base)
        return FILTERS[call.name].compile(CompiledCall(self.compiler, call, base, arguments))

    def _looking_in(self, call: ast.FilterCall) -> Mapping[str, Expression]:
        """Return the arguments of a filter, so that it looks at the values of items that bear their keys."""
        arguments = FILTERS[call.name].arguments_by_name(call)
        attribute = arguments.get("attribute")
        steps = f"{_VALUE}.{attribute.value}" if isinstance(attribute, ast.Literal) else _VALUE
        return {**arguments, "attribute": ast.Literal(call.at, steps)}


def _items(values: ir.ArrayValue, keys_of: Callable[[ir.Value], ir.ArrayValue]) -> ir.ArrayValue:
    return dialect.map_items(values, lambda value: ibis.struct({_VALUE: value, _KEYS: keys_of(value)}))


def _present(keys: ir.ArrayValue | None) -> ir.ArrayValue:
    nothing = ibis.literal([], type=NO_KEYS)
    return nothing if keys is None else keys.coalesce(nothing)


def _flat(lists: ir.ArrayValue) -> ir.ArrayValue:
    return _present(lists.flatten())


def _union(parts: Iterable[ir.ArrayValue | None]) -> ir.ArrayValue | None:
    """Return the keys of all parts; the same part once."""
    different = list({part.op(): part for part in parts if part is not None}.values())
    return dialect.concat_lists(different) if len(different) > 1 else different[0] if different else None


def _either(test: ir.BooleanValue, then: ir.ArrayValue | None, otherwise: ir.ArrayValue | None) -> ir.ArrayValue | None:
    if then is None and otherwise is None:
        return None
    return ibis.ifelse(test, _present(then), _present(otherwise))


def _merged(
    test: ir.BooleanValue, then: Mapping[str, ir.ArrayValue], otherwise: Mapping[str, ir.ArrayValue]
) -> dict[str, ir.ArrayValue]:
    """Return what names carry after two branches."""
    merged: dict[str, ir.ArrayValue] = {}
    for name in {**then, **otherwise}:
        left, right = then.get(name), otherwise.get(name)
        kind = (left if left is not None else right).type()  # type: ignore[union-attr]
        nothing = ibis.literal([], type=kind)
        left, right = (nothing if value is None else value.cast(kind) for value in (left, right))
        merged[name] = left if left is right else ibis.ifelse(test, left, right)
    return merged
