"""`case: where`: which rows of the anchor are cases.

It reads what is known with the row, so that no case comes about, or not, by its own future.
"""

from typing import TYPE_CHECKING

from storymesh.case.definition import Case
from storymesh.case.resolve import Cast, LocationOf
from storymesh.errors import DefinitionErrors, Finding
from storymesh.language.parse import parse_expression
from storymesh.language.static_values import ANYTHING, a_kind
from storymesh.language.typecheck.scope import CheckedExpression, Scope
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.types import Boolean, Field, Hidden, Struct

if TYPE_CHECKING:
    import ibis.expr.types as ir


def type_selection(case: Case, cast: Cast, at: LocationOf) -> CheckedExpression | None:
    """Return the typed condition of a case; None where every row of the anchor is one. Raises DefinitionErrors."""
    if case.where is None:
        return None
    location = at("case", "where")
    others = {
        name: Hidden("out-of-view", f"'{name}' is linked to cases, and `where` says which rows are cases", "link it")
        for name in (*cast.roles, *cast.unlinked)
    }
    later = Hidden("wrong-order", "facts are of cases, and `where` says which rows are cases", "write what it computes")
    scope: Scope = {**dict.fromkeys(case.facts, later), **others, cast.anchor.name: _anchor(cast)}
    checked = check_expression(parse_expression(case.where, location), scope)
    if checked.value.type is not ANYTHING and not isinstance(checked.value.type, Boolean):
        message = f"`where` is {a_kind(checked.value.type)}, it wants to be true or false"
        raise DefinitionErrors([Finding(location, "wrong-type", message, "compare it with something")])
    return checked


def _anchor(cast: Cast) -> Field:
    """Return the anchor's row as a condition sees it: what may be known only after the case is hidden."""
    anchor, fields = cast.anchor, dict[str, Field | Hidden]()
    for name, item in anchor.contract.properties.items():
        if cast.never_known(anchor, name) or not cast.known_with_row(anchor, name):
            words = f"'{anchor.name}.{name}' may be known only after the case: no case comes about by its own future"
            fields[name] = Hidden("out-of-view", words, "select by what is known with the row")
        else:
            fields[name] = item.field
    return Field(Struct(fields, origin=anchor.name))


def select_anchor_rows(rows: "ir.Table", condition: CheckedExpression, anchor: str) -> "ir.Table":
    """Return the rows of the anchor for which the condition is true: they are the cases."""
    import ibis

    from storymesh.language.compile.expressions import compile_expression
    from storymesh.language.compile.values import truth

    read = sorted({path[1] for path in condition.reads if path[0] == anchor and len(path) > 1})
    names = {anchor: ibis.struct({name: rows[name] for name in read})} if read else {}
    return rows.filter(truth(compile_expression(condition.tree, names)))
