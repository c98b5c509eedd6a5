"""A request as one statement: an ibis expression over the columns of the source, compiled to the source's dialect.

The expression names the table by its columns at the source (`physicalName`) and hands them on by those of the contract.
It reads the columns of the request and no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import ibis
import ibis.expr.types as ir

from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_type
from storymesh.errors import StorymeshError
from storymesh.federation.hashing import HashText
from storymesh.federation.request import (
    COMPARISONS,
    ColumnComparison,
    ColumnIsNull,
    ColumnMembership,
    Condition,
    Conjunction,
    Disjunction,
    ExtractRequest,
    FigureGroups,
    Negation,
    RequestedColumn,
    Value,
    columns_of,
)
from storymesh.language.types import Integer

KEYS_TABLE = "storymesh_keys"
"""The table, in the session of the statement, that has the keys which are sent in."""

_NEVER_READ = "storymesh_never_read"
_GRAINS = {"day": "D", "week": "W", "month": "M", "quarter": "Q", "year": "Y"}


@dataclass(frozen=True)
class SourceTable:
    """Where the rows of a product are: a table of a database, and the dialect that it is asked in. `physical` has the
    name there of each property of the contract that is called otherwise."""

    name: str
    dialect: str
    schema: str | None = None
    physical: Mapping[str, str] | None = None

    def column(self, contract: Contract, name: str) -> str:
        """Return what a property is called in the table."""
        return (self.physical or {}).get(name) or contract.properties[name].column_names[0]


def touched_columns(request: ExtractRequest) -> tuple[str, ...]:
    """Return every property that the statement of a request reads, sorted."""
    found = {column.name for column in request.columns}
    found |= {name for condition in request.filters for name in columns_of(condition)}
    found |= {request.window.column} if request.window is not None else set()
    found |= {*request.keys.columns} if request.keys is not None else set()
    if (groups := request.groups) is not None:
        found |= {*groups.names, *(item.column for item in groups.figures if item.column is not None)}
        found |= {name for name in (groups.period, groups.of) if name is not None}
    return tuple(sorted(found))


def source_table(request: ExtractRequest, contract: Contract, source: SourceTable) -> ir.Table:
    """Return the source as a table that has the columns which a request reads, and no other."""
    names = touched_columns(request)
    columns = {source.column(contract, name): _type_of(contract, name) for name in names}
    # A table of which all columns are selected is written as `*`, which would read those that nobody asked for.
    table = ibis.table(ibis.schema({**columns, _NEVER_READ: "boolean"}), name=source.name, database=source.schema)
    return table.select(**{name: table[source.column(contract, name)] for name in names})


def _type_of(contract: Contract, name: str) -> ibis.DataType:
    return ibis.dtype(arrow_type(contract.properties[name].type))


def keys_table(request: ExtractRequest, contract: Contract) -> ir.Table:
    """Return the table of the keys that are sent in, as the statement expects it."""
    assert request.keys is not None
    hashed = {name: sent.form == "hashed" for name, sent in zip(request.keys.columns, request.keys.sent, strict=True)}
    schema = {name: ibis.dtype("string") if hashed[name] else _type_of(contract, name) for name in hashed}
    return ibis.table(ibis.schema(schema), name=KEYS_TABLE)


def extract_expression(
    request: ExtractRequest, contract: Contract, table: ir.Table, keys: ir.Table | None, hashed: HashText
) -> ir.Table:
    """Return the rows or figures that a request is for. `table` has the columns of `touched_columns`, `keys` those that
    are sent in, and `hashed` makes the keyed hash of a value."""
    for condition in request.filters:
        table = table.filter(_condition(table, condition))
    if (window := request.window) is not None:
        moment = table[window.column]
        bounds = [moment >= window.start] if window.start is not None else []
        bounds += [moment <= window.end] if window.end is not None else []
        if bounds:
            within = reduce(and_, bounds)
            table = table.filter(within | moment.isnull() if window.or_null else within)
    if request.keys is not None:
        assert keys is not None
        pairs = zip(request.keys.columns, request.keys.sent, strict=True)
        equal = [(hashed(table[n]) if s.form == "hashed" else table[n]) == keys[n] for n, s in pairs]
        table = table.semi_join(keys, equal)
    if request.groups is not None:
        return _figures(request.groups, contract, table, hashed)
    return table.select(**{column.name: _outgoing(table, column, hashed) for column in request.columns})


def _outgoing(table: ir.Table, column: RequestedColumn, hashed: HashText) -> ir.Value:
    return hashed(table[column.name]) if column.form == "hashed" else table[column.name]


def _figures(groups: FigureGroups, contract: Contract, table: ir.Table, hashed: HashText) -> ir.Table:
    by = {column.name: _outgoing(table, column, hashed) for column in groups.by}
    if groups.period is not None and groups.grain is not None:
        by[groups.period] = table[groups.period].truncate(_GRAINS[groups.grain])
    made = {figure.name: _figure(table, contract, figure.function, figure.column) for figure in groups.figures}
    if not groups.subjects:
        return table.group_by(**by).agg(**made) if by else table.agg(**made)
    assert groups.of is not None
    counted = {"_subjects": table[groups.of].nunique(), **made}
    grouped = table.group_by(**by).agg(**counted) if by else table.agg(**counted)
    return grouped.filter(grouped["_subjects"] >= groups.subjects).drop("_subjects")


def _figure(table: ir.Table, contract: Contract, function: str, column: str | None) -> ir.Value:
    if column is None:
        return table.count()
    value = table[column]
    match function:
        case "count":
            return value.count()
        case "sum":
            whole = isinstance(contract.properties[column].type, Integer)
            return value.sum().cast("int64") if whole else value.sum()
        case "min":
            return value.min()
        case _:
            return value.max()


def _condition(table: ir.Table, condition: Condition) -> ir.BooleanValue:
    match condition:
        case ColumnComparison():
            column = table[condition.column]
            return COMPARISONS[condition.operator](column, _literal(column, condition.value))
        case ColumnMembership():
            column = table[condition.column]
            return column.isin([_literal(column, value) for value in condition.values])
        case ColumnIsNull():
            return table[condition.column].isnull()
        case Negation():
            return ~_condition(table, condition.condition)
        case Conjunction():
            return reduce(and_, [_condition(table, inner) for inner in condition.conditions])
        case Disjunction():
            return reduce(or_, [_condition(table, inner) for inner in condition.conditions])


def _literal(column: ir.Value, value: Value) -> ir.Scalar:
    """Return a value of a request in the type of the column that it is compared with; also a moment that came as text.
    Raises StorymeshError for one that is not of it."""
    try:
        return ibis.literal(value, type=column.type())
    except (TypeError, ValueError, ArithmeticError):
        words = f"a request compares '{column.get_name()}', which is {column.type()}, with {value!r}"
        raise StorymeshError(words, "write a value of that type") from None
