"""A call of a filter while it is compiled: what it is applied to, and its arguments by name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.language import ast
from storymesh.language.ast import Expression

if TYPE_CHECKING:
    from storymesh.language.compile.expressions import ExpressionCompiler


class CompiledCall:
    """What a filter compiles: `base` is the value that it is applied to."""

    def __init__(
        self,
        compiler: "ExpressionCompiler",
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
