"""The keyed hash of a value, as each dialect writes it: the same digits everywhere, so that hashed columns join."""

from collections.abc import Callable, Mapping

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from storymesh.engine import dialect
from storymesh.errors import StorymeshError

HashText = Callable[[ir.Value], ir.StringValue]


@ibis.udf.scalar.builtin(name="convert_to", signature=((dt.string, dt.string), dt.binary))
def _convert_to(text, encoding):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="sha256", signature=((dt.binary,), dt.binary))
def _sha256(data):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="encode", signature=((dt.binary, dt.string), dt.string))
def _encode(data, form):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="to_hex", signature=((dt.binary,), dt.string))
def _to_hex(data):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="to_utf8", signature=((dt.string,), dt.binary))
def _to_utf8(text):  # type: ignore[no-untyped-def]
    ...


@ibis.udf.scalar.builtin(name="sha2", signature=((dt.string, dt.int32), dt.string))
def _sha2(text, bits):  # type: ignore[no-untyped-def]
    ...


_DIGESTS: Mapping[str, Callable[[ir.StringValue], ir.StringValue]] = {
    "postgres": lambda text: _encode(_sha256(_convert_to(text, "UTF8")), "hex"),
    "duckdb": lambda text: text.hexdigest("sha256"),
    "bigquery": lambda text: _to_hex(_sha256(text.cast("binary"))),
    "trino": lambda text: _to_hex(_sha256(_to_utf8(text))).lower(),
    "snowflake": lambda text: _sha2(text, 256),
    "databricks": lambda text: _sha2(text, 256),
    "pyspark": lambda text: _sha2(text, 256),
    "mysql": lambda text: _sha2(text, 256),
}


def hash_in(language: str, key: bytes) -> HashText:
    """Return what makes SHA-256(key, `|`, value) of a value in a dialect of SQL, where null stays null. Raises
    StorymeshError for a dialect that has no such hash: there a column leaves as it is, or not at all."""
    if language not in _DIGESTS:
        words = f"no column of a {language} source can leave hashed: it has no SHA-256"
        raise StorymeshError(words, "copy the product (`source`), which is hashed on its own premise")
    prefix = ibis.literal(key.decode() + "|")
    return lambda value: _DIGESTS[language](prefix.concat(value.cast("string")))


def hash_in_engine(key: bytes) -> HashText:
    """Return the same for a table that an engine has open, in whose queries the key is not spelled out."""

    def hashed(value: ir.Value) -> ir.StringValue:
        digest = dialect.sha256_hex(dialect.secret_text(key.decode() + "|").concat(value.cast("string")))
        return ibis.ifelse(value.isnull(), ibis.null("string"), digest)

    return hashed
