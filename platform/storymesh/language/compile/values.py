"""Values as columns of the engine: what counts as true, what a test answers, and pseudonyms."""

import ibis
import ibis.expr.types as ir

from storymesh.engine import dialect


def truth(value: ir.Value) -> ir.BooleanValue:
    """Return True where a value counts as true: null, false, zero, empty text and empty lists do not."""
    kind = value.type()
    if kind.is_boolean():
        return value.fill_null(False)
    if kind.is_numeric():
        return (value != 0).fill_null(False)
    if kind.is_string():
        return (value != "").fill_null(False)
    if kind.is_array():
        return (value.length() > 0).fill_null(False)
    return value.notnull()


def is_test(value: ir.Value, name: str) -> ir.BooleanValue:
    """Return the answer of `value is name`; never null."""
    match name:
        case "none":
            return value.isnull()
        case "true":
            return value.fill_null(False)
        case "false":
            return ~value.fill_null(True)
        case _:
            return ibis.literal(True)


def pseudonym(value: ir.Value, key: bytes) -> ir.StringValue:
    """Return `p-` and 12 hex digits of SHA-256(key, `|`, value); null stays null."""
    digest = dialect.sha256_hex(dialect.secret_text(key.decode() + "|").concat(value.cast("string")))
    return ibis.ifelse(value.isnull(), ibis.null("string"), ibis.literal("p-").concat(dialect.substring(digest, 0, 12)))
