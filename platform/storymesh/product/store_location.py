"""Which paths and addresses in Iceberg's metadata are files of a domain's store: a stranger's may name any other."""

import itertools
import os
from pathlib import Path
from urllib.parse import urlsplit

from storymesh.errors import StorymeshError


class LocationRefused(StorymeshError):
    """A path of Iceberg's metadata that leads out of the store that it belongs to."""

    def __init__(self, location: str, store: str) -> None:
        words = f"the store {store} is not as storymesh wrote it: it names {location[:200]!r}, which is no file of it"
        super().__init__(words, "take the store from a copy, or remove it and publish its products again")


def resolve_location(location: str, folder: Path, bucket: str | None = None) -> str:
    """Return the path below `folder`, or the address below `bucket`, of a file of the store.

    Raises LocationRefused for any other.
    """
    refused = LocationRefused(location, bucket or str(folder))
    parts = location.split("/")
    if not location.isprintable() or "\\" in location or ".." in parts or "." in parts:
        raise refused
    if urlsplit(location).scheme:
        if not bucket or not location.startswith(f"{bucket.rstrip('/')}/") or "?" in location or "#" in location:
            raise refused
        return location
    path = folder / location
    # Without a link on its way a path is where it says: to resolve thousands from the root up would take seconds.
    ways = itertools.accumulate(parts, os.path.join, initial=str(folder))
    unclear = location.startswith("/") or any(map(os.path.islink, ways))
    if unclear and not path.resolve().is_relative_to(folder.resolve()):
        raise refused
    return str(path)
