"""The secret with which pseudonyms are made: from the environment, else one of the mesh's own. Never in a release."""

import os
import secrets
from pathlib import Path

from storymesh.atomic_write import write_atomically

VARIABLE = "STORYMESH_PSEUDONYM_KEY"


def pseudonym_key(store: Path) -> bytes:
    """Return `STORYMESH_PSEUDONYM_KEY`, or else the key in the mesh's store, which is made when it is first needed."""
    given = os.environ.get(VARIABLE)
    if given:
        return given.encode()
    path = store / "pseudonym.key"
    if not path.exists():
        # Of several processes the first one's key stays, and all take that.
        write_atomically(path, secrets.token_hex(32) + "\n", mode=0o600, keep_existing=True)
    return path.read_text(encoding="ascii").strip().encode()
