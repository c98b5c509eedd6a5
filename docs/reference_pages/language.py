"""The parts of docs/reference/language.md: filters, tests and bounds of the template language."""

from reference_pages.markdown import code, listed, table
from storymesh.language import bounds, evaluate, parse
from storymesh.language.filters.base import MAX_DIGITS
from storymesh.language.filters.dates import DATE_CODES
from storymesh.language.filters.numbers import UNITS
from storymesh.language.filters.registry import FILTERS
from storymesh.language.typecheck import base, templates


def page() -> dict[str, str]:
    rows = (
        [
            code(filter_.usage),
            filter_.wants,
            filter_.summary,
            f"{code(filter_.example[0])} → {code(filter_.example[1])}",
        ]
        for filter_ in FILTERS.values()
    )
    rows_of_bounds = [
        ("size of a template", f"{parse.MAX_SIZE // 1024} KiB"),
        ("parts of a template", f"{parse.MAX_NODES:,}"),
        ("parts with its includes", f"{templates.MAX_STATEMENTS:,}"),
        ("expressions with its includes", f"{base.MAX_WORK:,}"),
        ("names that it sets", f"{templates.MAX_NAMES}"),
        ("includes inside each other", f"{templates.MAX_INCLUDES}"),
        ("levels of nesting", f"{parse.MAX_DEPTH}"),
        ("loops inside each other", f"{parse.MAX_LOOPS}"),
        ("`elif` of one `if`", f"{parse.MAX_BRANCHES}"),
        ("digits after the decimal point", f"{MAX_DIGITS}"),
        ("a text", f"{evaluate.MAX_OUTPUT // 1024} KiB"),
        ("all texts on the way to one that is printed", f"{bounds.MAX_CHARACTERS // 1024:,} KiB"),
        ("steps of a text: its parts, each for every round of the loops around it", f"{bounds.MAX_STEPS:,}"),
    ]
    return {
        "tests": listed(evaluate.TESTS),
        "filters": table(["filter", "works on", "gives", "example"], rows),
        "codes": listed(DATE_CODES),
        "units": listed(f'"{unit}"' for unit in UNITS),
        "bounds": table(["what", "at most"], rows_of_bounds),
    }
