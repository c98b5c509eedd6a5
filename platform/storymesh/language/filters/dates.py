"""The filter of dates and timestamps."""

import re
from datetime import date, datetime
from typing import TYPE_CHECKING

from storymesh.language.filters.base import CheckedCall, Parameter, SizedCall, TextFilter
from storymesh.language.sizes import ONE, PRINTED, Size, constant
from storymesh.language.static_values import StaticValue
from storymesh.language.types import MOMENTS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall

DATE_CODES = ("%Y", "%m", "%-d", "%d", "%B", "%b", "%A", "%a", "%H", "%M", "%S", "%%")
_CODE = re.compile(r"%-d|%[YmdBbAaHMS%]")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class DateFilter(TextFilter):
    name = "date"
    accepts = MOMENTS
    wants = "a date or timestamp"
    summary = f"a date in a format of {' '.join(DATE_CODES)}"
    example = ('case.at | date("%-d %B %Y")', "3 March 2024")
    parameters = (Parameter("format", literal=str),)

    def infer(self, call: CheckedCall) -> StaticValue:
        pattern = call.literal("format")
        rest = _CODE.sub("", str(pattern.value)) if pattern else ""
        if "%" in rest:
            code = rest[rest.index("%") : rest.index("%") + 2]
            return call.fail(f"'{code}' is no part of a date format", f"known: {' '.join(DATE_CODES)}", pattern)
        return super().infer(call)

    def estimate_size(self, call: SizedCall) -> Size:
        # A code of two signs is written with nine at most: September, Wednesday.
        return Size(ONE, constant(max(PRINTED, 8 * len(call.literal("format") or ""))))

    def evaluate(self, value: date, /, format: str = "%Y-%m-%d") -> str:  # noqa: A002 - as authors write it
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        parts = {
            "%Y": f"{moment.year:04d}",
            "%m": f"{moment.month:02d}",
            "%d": f"{moment.day:02d}",
            "%-d": str(moment.day),
            "%B": _MONTHS[moment.month - 1],
            "%b": _MONTHS[moment.month - 1][:3],
            "%A": _WEEKDAYS[moment.weekday()],
            "%a": _WEEKDAYS[moment.weekday()][:3],
            "%H": f"{moment.hour:02d}",
            "%M": f"{moment.minute:02d}",
            "%S": f"{moment.second:02d}",
            "%%": "%",
        }
        return _CODE.sub(lambda code: parts[code[0]], format)

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.engine import dialect

        return dialect.format_moment(call.base, call.literal("format", "%Y-%m-%d"))
