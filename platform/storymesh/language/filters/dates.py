"""The filter of dates and timestamps."""

import re
from datetime import date, datetime
from typing import TYPE_CHECKING

from storymesh.language.filters.base import CheckedCall, Parameter, SizedCall, TextFilter
from storymesh.language.locale_formats import DATE_STYLES, LocaleFormats, locale_formats
from storymesh.language.sizes import ONE, PRINTED, Size, constant
from storymesh.language.static_values import StaticValue
from storymesh.language.types import MOMENTS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall

DATE_CODES = ("%Y", "%m", "%-m", "%-d", "%d", "%B", "%b", "%A", "%a", "%H", "%M", "%S", "%%")
_CODE = re.compile(r"%-[dm]|%[YmdBbAaHMS%]")
ISO = "%Y-%m-%d"


class DateFilter(TextFilter):
    name = "date"
    accepts = MOMENTS
    wants = "a date or timestamp"
    in_locale = True
    summary = (
        f"a date in a format of {' '.join(DATE_CODES)}, with the names of the language, or in one of its styles "
        f"{', '.join(DATE_STYLES)}"
    )
    example = ('case.at | date("%-d %B %Y")', "3 March 2024")
    parameters = (Parameter("format", literal=str),)

    def infer(self, call: CheckedCall) -> StaticValue:
        if (pattern := call.literal("format")) is None:
            return super().infer(call)
        text, known = str(pattern.value), f"known: {' '.join(DATE_CODES)}, or one of {', '.join(DATE_STYLES)}"
        rest = _CODE.sub("", text)
        if "%" in rest:
            code = rest[rest.index("%") : rest.index("%") + 2]
            return call.fail(f"'{code}' is no part of a date format", known, pattern)
        if rest == text and text not in DATE_STYLES:
            return call.fail(f"'{text}' would print nothing of the date", known, pattern)
        return super().infer(call)

    def estimate_size(self, call: SizedCall) -> Size:
        formats = locale_formats(call.node.locale)
        longest = max(map(len, (*formats.months, *formats.weekdays, "2024")))
        pattern = date_pattern(call.literal("format"), formats)
        return Size(ONE, constant(max(PRINTED, len(pattern) * longest)))

    def evaluate(self, value: date, locale: str, /, format: str | None = None) -> str:  # noqa: A002 - as authors write it
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        formats = locale_formats(locale)
        parts = {
            "%Y": f"{moment.year:04d}",
            "%m": f"{moment.month:02d}",
            "%-m": str(moment.month),
            "%d": f"{moment.day:02d}",
            "%-d": str(moment.day),
            "%B": formats.months[moment.month - 1],
            "%b": formats.short_months[moment.month - 1],
            "%A": formats.weekdays[moment.weekday()],
            "%a": formats.short_weekdays[moment.weekday()],
            "%H": f"{moment.hour:02d}",
            "%M": f"{moment.minute:02d}",
            "%S": f"{moment.second:02d}",
            "%%": "%",
        }
        return _CODE.sub(lambda code: parts[code[0]], date_pattern(format, formats))

    def compile(self, call: "CompiledCall") -> "ir.Value":
        from storymesh.language.compile.locale import moment

        return moment(call.base, date_pattern(call.literal("format"), call.formats), call.formats)


def date_pattern(written: str | None, formats: LocaleFormats) -> str:
    """Return the codes of a format, which may be the name of a style."""
    return ISO if written is None else formats.date_styles.get(written, written)
