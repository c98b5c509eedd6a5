"""A call of a filter while it is compiled: what it is applied to, and its arguments by name."""

from collections.abc import Mapping
from typing import Any, Protocol

import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.locale_formats import LocaleFormats, locale_formats


class ValueCompiler(Protocol):
    """The part of a compiler that filters call. `key` is that of the pseudonyms, None outside templates."""

    key: bytes | None

    def value(self, expression: Expression) -> ir.Value: ...

    def item_text(self, value: ir.Value) -> ir.StringValue: ...

    def either(self, test: ir.BooleanValue, then: ir.Value, otherwise: ir.Value) -> ir.Value: ...


class CompiledCall:
    """What a filter compiles: `base` is the value that it is applied to."""

    def __init__(
        self,
        compiler: ValueCompiler,
        node: ast.FilterCall,
        base: ir.Value,
        arguments: Mapping[str, Expression],
    ) -> None:
        self.compiler = compiler
        self.node = node
        self.base = base
        self.arguments = arguments

    def literal(self, name: str, default: Any = None) -> Any:
        """Return the value of an argument that is written out, or the default where it is left out."""
        argument = self.arguments.get(name)
        return argument.value if isinstance(argument, ast.Literal) else default

    @property
    def formats(self) -> LocaleFormats:
        """The formats of the language that the text is in."""
        return locale_formats(self.node.locale)

    def value(self, name: str) -> ir.Value:
        """Return an argument as a value."""
        return self.compiler.value(self.arguments[name])

    def looked_at(self, item: ir.Value) -> ir.Value:
        """Return what the filter looks at in an item: the item, or the property that `attribute` names."""
        attribute = self.literal("attribute")
        for step in attribute.split(".") if attribute else ():
            item = item[step]
        return item

    def looked_at_items(self) -> ir.ArrayValue:
        """Return what the filter looks at in each item of its list."""
        return dialect.map_items(self.base, self.looked_at) if self.literal("attribute") else self.base
