"""ibis's compiler for DuckDB in one pass over an expression, which takes half the time.

ibis first makes of every relation a SELECT, which means to make all that is above it anew, and holds each node against
every rule of three passes. Here a node is written as it is. What wants a rule that is not among these is ibis's.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import STAR
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler
from ibis.common.graph import Graph

from storymesh.engine.enum_text import enum_values, is_enum_text

SQL = Any  # an expression of sqlglot, as ibis, which is not typed, makes it

# A relation of these kinds that several others read is written once.
_WRITTEN_ONCE = (
    *(ops.Project, ops.Filter, ops.Sort, ops.Distinct),
    *(ops.Aggregate, ops.JoinChain, ops.Set, ops.Limit),
)
_REWRITTEN_BY_IBIS = (
    *DuckDBCompiler.lowered_ops,
    *(ops.FillNull, ops.DropNull, ops.ScalarParameter, ops.AliasedRelation),
    *(ops.StringFind, ops.FindInSet, ops.ArrayPosition, ops.NthValue, ops.NTile, ops.First, ops.Last),
)
_LOOPS = (ops.ArrayMap, ops.ArrayFilter)
_READS_NOTHING = (ops.Field, ops.CountStar, ops.CountDistinctStar)


class IbisCompiler(DuckDBCompiler):
    """ibis's own compiler, which forgets that `NOT x IS NULL` is `NOT (x IS NULL)`, and that a text may have a NUL."""

    __slots__ = ()
    SIMPLE_OPS: ClassVar[dict[Any, str]] = {}

    def visit_NonNullLiteral(self, op: ops.Literal, *, value: Any, dtype: dt.DataType) -> SQL | None:
        if not dtype.is_string() or "\0" not in value:
            return super().visit_NonNullLiteral(op, value=value, dtype=dtype)
        first, *others = map(sge.convert, value.split("\0"))  # at which DuckDB would take the query to end
        return self.f.concat(first, *(part for other in others for part in (self.f.chr(0), other)))

    def visit_IsNull(self, op: ops.IsNull, *, arg: SQL) -> SQL:
        return super().visit_IsNull(op, arg=_in_parentheses(arg))

    def visit_NotNull(self, op: ops.NotNull, *, arg: SQL) -> SQL:
        return super().visit_NotNull(op, arg=_in_parentheses(arg))


class QuickCompiler(IbisCompiler):
    """Compiles ibis expressions to DuckDB's SQL, in which a selection of a selection stays one."""

    __slots__ = ()
    SIMPLE_OPS: ClassVar[dict[Any, str]] = {}

    def translate(self, op: ops.Node, *, params: Mapping[Any, Any]) -> SQL:
        if params or ibis.options.sql.fuse_selects or op.find(_REWRITTEN_BY_IBIS):
            return IbisCompiler().translate(op, params=params)
        readers = Graph.from_bfs(op, filter=lambda node: not isinstance(node, _READS_NOTHING)).invert()
        several = {node for node, found in readers.items() if len(found) > 1}
        counted = {node.index for node in readers if isinstance(node, _LOOPS)}
        written_once: list[sge.CTE] = []
        numbers = itertools.count()

        def write(node: ops.Node, _: Any, **parts: Any) -> SQL:
            result = self.visit_node(node, **parts)
            if node in counted:
                return self._less_one(result)
            if node is op or not isinstance(node, ops.Relation):
                return result
            name = f"t{next(numbers)}"
            if node in several and isinstance(node, _WRITTEN_ONCE):
                written_once.append(sge.CTE(alias=self._identifier(name), this=result))
                return self._table(name).as_(f"t{next(numbers)}", quoted=self.quoted, table=True)
            if isinstance(result, sge.Select | sge.SetOperation):
                return result.subquery(self._identifier(name), copy=False)
            is_table = isinstance(result, sge.Table)
            # What nobody else reads takes its new name as it is.
            copy = is_table or getattr(node, "parent", None) in several
            return result.as_(name, quoted=self.quoted, table=is_table, copy=copy)

        query = op.map(write)[op]
        query = query.this if isinstance(query, sge.Subquery) else query
        if isinstance(query, sge.Table):
            query = sg.select(STAR, copy=False).from_(query, copy=False)
        for made in written_once:
            query = query.with_(made.args["alias"], as_=made.this, dialect=self.dialect, copy=False)
        return query

    def _identifier(self, name: str) -> SQL:
        return sg.to_identifier(name, quoted=self.quoted)

    def _table(self, name: str) -> SQL:
        return sge.Table(this=self._identifier(name))

    def _all_of(self, parent: SQL) -> SQL:
        return sg.select(STAR, copy=False).from_(parent, copy=False)

    def visit_Project(self, op: ops.Project, *, parent: SQL, values: Mapping[str, SQL]) -> SQL:
        if _is_all_of_parent(op):
            return self._all_of(parent)
        return sg.select(*self._cleanup_names(values), copy=False).from_(parent, copy=False)

    def visit_Filter(self, op: ops.Filter, *, parent: SQL, predicates: Sequence[SQL]) -> SQL:
        over_windows = [bool(predicate.find(ops.WindowFunction, filter=ops.Value)) for predicate in op.predicates]
        query = self._all_of(parent)
        if rows := [predicate for predicate, over in zip(predicates, over_windows, strict=True) if not over]:
            query = query.where(*rows, copy=False)
        if found := list(itertools.compress(predicates, over_windows)):
            query = query.qualify(*found, copy=False)
        return query

    def visit_Sort(self, _: ops.Sort, *, parent: SQL, keys: Sequence[SQL]) -> SQL:
        return self._all_of(parent).order_by(*keys, copy=False)

    def visit_Distinct(self, _: ops.Distinct, *, parent: SQL) -> SQL:
        return self._all_of(parent).distinct(copy=False)

    def visit_DropColumns(self, op: ops.DropColumns, *, parent: SQL, columns_to_drop: Collection[str]) -> SQL:
        # ibis's own makes a copy of the whole query that it selects from.
        named = super().visit_DropColumns(op, parent=self._table(parent.alias_or_name), columns_to_drop=columns_to_drop)
        return named.from_(parent, copy=False)

    def visit_Alias(self, _: ops.Alias, *, arg: SQL, **__: Any) -> SQL:
        return arg

    def visit_StructField(self, op: ops.StructField, *, arg: SQL, field: str) -> SQL:
        if isinstance(op.arg, ops.Field):
            return super().visit_StructField(op, arg=arg, field=field)
        return sge.Dot(this=sge.Paren(this=arg), expression=self._identifier(field))  # ibis's own makes a copy

    def visit_InValues(self, _: ops.InValues, *, value: SQL, options: Sequence[SQL]) -> SQL:
        return value.isin(*options) if options else sge.false()

    def visit_ArrayMap(self, op: ops.ArrayMap, *, index: SQL, **parts: SQL) -> SQL:
        return super().visit_ArrayMap(op, index=op.index and sg.to_identifier(op.index.param), **parts)

    def visit_ArrayFilter(self, op: ops.ArrayFilter, *, index: SQL, **parts: SQL) -> SQL:
        return super().visit_ArrayFilter(op, index=op.index and sg.to_identifier(op.index.param), **parts)

    def visit_WindowFunction(self, op: ops.WindowFunction, **parts: Any) -> SQL:
        window = super().visit_WindowFunction(op, **parts)
        return self._less_one(window) if isinstance(op.func, ops.RankBase) else window

    def _less_one(self, number: SQL) -> SQL:
        """Return a number that the engine counts from 1, counted from 0."""
        return self.binop(sge.Sub, number, sge.convert(1))


class FileCompiler(QuickCompiler):
    """Compiles what is written to a file, in which a text that is one of a few is an ENUM: a number for each row."""

    __slots__ = ()

    def visit_ScalarUDF(self, op: ops.ScalarUDF, **arguments: SQL) -> SQL:
        if (texts := enum_values(op)) is None:
            return super().visit_ScalarUDF(op, **arguments)
        kind = sge.DataType(this=sge.DataType.Type.ENUM, expressions=[sge.convert(text) for text in texts])
        return sge.Cast(this=next(iter(arguments.values())), to=kind)

    def visit_Array(self, op: ops.Array, *, exprs: Sequence[SQL]) -> SQL:
        if op.find(is_enum_text, filter=ops.Value):
            return self.f.array(*exprs)  # ibis's own makes a text of it again
        return super().visit_Array(op, exprs=exprs)


def _in_parentheses(value: SQL) -> SQL:
    return sge.paren(value, copy=False) if isinstance(value, sge.Not) else value


def _is_all_of_parent(op: ops.Project) -> bool:
    """Return True for a selection of all columns of its parent as they are."""
    names = op.parent.schema.names
    return len(names) == len(op.values) and all(
        isinstance(value, ops.Field) and value.name == name == own and value.rel == op.parent
        for name, (own, value) in zip(names, op.values.items(), strict=True)
    )
