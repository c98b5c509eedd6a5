"""Texts of which there are few for many rows, such as the versions of products in the sources of records.

An engine that copies rows may carry a number in place of such a text: sorting and writing the records of a config takes
a fifth less by that.
"""

import json
from collections.abc import Collection

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir


@ibis.udf.scalar.builtin(name="coalesce", signature=((dt.string, dt.string), dt.string))
def _first(text, texts):  # type: ignore[no-untyped-def]
    ...


def enum_text(text: str, texts: Collection[str]) -> ir.StringValue:
    """Return `text`, which is one of `texts`; values that meet in one column have the same ones."""
    # On any engine, also one that knows nothing of this, it is the first of two texts.
    return _first(text, json.dumps(sorted(texts), ensure_ascii=False))


def enum_values(node: ops.Node) -> list[str] | None:
    """Return the texts of which a `enum_text` is one, sorted; of any other expression, None."""
    return json.loads(node.__args__[1].value) if is_enum_text(node) else None


def is_enum_text(node: ops.Node) -> bool:
    """Return True for a `enum_text`."""
    return isinstance(node, _ONE_OF)


_ONE_OF: type[ops.Node] = type(_first("", "").op())
