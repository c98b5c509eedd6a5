"""Where a mesh keeps its products: a folder, or for several machines a bucket of S3 and a catalogue in PostgreSQL.

`${NAME}` and `${NAME:-otherwise}` stand for variables of the environment: they are read when a product is, so that
secrets are in no file and `check` needs none of them.
"""

import os
import re
from pathlib import Path, PosixPath
from urllib.parse import urlsplit

from storymesh.errors import WrongUsage

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
CATALOGS = ("postgresql", "postgresql+psycopg2", "sqlite")
BUCKETS = ("s3",)


class Store(PosixPath):
    """The folder of a mesh's store. It bears where the products lie that are not in it, so that whoever is handed the
    folder reads and writes the right ones; a path below it is a folder like any other."""

    warehouse: str | None = None
    catalog: str | None = None

    @classmethod
    def at(cls, folder: Path, warehouse: str | None, catalog: str | None) -> "Store":
        store = cls(folder)
        store.warehouse, store.catalog = warehouse, catalog
        return store


def fault_of(address: str, schemes: tuple[str, ...]) -> str | None:
    """What is wrong with an address in a file that everybody reads; None when nothing is."""
    parts = urlsplit(_VARIABLE.sub("variable", address))
    if urlsplit(address).password and not _VARIABLE.search(urlsplit(address).password or ""):
        return "a password stands in this file; leave it to the environment: ${NAME}, or PGPASSWORD"
    if _VARIABLE.match(address) or parts.scheme in schemes:
        return None
    return f"'{address}' is no address that begins with {' or '.join(f'{one}://' for one in schemes)}"


def filled(address: str | None) -> str | None:
    """The address with its variables filled in; None for an empty one. Raises WrongUsage for one that is not set."""

    def value(found: re.Match[str]) -> str:
        name, otherwise = found.groups()
        met = os.environ.get(name) or otherwise
        if met is None:
            words = f"mesh.yaml keeps the products at {address}, and {name} is not set"
            raise WrongUsage(words, f"set {name} in the environment, or write ${{{name}:-otherwise}}")
        return met

    return (_VARIABLE.sub(value, address) or None) if address else None


def s3_properties() -> dict[str, str]:
    """What the environment says about S3, under the names that PyIceberg knows. Credentials are found by the S3 client
    itself: AWS_ACCESS_KEY_ID, a profile, or the role of the machine."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or (endpoint and "us-east-1")
    return {
        **({"s3.endpoint": endpoint} if endpoint else {}),
        **({"s3.region": region} if region else {}),
    }
