"""Expressions as Spark SQL: what Spark means otherwise than `engine.dialect`, one file as that is.

Each difference has a vector in `tests/engine/test_spark.py`. It is written to hold with ANSI mode on and off; tests
run with it on.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import NULL, SQLGlotCompiler
from ibis.backends.sql.compilers.pyspark import PySparkCompiler

from storymesh.engine.spark.filter_fence import fence_filters
from storymesh.engine.spark.sql_parts import SQL, is_cheap, name_of, null, present, quoted

SECRET_VIEW = "storymesh_secret"  # noqa: S105 - a view of one row, of which `text` is the secret

# Unicode maps these letters to several capitals, Spark too; the language maps one letter to one.
_LOWER = ("İΣ", "iσ")
_MANY = [chr(code) for code in range(0x80, 0x30000) if len(chr(code).upper()) > 1]
_ONE = [letter.title() if len(letter.title()) == 1 else "ẞ" if letter == "ß" else letter for letter in _MANY]

_DATE_CODES = {
    "%Y": "yyyy", "%m": "MM", "%-m": "M", "%d": "dd", "%-d": "d", "%B": "MMMM", "%b": "MMM", "%A": "EEEE", "%a": "EEE",
    "%H": "HH", "%M": "mm", "%S": "ss",
}  # fmt: skip


class SparkCompiler(PySparkCompiler):
    """Compiles ibis expressions to Spark SQL."""

    __slots__ = ()
    SIMPLE_OPS: ClassVar[dict[Any, str]] = {}  # those of the base would take the place of the methods below

    def sql(self, expression: Any) -> str:
        """Return the SQL of a table or scalar expression."""
        query = self.to_sqlglot(fence_filters(expression.as_table()))
        self._join_secret(query)
        return str(query.sql(dialect=self.dialect, copy=False))

    # --- literals ---

    def visit_NonNullLiteral(self, op: ops.Literal, *, value: Any, dtype: dt.DataType) -> SQL | None:
        if dtype.is_string():
            return quoted(value)
        if dtype.is_floating():
            # A plain 0.5 is a decimal.
            return self.cast(quoted(repr(float(value))), dt.float64)
        if dtype.is_integer():
            return self.cast(quoted(str(value)), dtype)
        if dtype.is_array() and not value:
            return self.cast(self.f.anon.array(), dtype)
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_Array(self, op: ops.Array, *, exprs: Sequence[SQL]) -> SQL:
        made = self.f.anon.array(*exprs)
        return made if exprs else self.cast(made, op.dtype)

    # --- floats and numbers: not a number is a number that is there ---

    def visit_Field(self, op: ops.Field, *, rel: SQL, name: str) -> SQL:
        return SQLGlotCompiler.visit_Field(self, op, rel=rel, name=name)

    def visit_IsNull(self, op: ops.IsNull, *, arg: SQL) -> SQL:
        return null(arg)

    def visit_NotNull(self, op: ops.NotNull, *, arg: SQL) -> SQL:
        return present(arg)

    def visit_Divide(self, op: ops.Divide, *, left: SQL, right: SQL) -> SQL:
        """Divide floats as IEEE 754 does: Spark's `/` by zero is null or an error."""
        left, right = self.cast(left, dt.float64), self.cast(right, dt.float64)
        if _is_never_zero(op.right):
            return left / right
        zero = self._float("0.0")

        def by_zero(number: SQL) -> SQL:
            infinite = self.if_(number > zero, self._float("Infinity"), self._float("-Infinity"))
            return self.if_(sg.or_(self.f.isnan(number), number.eq(zero)), self._float("NaN"), infinite)

        def divided(number: SQL, divisor: SQL) -> SQL:
            of_zero = self.if_(null(number), NULL, by_zero(number))
            return self.if_(divisor.eq(zero), of_zero, number / divisor)

        return self._once(left, lambda number: self._once(right, lambda divisor: divided(number, divisor)))

    def visit_Negate(self, op: ops.Negate, *, arg: SQL) -> SQL:
        return self._negative(arg, op.dtype)

    def visit_Abs(self, op: ops.Abs, *, arg: SQL) -> SQL:
        if not _is_long(op.dtype):
            return self.f.anon.abs(arg)
        return self._once(arg, lambda number: self.if_(number < 0, self._negative(number, op.dtype), number))

    def _negative(self, value: SQL, kind: dt.DataType) -> SQL:
        """Turn the sign of a number with all its digits: of a decimal Spark's minus, also in its `abs`, keeps 34."""
        return self.cast(self.cast(quoted("0"), kind) - value, kind) if _is_long(kind) else -sge.Paren(this=value)

    def visit_Cast(self, op: ops.Cast, *, arg: SQL, to: dt.DataType) -> SQL:
        kind = op.arg.dtype
        if isinstance(kind, dt.Decimal) and to.is_string() and (kind.scale or 0) > 6:
            # Spark writes small ones with an exponent.
            return self.f.anon.replace(self.f.anon.format_number(arg, sge.convert(kind.scale)), quoted(","), quoted(""))
        if to.is_integer() and isinstance(op.arg, ops.StringConcat):
            first, *rest = op.arg.arg
            if isinstance(first, ops.Literal) and first.value == "0x":
                digits = self.f.anon.concat(*list(arg.expressions)[1:]) if len(rest) > 1 else arg.expressions[1]
                return self.cast(self.f.anon.conv(digits, sge.convert(16), sge.convert(10)), to)
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_TryCast(self, op: ops.TryCast, *, arg: SQL, to: dt.DataType) -> SQL:
        return self._try_cast(arg, to)

    def visit_ArraySum(self, op: ops.ArraySum, *, arg: SQL) -> SQL:
        """Add from left to right, whole numbers and decimals in 38 digits; what is more is null."""
        item = op.arg.dtype.value_type
        wide = dt.float64 if item.is_floating() else dt.Decimal(38, item.scale if isinstance(item, dt.Decimal) else 0)
        there = self._lambda(self.f.anon.filter, arg, "x", present(name_of("x")))
        added = self.cast(self.f.anon.try_add(name_of("s"), self.cast(name_of("x"), wide)), wide)
        adding = sge.Lambda(this=added, expressions=[name_of("s"), name_of("x")])

        def total(items: SQL) -> SQL:
            some = self.f.anon.array_size(items) > sge.convert(0)
            return self.if_(some, self.f.anon.aggregate(items, self.cast(quoted("0"), wide), adding), NULL)

        return self._once(there, total)

    # --- texts ---

    def visit_Uppercase(self, op: ops.Uppercase, *, arg: SQL) -> SQL:
        letter = name_of("c")
        single = self.f.anon.char_length(self.f.anon.upper(letter)).eq(sge.convert(1))
        mapped = self.f.anon.translate(letter, quoted("".join(_MANY)), quoted("".join(_ONE)))
        capital = self.if_(single, self.f.anon.upper(letter), mapped)

        def capitals(text: SQL) -> SQL:
            special = sge.RegexpLike(this=text, expression=quoted(f"[{''.join(_MANY)}]"))
            letters = self._lambda(self.f.anon.transform, self.f.anon.split(text, quoted("")), "c", capital)
            return self.if_(special, self.f.anon.array_join(letters, quoted("")), self.f.anon.upper(text))

        return self._once(arg, capitals)

    def visit_Lowercase(self, op: ops.Lowercase, *, arg: SQL) -> SQL:
        return self.f.anon.lower(self.f.anon.translate(arg, quoted(_LOWER[0]), quoted(_LOWER[1])))

    def visit_StringSplit(self, op: ops.StringSplit, *, arg: SQL, delimiter: Any) -> SQL:
        if not isinstance(op.delimiter, ops.Literal) or op.delimiter.value:
            raise NotImplementedError("a text is split into its letters only")
        return self.f.anon.split(arg, quoted(""))

    def visit_RegexSplit(self, op: ops.RegexSplit, *, arg: SQL, pattern: SQL) -> SQL:
        return self.f.anon.split(arg, pattern)

    def visit_StringLength(self, op: ops.StringLength, *, arg: SQL) -> SQL:
        return self.cast(self.f.anon.char_length(arg), dt.int64)

    def visit_Substring(self, op: ops.Substring, *, arg: SQL, start: SQL, length: SQL | None) -> SQL:
        count = sge.convert(2**31 - 1) if length is None else self.cast(length, dt.int32)
        return self.f.anon.substr(arg, self.cast(start + 1, dt.int32), count)

    def visit_StrRight(self, op: ops.StrRight, *, arg: SQL, nchars: SQL) -> SQL:
        return self.f.anon.right(arg, self.cast(nchars, dt.int32))

    def visit_RegexReplace(self, op: ops.RegexReplace, *, arg: SQL, pattern: SQL, replacement: SQL) -> SQL:
        """Write the groups of a replacement as Java does, `$1`."""
        assert isinstance(op.replacement, ops.Literal)
        java = re.sub(r"\\([0-9])", r"$\1", op.replacement.value.replace("$", "\\$"))
        return self.f.anon.regexp_replace(arg, pattern, quoted(java))

    def visit_Strftime(self, op: ops.Strftime, *, arg: SQL, format_str: Any) -> SQL:
        assert isinstance(op.format_str, ops.Literal)
        return self._format_moment(arg, op.format_str.value)

    def _format_moment(self, moment: SQL, pattern: str) -> SQL:
        """Format by Python's codes, each by itself: two of Spark's side by side are another one."""
        parts = [
            self.f.anon.date_format(moment, quoted(_DATE_CODES[part]))
            if part in _DATE_CODES
            else quoted("%" if part == "%%" else part)
            for part in re.findall(r"%%|%-?[A-Za-z]|[^%]+|%", pattern)
        ]
        return self.f.anon.concat(*parts) if parts else self.if_(null(moment), NULL, quoted(""))

    def visit_ExtractMicrosecond(self, op: ops.ExtractMicrosecond, *, arg: SQL) -> SQL:
        return self.cast(self.f.anon.date_format(arg, quoted("SSSSSS")), dt.int32)

    # --- lists ---

    def visit_ArrayMap(self, op: ops.ArrayMap, *, arg: SQL, body: SQL, param: SQL, index: SQL | None) -> SQL:
        """Take one field of each row without a lambda: Spark interprets those."""
        if isinstance(op.body, ops.StructField) and op.body.arg == op.param:
            return sge.Dot(this=arg, expression=sg.to_identifier(op.body.field, quoted=True))
        return super().visit_ArrayMap(op, arg=arg, body=body, param=param, index=index)

    def visit_ArrayIndex(self, op: ops.ArrayIndex, *, arg: SQL, index: Any) -> SQL:
        """Count from 0, from the end where it is negative; null where there is no item."""
        if isinstance(op.index, ops.Literal):
            place = op.index.value
            return self.f.anon.try_element_at(arg, sge.convert(place + (place >= 0)))
        place = self._once(index, lambda number: self.if_(number >= sge.convert(0), number + 1, number))
        return self.f.anon.try_element_at(arg, self.cast(place, dt.int32))

    def visit_ArraySlice(self, op: ops.ArraySlice, *, arg: SQL, start: Any, stop: Any) -> SQL:
        zero = sge.convert(0)

        def place(number: SQL, size: SQL) -> SQL:
            return self._once(number, lambda n: self.if_(n < zero, self.f.anon.greatest(n + size, zero), n))

        def sliced(values: SQL) -> SQL:
            size = self.f.anon.array_size(values)
            first = zero if start is None else place(start, size)
            last = size if stop is None else place(stop, size)
            count = self.f.anon.greatest(last - first, zero)
            return self.f.anon.slice(values, self.cast(first + 1, dt.int32), self.cast(count, dt.int32))

        return self._once(arg, sliced)

    def visit_ArrayLength(self, op: ops.ArrayLength, *, arg: SQL) -> SQL:
        return self.cast(self.f.anon.array_size(arg), dt.int64)  # `size` of null is -1 without ANSI

    def visit_ArrayFlatten(self, op: ops.ArrayFlatten, *, arg: SQL) -> SQL:
        there = present(name_of("x"))
        return self.f.anon.flatten(self._lambda(self.f.anon.filter, arg, "x", there))

    def visit_ArrayStringJoin(self, op: ops.ArrayStringJoin, *, arg: SQL, sep: Any) -> SQL:
        return self.f.anon.array_join(arg, sep)

    def visit_ArraySort(self, op: ops.ArraySort, *, arg: SQL) -> SQL:
        return self._sorted(arg, op.dtype.value_type)

    def _sorted(self, values: SQL, item: dt.DataType) -> SQL:
        """Sort with nulls last, in rows too: Spark has them first there."""
        if not isinstance(item, dt.Struct):
            return self.f.anon.array_sort(values)  # it compares by a lambda; `sort_array` has nulls first
        row = name_of("x")
        parts: list[SQL] = []
        for name, kind in item.items():
            field = sge.Dot(this=row, expression=sg.to_identifier(name, quoted=True))
            if kind.is_nested():
                break
            parts += [null(field), field]
        keyed = self._lambda(self.f.anon.transform, values, "x", self.f.anon.struct(*parts, sge.alias_(row, "whole")))
        return sge.Dot(this=self.f.anon.sort_array(keyed), expression=sg.to_identifier("whole"))

    def visit_IntegerRange(self, op: ops.IntegerRange, *, start: Any, stop: Any, step: Any) -> SQL:
        if not isinstance(op.step, ops.Literal) or op.step.value != 1:
            raise NotImplementedError("ranges have the step 1")
        start, stop = self.cast(start, dt.int64), self.cast(stop, dt.int64)
        nothing = self.cast(self.f.anon.array(), dt.Array(dt.int64))

        def numbers(first: SQL, end: SQL) -> SQL:
            return self.if_(end > first, self.f.anon.sequence(first, end - 1), nothing)

        return self._once(start, lambda first: self._once(stop, lambda end: numbers(first, end)))

    # --- functions that `dialect` names as DuckDB does ---

    def visit_ScalarUDF(self, op: ops.ScalarUDF, **arguments: SQL) -> SQL:
        name = type(op).__func_name__
        values = list(arguments.values())
        if name in _SAME:
            return self.f.anon[_SAME[name]](*values)
        function: Callable[..., SQL] | None = getattr(self, f"_{name}", None)
        if function is None:
            raise NotImplementedError(f"Spark has no '{name}': what needs it runs on the local engine")
        return function(op, *values)

    def _format(self, op: ops.ScalarUDF, _pattern: SQL, value: SQL) -> SQL:
        """Print a number by Python's `{:,.2f}`, `{:.2f}` or `{:,d}`: ties to even on the binary value."""
        pattern = op.__args__[0].value
        body = pattern.strip("{:}")
        commas, digits = body.startswith(","), int(body.strip(",.f") or 0) if body.endswith("f") else 0
        if body.endswith("d"):
            return self.f.anon.format_number(value, sge.convert(0))
        text = self._once(value, lambda number: self._fixed(number, digits))
        return text if commas else self.f.anon.replace(text, quoted(","), quoted(""))

    def _fixed(self, value: SQL, digits: int) -> SQL:
        """Print a float that is a name. `format_number` is exact only while a digit is worth more than the last bit."""
        size, places = self.f.anon.abs(value), sge.convert(digits)
        whole = self._try_cast(value, dt.int64)
        quick = self.f.anon.format_number(value, places)
        large = self.f.anon.format_number(whole, places)
        past = self.if_(size < self._float(repr(2.0**63)), large, self.cast(value, dt.string))
        exact = self._fixed_exactly(value, size, whole, digits) if digits else past
        middle = self.if_(size < self._float(repr(2.0**52)), exact, past)
        return self.if_(size < self._float(repr(4e15 / 10**digits)), quick, middle)

    def _fixed_exactly(self, value: SQL, size: SQL, whole: SQL, digits: int) -> SQL:
        """Print a float from 4e15 / 10^digits to 2^52: its fraction has 41 bits, so it is computed in whole numbers."""
        bits = self._decimal(2**41)
        fraction = size - self.f.anon.abs(self.cast(whole, dt.float64))
        scaled = self.cast(self.cast(fraction * self._float(repr(2.0**41)), dt.int64), dt.Decimal(13, 0))
        product = scaled * self._decimal(10**digits)
        cut, rest = self.cast(self._div(product, bits), dt.Decimal(13, 0)), product % bits
        twice = rest * self._decimal(2)
        odd = (cut % self._decimal(2)).eq(self._decimal(1))
        up = self.if_(sg.or_(twice > bits, sg.and_(twice.eq(bits), odd)), self._decimal(1), self._decimal(0))
        unit = self.cast(quoted(f"{10.0**-digits:.{digits}f}"), dt.Decimal(digits + 1, digits))
        total = self.cast(self.f.anon.abs(whole), dt.Decimal(19, 0)) + (cut + up) * unit
        signed = self.if_(value < self._float("0.0"), -sge.Paren(this=total), total)
        return self.f.anon.format_number(self.cast(signed, dt.Decimal(38, digits)), sge.convert(digits))

    def _div(self, left: SQL, right: SQL) -> SQL:
        return sge.Anonymous(this="`div`", expressions=[left, right])

    def _round(self, op: ops.ScalarUDF, value: SQL, *_digits: SQL) -> SQL:
        return self.f.anon.round(value, *map(sge.convert, (digits.value for digits in op.__args__[1:])))

    def _trunc(self, op: ops.ScalarUDF, value: SQL, _digits: SQL) -> SQL:
        digits, rounding = sge.convert(op.__args__[1].value), self.f.anon
        return self._once(value, lambda v: self.if_(v < 0, rounding.ceil(v, digits), rounding.floor(v, digits)))

    def _divide(self, _op: ops.ScalarUDF, value: SQL, divisor: SQL) -> SQL:
        return self._div(value, divisor)

    def _strftime(self, op: ops.ScalarUDF, moment: SQL, _pattern: SQL) -> SQL:
        return self._format_moment(moment, op.__args__[1].value)

    def _concat(self, _op: ops.ScalarUDF, *texts: SQL) -> SQL:
        return self.f.anon.concat_ws(quoted(""), *texts)

    def _substr(self, _op: ops.ScalarUDF, text: SQL, start: Any, length: Any) -> SQL:
        return self.f.anon.substr(text, self.cast(start, dt.int32), self.cast(length, dt.int32))

    def _isfinite(self, _op: ops.ScalarUDF, value: SQL) -> SQL:
        return self.f.anon.abs(value) < self._float("Infinity")  # which is less than what is no number

    def _list_sort(self, op: ops.ScalarUDF, values: SQL) -> SQL:
        return self._sorted(values, op.dtype.value_type)

    def _list_extract(self, _op: ops.ScalarUDF, values: SQL, number: SQL) -> SQL:
        return self.f.anon.get(values, self.cast(number - 1, dt.int32))

    def _list_select(self, op: ops.ScalarUDF, values: SQL, places: SQL) -> SQL:
        def picked(listed: SQL) -> SQL:
            return self._lambda(self.f.anon.transform, places, "x", self._list_extract(op, listed, name_of("x")))

        return self._once(values, picked)

    def _list_distinct(self, _op: ops.ScalarUDF, values: SQL) -> SQL:
        return self.f.anon.array_distinct(self.f.anon.array_compact(values))

    def _getvariable(self, _op: ops.ScalarUDF, _name: SQL) -> SQL:
        return sg.column("text", table=SECRET_VIEW)

    def _epoch_us(self, _op: ops.ScalarUDF, moment: SQL) -> SQL:
        return self.f.anon.unix_micros(sge.cast(moment, "TIMESTAMP_LTZ", dialect="spark"))

    # --- parts ---

    def _join_secret(self, query: SQL) -> None:
        """Give every selection that reads the secret the view that has it."""
        selections: dict[int, sge.Select] = {}
        for column in query.find_all(sge.Column):
            if column.table == SECRET_VIEW:
                selection = column.parent_select
                assert selection is not None, "a column stands in a selection"
                selections[id(selection)] = selection
        for selection in selections.values():
            if selection.args.get("from_") or selection.args.get("from"):
                selection.join(sge.to_table(SECRET_VIEW), join_type="cross", copy=False)
            else:
                selection.from_(sge.to_table(SECRET_VIEW), copy=False)

    def _float(self, text: str) -> SQL:
        return self.cast(quoted(text), dt.float64)

    def _decimal(self, number: int) -> SQL:
        return self.cast(quoted(str(number)), dt.Decimal(13, 0))

    def _try_cast(self, value: SQL, to: dt.DataType) -> SQL:
        return sge.TryCast(this=value, to=self.type_mapper.from_ibis(to), safe=True)

    def _once(self, value: SQL, body: Callable[[SQL], SQL]) -> SQL:
        """Return `body` of a value that it reads several times and that is computed once."""
        if is_cheap(value):
            return body(value)
        name = f"once_{next(_numbers)}"
        made = self._lambda(self.f.anon.transform, self.f.anon.array(value), name, body(name_of(name)))
        return self.f.anon.get(made, sge.convert(0))

    def _lambda(self, function: Callable[..., SQL], values: SQL, name: str, body: SQL) -> SQL:
        return function(values, sge.Lambda(this=body, expressions=[name_of(name)]))


_numbers = itertools.count()  # of the names in `_once`, which differ so that none hides another

_SAME = {"coalesce": "coalesce", "trim": "btrim", "list_reverse": "reverse", "regexp_matches": "rlike"}


def _is_long(kind: dt.DataType) -> bool:
    return isinstance(kind, dt.Decimal) and (kind.precision or 38) > 34


def _is_never_zero(divisor: ops.Value) -> bool:
    literal = divisor.arg if isinstance(divisor, ops.Cast) else divisor
    return isinstance(literal, ops.Literal) and bool(literal.value)
