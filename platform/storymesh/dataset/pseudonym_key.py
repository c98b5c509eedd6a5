"""The secret with which pseudonyms are made: from the environment, else one of the mesh's own. Never in a release."""

import os
import secrets
from pathlib import Path

VARIABLE = "STORYMESH_PSEUDONYM_KEY"


def pseudonym_key(store: Path) -> bytes:
    """The key: `STORYMESH_PSEUDONYM_KEY`, or the one kept under the mesh's store, made at its first use."""
    given = os.environ.get(VARIABLE)
    if given:
        return given.encode()
    path = store / "pseudonym.key"
    if not path.exists():
        store.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        staged.touch(mode=0o600)
        staged.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
        try:
            os.link(staged, path)  # whoever is first wins, and the other takes his
        except FileExistsError:
            pass
        finally:
            staged.unlink()
    return path.read_text(encoding="ascii").strip().encode()
