"""A part of the files of a product, by a hash of their uri, so that several machines read them at once.

Each shard keeps what it has read in an inventory and a store of answers of its own, beside those of the product.
Whoever publishes the product takes over what the shards have; what none of them has read, it reads itself.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from storymesh.errors import WrongUsage
from storymesh.files.content import FilePlace, OpenedFile
from storymesh.files.definition import MAX_SHARDS
from storymesh.files.listing import FileEntry
from storymesh.files.reading.reading import Refused

_WRITTEN = re.compile(r"(?P<number>[1-9][0-9]?)/(?P<count>[1-9][0-9]?)")


@dataclass(frozen=True)
class Shard:
    """The shard `number`, from 1, of so many. Equal uris are in equal shards, on any machine."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def has(self, uri: str) -> bool:
        """Return True for a file of this shard."""
        digest = hashlib.blake2b(uri.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1

    @property
    def key(self) -> str:
        """The shard as a name, "3-of-16"."""
        return f"{self.number}-of-{self.count}"

    def path(self, inventory: Path) -> Path:
        """Return where this shard of a product keeps its inventory."""
        return inventory.with_name(f"{inventory.stem}.{self.key}.sqlite")


def parse_shard(written: str) -> Shard:
    """Return a shard as a person writes it, "3/16". Raises WrongUsage."""
    match = _WRITTEN.fullmatch(written)
    if match is None or not int(match["number"]) <= int(match["count"]) <= MAX_SHARDS:
        hint = f"the number of one and of all, at most {MAX_SHARDS}: --shard 3/16"
        raise WrongUsage(f"'{written}' is no shard", hint)
    return Shard(int(match["number"]), int(match["count"]))


def shard_inventories(inventory: Path) -> list[Path]:
    """Return the inventories of the shards of a product, whatever number of shards they are of."""
    of_shard = re.compile(rf"{re.escape(inventory.stem)}\.\d+-of-\d+\.sqlite")
    return sorted(path for path in inventory.parent.glob("*.sqlite") if of_shard.fullmatch(path.name))


@dataclass(frozen=True)
class ShardedPlace:
    """The files of a place that are in one shard."""

    place: FilePlace
    shard: Shard

    def list_files(self) -> Iterator[FileEntry]:
        """Yield the files of the shard. Raises FilesUnreachable."""
        return (entry for entry in self.place.list_files() if self.shard.has(entry.uri))

    def open_files(self, entries: Iterable[FileEntry], limit: int) -> Iterator[tuple[FileEntry, OpenedFile | Refused]]:
        """Yield the content of files."""
        return self.place.open_files(entries, limit)
