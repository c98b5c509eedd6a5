"""The secret key of pseudonyms: from the environment, or else the mesh's own. It is never in a release.

Whoever knows the key, or guesses it, can try names until one has the pseudonym of a record.
"""

import os
import secrets
import stat
from pathlib import Path

from storymesh.atomic_write import write_atomically
from storymesh.errors import StorymeshError
from storymesh.input_file import open_input
from storymesh.product.warehouse import Warehouse

VARIABLE = "STORYMESH_PSEUDONYM_KEY"
FILE = "pseudonym.key"
MIN_LENGTH = 8
MIN_CHARACTERS = 4  # different ones
MAX_LENGTH = 4096
_HINT = (
    'python -c "import secrets; print(secrets.token_hex(32))" makes one; keep it, since another gives other pseudonyms'
)


def pseudonym_key(store: Path) -> bytes:
    """Return `STORYMESH_PSEUDONYM_KEY`, or else the key in the mesh's store, which is made when it is first needed.

    Raises StorymeshError for a key that is easily guessed, and for a file that others can read or put there.
    """
    if given := os.environ.get(VARIABLE):
        return _strong(given, VARIABLE)
    path = store / FILE
    if not os.path.lexists(path):
        Warehouse(store).prepare_folder()
        # Of several processes the first one's key stays, and all take that.
        write_atomically(path, secrets.token_hex(32) + "\n", mode=0o600, keep_existing=True)
    return _strong(_read_own_file(path, store), str(path))


def _read_own_file(path: Path, store: Path) -> str:
    with open_input(path, store, links=False) as file:
        mode = os.fstat(file.fileno()).st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            message = f"{path} can be read or written by others (mode {stat.S_IMODE(mode):o}), and it is a secret"
            raise StorymeshError(message, f"chmod 600 {path}; if others may have read it, take another key")
        content = file.read(MAX_LENGTH + 1)
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise StorymeshError(f"{path} is no key: it is not UTF-8 text", _HINT) from None


def _strong(key: str, place: str) -> bytes:
    """Return the key as bytes. An error never shows it."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise StorymeshError(f"the key of the pseudonyms in {place} is not UTF-8 text", _HINT) from None
    if not MIN_LENGTH <= len(key) <= MAX_LENGTH or len(set(key)) < MIN_CHARACTERS or not key.isprintable():
        message = f"the key of the pseudonyms in {place} is easily guessed or no key"
        wanted = f"{MIN_LENGTH} to {MAX_LENGTH:,} printable characters, at least {MIN_CHARACTERS} of them different"
        raise StorymeshError(f"{message}: it has to have {wanted}", _HINT)
    return encoded
