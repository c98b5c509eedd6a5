"""Rows that somebody has a right to have forgotten: what the mesh knows them by, and the cases that drop for them.

The mesh keeps digests, not keys: SHA-256 of a secret of its own, the product and the key. So the list says of a row
that is at hand whether it is to be left out, and of no other which it was. The secret stays in the mesh's store; a
release bears the digests alone, which say nothing without it.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import write_atomically
from storymesh.errors import StorymeshError

if TYPE_CHECKING:
    import ibis.expr.types as ir

REASON = "forgotten"
Keys = Mapping[str, tuple[str, ...]]  # product -> digests of its keys, sorted

_FILE = "forgotten.json"


@dataclass(frozen=True)
class Forgotten:
    """What is to be left out of every cut: `secret` makes the digests, `keys` are they."""

    secret: str
    keys: Keys

    def digest(self, product: str, key: str) -> str:
        """What a key is known by."""
        return hashlib.sha256(f"{self.secret}|{product}|{key}".encode()).hexdigest()

    def digests(self, product: str, key: "ir.StringValue") -> "ir.StringValue":
        """The same of a column of keys, on the engine."""
        import ibis

        from storymesh.engine import dialect

        return dialect.sha256_hex(ibis.literal(f"{self.secret}|{product}|").concat(key))

    def with_key(self, product: str, key: str) -> "Forgotten":
        digests = {*self.keys.get(product, ()), self.digest(product, key)}
        return Forgotten(self.secret, {**self.keys, product: tuple(sorted(digests))})

    def of(self, products: "set[str]") -> Keys:
        """What concerns these products."""
        return {product: self.keys[product] for product in sorted(self.keys) if product in products}


def read_forgotten(store: Path) -> Forgotten | None:
    """The mesh's list; None where nothing was ever forgotten. Raises StorymeshError where it is damaged."""
    path = store / _FILE
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Forgotten(said["secret"], {product: tuple(keys) for product, keys in said["keys"].items()})
    except (OSError, ValueError, KeyError) as error:
        words = f"{path} cannot be read, so nobody knows what is to be left out: {error}"
        raise StorymeshError(words, "bring it back from a copy of the store") from None


def write_forgotten(store: Path, forgotten: Forgotten) -> None:
    said = {"secret": forgotten.secret, "keys": {product: list(keys) for product, keys in forgotten.keys.items()}}
    write_atomically(store / _FILE, json.dumps(said, indent=2) + "\n", mode=0o600)


def nothing_forgotten() -> Forgotten:
    """An empty list with a new secret."""
    return Forgotten(secrets.token_hex(32), {})
