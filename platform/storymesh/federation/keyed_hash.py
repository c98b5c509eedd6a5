"""The keyed hash of a value that leaves its premise, and the key that it is made with."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

    HashText = Callable[[ir.Value], ir.StringValue]

HASH_LENGTH = 64


def egress_key(mesh_key: bytes) -> bytes:
    """Return the key that columns are hashed with when they leave, made of the mesh's secret. A database sees it in the
    statements that it runs; the pseudonyms of releases cannot be made with it."""
    return hashlib.sha256(b"storymesh leaves|" + mesh_key).hexdigest().encode()


def hashed_value(value: str | int, key: bytes) -> str:
    """Return the keyed hash of one value."""
    return hashlib.sha256(key + b"|" + str(value).encode()).hexdigest()


def hash_in_engine(key: bytes) -> "HashText":
    """Return what makes SHA-256(key, `|`, value) of a value of a table that an engine has open, where null stays null.
    The queries do not spell out the key."""
    import ibis

    from storymesh.engine import dialect

    def hashed(value: "ir.Value") -> "ir.StringValue":
        digest = dialect.sha256_hex(dialect.secret_text(key.decode() + "|").concat(value.cast("string")))
        return ibis.ifelse(value.isnull(), ibis.null("string"), digest)

    return hashed
