"""What a passage for retrieval carries beside its text: a flat row that vector stores filter by.

Stores take texts, numbers and booleans under plain names, no rows inside rows and no dates of their own. So what the
passage prints is laid flat, `delay.waterway` as `delay_waterway`, and moments are ISO 8601 texts, which order as they
follow each other.
"""

import re
from collections.abc import Iterator, Mapping

import ibis
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.narrative.typed import TypedNarrative

_MOMENT, _DAY = "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"


def of_case(cases: ir.Table, typed: TypedNarrative, names: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
    """The first columns of the metadata: when the case was asked and closed, what was done and whether it worked. Null
    while that is open; left out where the narrative has none, or it reads what is restricted."""
    found: dict[str, ir.Value] = {"case_at": cases["at"]}
    if typed.cast.closes is not None:
        found["case_closes"] = cases["closes"]
    for name in ("action", "worked"):
        formula = typed.views.outcome.get(name)
        if formula and (formula.checked.value.classification != "restricted" or formula.checked.value.pseudonym):
            found[name] = names["outcome"][name]
    return found


def metadata(case: Mapping[str, ir.Value], facts: ir.StructValue) -> ir.StructValue:
    """The flat row: the columns of the case, then every scalar fact, in the order of their paths.

    Letters, digits and `_` are what is left of a name; of two facts that would have one name the later is `name_2`. A
    decimal is a double. Lists stay in `facts`.
    """
    told = {name: _scalar(value) for name, value in case.items()}
    for path, value in _leaves(facts, ()):
        if (path[0] == "outcome" and path[-1] in case) or f"{path[0]}_{path[-1]}" in ("case_at", "case_closes"):
            continue
        plain = re.sub(r"\W", "_", "_".join(path), flags=re.ASCII)
        name, number = plain, 1
        while name in told:
            number += 1
            name = f"{plain}_{number}"
        told[name] = _scalar(value)
    return ibis.struct(told)


def _leaves(row: ir.StructValue, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], ir.Value]]:
    for name in row.type().names:
        value = row[name]
        if value.type().is_struct():
            yield from _leaves(value, (*above, name))
        elif not value.type().is_nested():
            yield (*above, name), value


def _scalar(value: ir.Value) -> ir.Value:
    kind = value.type()
    if kind.is_timestamp() or kind.is_date():
        return dialect.format_moment(value, _DAY if kind.is_date() else _MOMENT)
    return value.cast("float64") if kind.is_decimal() else value
