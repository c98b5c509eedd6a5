"""Where a mesh keeps its products: in a folder, or, for several machines, in an S3 bucket with a PostgreSQL catalog.

Addresses may contain environment variables, `${NAME}` or `${NAME:-otherwise}`. They are filled in when a product is
read or written, so that no file holds a secret and `check` needs none.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from storymesh.atomic_write import write_atomically
from storymesh.errors import WrongUsage
from storymesh.federation import variables
from storymesh.federation.variables import VARIABLE, literal_part
from storymesh.redaction import redact

CATALOGS = ("postgresql", "postgresql+psycopg2", "sqlite")
BUCKETS = ("s3",)


@dataclass(frozen=True)
class Warehouse:
    """The place of a mesh's products. `folder` is on this machine: it has locks, quarantined rows and fetched files,
    and also the products and their catalog where `bucket` and `catalog` are None."""

    folder: Path
    bucket: str | None = None
    catalog: str | None = None

    def prepare_folder(self) -> Path:
        """Make the folder where it is missing, for its owner alone and ignored by git; return it.

        It holds rows, logs and a key. Where others could look into a store they no longer can, but for the group of a
        folder whose files are its group's by intention (`chmod g+s`).
        """
        ignore = self.folder / ".gitignore"
        if new := not self.folder.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not ignore.is_file() and any(self.folder.iterdir()):
            return self.folder  # something else is kept there too
        mode = stat.S_IMODE(self.folder.stat().st_mode)
        private = mode & (~0o007 if mode & stat.S_ISGID else ~0o077)
        if mode != private:
            with suppress(PermissionError):  # the folder is somebody else's
                self.folder.chmod(private)
        if new:
            write_atomically(ignore, "*\n")
        return self.folder

    @property
    def bucket_url(self) -> str | None:
        """The address of the bucket with variables filled in. Raises WrongUsage for one that is not set."""
        return fill_variables(self.bucket, "keeps the products at")

    @property
    def catalog_url(self) -> str | None:
        """The address of the catalog with variables filled in. Raises WrongUsage for one that is not set."""
        return fill_variables(self.catalog, "keeps the products at")


def address_fault(address: str, schemes: tuple[str, ...]) -> str | None:
    """Return what is wrong with an address in `mesh.yaml`, or None."""
    try:
        parts = split_address(address)
        password, _ = urlsplit(literal_part(address)).password, parts.port
    except ValueError as error:
        return f"'{redact(address)}' is no address: {str(error).removesuffix('.').lower()}"
    if password:
        return "a password stands in this file; leave it to the environment: ${NAME}, or PGPASSWORD"
    if VARIABLE.match(address) or parts.scheme in schemes:
        return None
    return f"'{redact(address)}' is no address that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"


def split_address(address: str) -> SplitResult:
    """Return the parts of an address, in which a 0 stands for each variable. Raises ValueError."""
    return urlsplit(VARIABLE.sub("0", address))


def s3_properties() -> dict[str, str]:
    """Return the endpoint and region of S3 from the environment, as PyIceberg's properties.

    The S3 client finds credentials itself: AWS_ACCESS_KEY_ID, a profile, or the role of the machine.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or (endpoint and "us-east-1")
    return {
        **({"s3.endpoint": endpoint} if endpoint else {}),
        **({"s3.region": region} if region else {}),
    }


def fill_variables(address: str | None, doing: str) -> str | None:
    """Return an address of mesh.yaml with its variables filled in, None for none or an empty one. Raises WrongUsage for
    a variable that is not set; `doing` is what mesh.yaml does with the address."""

    def unset(name: str) -> WrongUsage:
        message = f"mesh.yaml {doing} {address}, and {name} is not set"
        return WrongUsage(message, f"set {name} in the environment, or write ${{{name}:-otherwise}}")

    return (variables.fill_variables(address, unset) or None) if address else None
