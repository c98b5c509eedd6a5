"""What one asset of a narrative hands to the next, also in another run: the key of the build, as a file of one line."""

from pathlib import Path

import dagster as dg

from storymesh.atomic_write import write_atomically
from storymesh.errors import NotPublished
from storymesh.orchestration.failures import explained


class Handover(dg.IOManager):
    """Keeps the key of each asset below `folder`; a file is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def handle_output(self, context: dg.OutputContext, obj: str | None) -> None:
        if obj is None:
            return
        path = self._path(context.asset_key)
        with explained():
            write_atomically(path, f"{obj}\n")

    def load_input(self, context: dg.InputContext) -> str:
        key = context.asset_key
        with explained():
            try:
                return self._path(key).read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                words = f"nobody has made {' '.join(key.path)} yet"
                raise NotPublished(words, "materialise it first, or the narrative as a whole") from None

    def _path(self, key: dg.AssetKey) -> Path:
        return self.folder.joinpath(*key.path[:-1], f"{key.path[-1]}.key")
