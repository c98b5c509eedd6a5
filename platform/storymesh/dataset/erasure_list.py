"""The mesh's list of erased rows, which must stay out of every release.

The list keeps digests, not keys: SHA-256 of a secret of the mesh, the product and the key. So it tells whether a row at
hand was erased, but not which other rows were. The secret stays in the mesh's store; a release keeps only the digests,
which say nothing without it.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import write_atomically
from storymesh.errors import StorymeshError

if TYPE_CHECKING:
    import ibis.expr.types as ir

ERASED = "forgotten"  # the reason for which a case of an erased row is dropped
ErasedKeys = Mapping[str, tuple[str, ...]]  # product -> digests of its erased keys, sorted

_FILE = "forgotten.json"


@dataclass(frozen=True)
class ErasureList:
    """The erased keys of a mesh, as digests keyed with its `secret`."""

    secret: str
    keys: ErasedKeys

    def digest(self, product: str, key: str) -> str:
        return hashlib.sha256(f"{self.secret}|{product}|{key}".encode()).hexdigest()

    def digest_column(self, product: str, key: "ir.StringValue") -> "ir.StringValue":
        """Return the digests of a column of keys, computed by the engine."""
        import ibis

        from storymesh.engine import dialect

        return dialect.sha256_hex(ibis.literal(f"{self.secret}|{product}|").concat(key))

    def with_keys(self, product: str, keys: Collection[str]) -> "ErasureList":
        digests = {*self.keys.get(product, ()), *(self.digest(product, key) for key in keys)}
        return ErasureList(self.secret, {**self.keys, product: tuple(sorted(digests))})

    def of_products(self, products: Collection[str]) -> ErasedKeys:
        """Return the erased keys of these products."""
        return {product: self.keys[product] for product in sorted(self.keys) if product in products}


def new_erasure_list() -> ErasureList:
    """Return an empty list with a new secret."""
    return ErasureList(secrets.token_hex(32), {})


def read_erasure_list(store: Path) -> ErasureList | None:
    """Return the mesh's list, or None if nothing was ever erased. Raises StorymeshError if the file is damaged."""
    path = store / _FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ErasureList(content["secret"], {product: tuple(keys) for product, keys in content["keys"].items()})
    except (OSError, ValueError, KeyError) as error:
        words = f"{path} cannot be read, so nobody knows what is to be left out: {error}"
        raise StorymeshError(words, "bring it back from a copy of the store") from None


def write_erasure_list(store: Path, erasures: ErasureList) -> None:
    content = {"secret": erasures.secret, "keys": {product: list(keys) for product, keys in erasures.keys.items()}}
    write_atomically(store / _FILE, json.dumps(content, indent=2) + "\n", mode=0o600)
