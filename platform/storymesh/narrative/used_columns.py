"""Which properties of each role are read: by templates and formulas, by one config, by the links of the cases."""

from collections.abc import Iterable, Mapping

from storymesh.case.resolve import Cast
from storymesh.case.scopes import TypedCase
from storymesh.language.static_values import Path
from storymesh.language.typecheck.scope import Checked
from storymesh.narrative.typed_record import TypedRecord

Columns = Mapping[str, frozenset[str]]
"""Role -> the properties of its product."""

_OF_OUTCOMES = frozenset({"outcome", "precedents", "option"})


def used_columns(cast: Cast, typed: TypedCase, used: Iterable[Checked], paths: Iterable[Path]) -> Columns:
    """Return the properties of each role that templates and formulas read, facts followed to what they read."""
    reads = {path for checked in used for path in checked.reads}
    return _columns(cast, typed, reads | set(paths))


def _columns(cast: Cast, typed: TypedCase, reads: Iterable[Path]) -> Columns:
    carried: dict[str, set[str]] = {role: set() for role in cast.roles}
    for read in reads:
        # What a template reads of a quoted precedent is a fact of that case.
        own = read[read.index("quoted") + 1 :] if "quoted" in read else read
        for path in typed.base_paths(own) if own else ():
            if path[0] in carried and len(path) > 1 and path[1] in cast.roles[path[0]].contract.properties:
                carried[path[0]].add(path[1])
    return {role: frozenset(columns) for role, columns in carried.items()}


def linking_columns(cast: Cast, together: Iterable[Path]) -> Columns:
    """Return the properties by which the cases themselves come about: keys, joins, clocks, and what splits them."""
    found: dict[str, set[str]] = {role: set(item.contract.key) for role, item in cast.roles.items()}
    found[cast.anchor.name] |= {cast.at, *((cast.closes,) if cast.closes is not None else ())}
    for role in cast.roles.values():
        contract = role.contract
        by_time = role.link is not None and (role.link.within or role.link.overlaps or role.link.as_of or role.listed)
        moments = (contract.event_time, contract.end_time if role.link and role.link.overlaps else None)
        found[role.name] |= {name for name in moments if by_time and name is not None}
        for join in role.joins:
            found[role.name].add(join.column)
            found[join.other].add(join.other_column)
    for role_name, column in together:
        found[role_name].add(column)
    return {role: frozenset(columns) for role, columns in found.items()}


def record_columns(cast: Cast, typed: TypedCase, record: TypedRecord) -> Columns:
    """Return the properties that one config reads, also those behind the outcomes and precedents that it tells."""
    reads = {*record.reads, *record.prints, *(path for condition in record.conditions for path in condition.reads)}
    tells = any(path[0] in _OF_OUTCOMES for path in reads) or any(
        slot.phase == "answer" for slot in record.slots.values()
    )
    if tells or record.least_tried is not None:
        formulas = [*typed.outcome.values(), *(formula for level in typed.match for formula in level)]
        reads |= {path for formula in formulas for path in formula.checked.reads}
    return _columns(cast, typed, reads)
