"""The order of the items of a list on an engine: what is sorted are their keys, since rows are wide."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.compile.filters import CompiledCall


def folded(value: "ir.Value") -> "ir.Value":
    """Return a value as Jinja orders it: texts without regard to case."""
    return value.lower() if value.type().is_string() else value


def in_order(call: "CompiledCall", *, reverse: bool) -> "ir.ArrayValue":
    """Return the items in order; items of one key keep their order, also in reverse, as in Python."""
    import ibis

    from storymesh.engine import dialect

    def marked(item: "ir.Value", place: "ir.IntegerValue") -> "ir.StructValue":
        return ibis.struct({"key": folded(call.looked_at(item)), "place": -place if reverse else place})

    ordered = dialect.map_indexed(call.base, marked).sort()
    if reverse:
        ordered = dialect.reverse_items(ordered)
    places = dialect.map_items(ordered, lambda row: -row["place"] if reverse else row["place"])
    return dialect.pick_items(call.base, places)


def end_in_order(call: "CompiledCall", *, reverse: bool, last: bool) -> "ir.Value":
    """Return the first or the last of the items in order, null if there is none, without putting them in order."""
    from storymesh.engine import dialect

    keys = dialect.map_items(call.base, lambda item: folded(call.looked_at(item)))
    end = keys.maxs() if reverse != last else keys.mins()
    if last:
        return dialect.item_at_number(call.base, call.base.length() - dialect.reverse_items(keys).index(end))
    return dialect.item_at_number(call.base, keys.index(end) + 1)
