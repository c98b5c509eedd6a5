"""The call of a filter: its arguments are checked here, its result by the filter itself."""

from storymesh.errors import suggest_name
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.filters.base import CheckedCall, Filter
from storymesh.language.filters.registry import FILTERS
from storymesh.language.static_values import ANYTHING, StaticValue, a_kind, counted
from storymesh.language.typecheck.base import TypeCheckerBase


class FilterChecker(TypeCheckerBase):
    """The part of the checker that knows how filters are called."""

    def filter_result(self, node: ast.FilterCall) -> StaticValue:
        """Return what is known of a filter's result, or raise findings."""
        filter_ = FILTERS.get(node.name)
        if filter_ is None:
            hint = suggest_name(node.name, FILTERS)
            return self.fail(node.at, "outside-language", f"there is no filter `{node.name}`", hint)
        base = self.value_or_absent(node.base) if filter_.takes_null else self.value(node.base)
        arguments = self._arguments(node, filter_)
        if arguments is None or base.type is ANYTHING:
            return StaticValue(ANYTHING)
        if filter_.accepts and not isinstance(base.type, filter_.accepts):
            words = f"{base.words or 'this'} is {a_kind(base.type)}, `{node.name}` wants {filter_.wants}"
            return self.fail(node.at, "wrong-type", words)
        if not filter_.takes_null:
            base = self.present(node.base, base, f"given to `{node.name}`", replaceable=not filter_.wants_property)
        return filter_.infer(CheckedCall(self, node, base, arguments))

    def blamable_parts(self, node: ast.FilterCall, value: StaticValue) -> tuple[Expression, ...]:
        return FILTERS[node.name].blamable_parts(node, value)

    def _arguments(self, node: ast.FilterCall, filter_: Filter) -> dict[str, Expression] | None:
        names = [parameter.name for parameter in filter_.parameters]
        placed = [parameter.name for parameter in filter_.parameters if not parameter.by_name]
        if len(node.arguments) > len(placed):
            words = f"`{node.name}` takes {counted(len(placed), 'argument')}"
            if len(placed) < len(names):
                words = f"the arguments of `{node.name}` are written with their names"
            self.fail(node.arguments[len(placed)].at, "wrong-type", words, filter_.usage)
            return None
        arguments: dict[str, Expression] = dict(zip(placed, node.arguments, strict=False))
        for name, argument in node.named:
            if name not in names or name in arguments:
                words = f"has the argument '{name}' twice" if name in arguments else f"has no argument '{name}'"
                self.fail(argument.at, "wrong-type", f"`{node.name}` {words}", filter_.usage)
                return None
            arguments[name] = argument
        for parameter in filter_.parameters:
            written = arguments.get(parameter.name)
            if written is None:
                if parameter.required:
                    words = f"`{node.name}` wants the argument '{parameter.name}'"
                    self.fail(node.at, "wrong-type", words, filter_.usage)
                    return None
            elif parameter.literal is not None:
                if not (isinstance(written, ast.Literal) and type(written.value) is parameter.literal):
                    words = f"'{parameter.name}' of `{node.name}` is written as {parameter.written}"
                    self.fail(written.at, "wrong-type", words, filter_.usage)
                    return None
                self.value(written)
        return arguments
