"""The keyed hash of a value that leaves its premise, and the key that it is made with."""

import hashlib

HASH_LENGTH = 64


def leaving_key(mesh_key: bytes) -> bytes:
    """Return the key that columns are hashed with when they leave, made of the mesh's secret. A database sees it in the
    statements that it runs; the pseudonyms of releases cannot be made with it."""
    return hashlib.sha256(b"storymesh leaves|" + mesh_key).hexdigest().encode()


def hashed_value(value: str | int, key: bytes) -> str:
    """Return the keyed hash of one value."""
    return hashlib.sha256(key + b"|" + str(value).encode()).hexdigest()
