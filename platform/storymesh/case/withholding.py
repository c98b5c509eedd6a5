"""Cases from which precedents are withheld, so that there is something to learn to say too little is known of: a share
of all, drawn by their ids, and all cases of some values.
"""

from collections.abc import Mapping
from functools import reduce
from operator import or_

import ibis
import ibis.expr.types as ir

from storymesh.case.definition import Withheld
from storymesh.engine import dialect

DRAWN = 10_000  # the parts of all cases of which so many are withheld
WITHHELD = "withheld"
UNSEEN = "unseen"  # the column of cases that says whether their value is withheld, in all cases that have it
HELD_OUT = 2  # of the values that are withheld one in so many is kept out of train and validation


def mark_withheld(cases: ir.Table, withheld: Withheld, columns: Mapping[str, str]) -> ir.Table:
    """Return cases with the columns `withheld` and `unseen`: True for those drawn by their ids or by a value, and for
    those drawn by a value; as they are if none are drawn. `columns` names the match column of each expression."""
    if not withheld.cases and not any(withheld.values.values()):
        return cases
    drawn = dialect.hash_choice(ibis.literal("withhold:").concat(cases["case_id"]), DRAWN) < _parts(withheld.cases)
    unseen = has_withheld_value(cases, withheld, columns)
    return cases.mutate(**{WITHHELD: drawn | unseen, UNSEEN: unseen})


def has_withheld_value(
    cases: ir.Table, withheld: Withheld, columns: Mapping[str, str], *, held_out: bool = False
) -> ir.BooleanValue:
    """Return whether precedents are withheld from all cases with a value of this one; or with `held_out`, whether the
    value is one of those that only the test may have: every second. Values are drawn by the MD5 of expression and value
    where they are not listed."""
    conditions = [ibis.literal(False)]
    for expression, share in withheld.values.items():
        value = cases["match"][columns[expression]].cast("string")
        if isinstance(share, tuple):
            conditions.append(value.isin([str(item) for item in (share[1::2] if held_out else share)]).fill_null(False))
            continue
        named = ibis.literal(f"{expression}=").concat(value)
        drawn = dialect.hash_choice(ibis.literal("withhold:").concat(named), DRAWN) < _parts(share)
        if held_out:
            drawn &= dialect.hash_choice(ibis.literal("hold out:").concat(named), HELD_OUT) == 0
        conditions.append(drawn.fill_null(False))
    return reduce(or_, conditions)


def _parts(share: float) -> int:
    return round(share * DRAWN)


def with_withheld(found: ir.Table, kept: ir.Table, match: dict[str, ir.Value]) -> ir.Table:
    """Return the probes with `withheld`, and after them those of the cases that are withheld, without precedents."""
    asking = kept.filter(kept[WITHHELD])
    values = {name: asking["match"][name] for name in match}
    probes = asking.select(UNSEEN, rank="rank", day=asking["at"].cast("date"), **values)
    probes = probes.distinct()
    kind = found["precedents"].type()
    known = {
        "enough": ibis.literal(False),
        "unseen": probes[UNSEEN],
        "withheld": ibis.literal(True),
        "tried": ibis.literal(0),
        "options": ibis.literal([], type=kind["options"]),
    }
    nothing = {name: known.get(name, ibis.null()).cast(kind[name]) for name in kind.names}
    withheld = probes.mutate(precedents=ibis.struct(nothing), **{WITHHELD: ibis.literal(True)}).drop(UNSEEN)
    return found.mutate(**{WITHHELD: ibis.literal(False)}).union(withheld)
