"""The IO manager of narratives: one asset hands the key of its build to the next, also in another run."""

from pathlib import Path

import dagster as dg

from storymesh.atomic_write import write_atomically
from storymesh.errors import NotPublished
from storymesh.orchestration.failures import dagster_failures


class BuildKeyIOManager(dg.IOManager):
    """Files of one line below `folder`, one for each asset, with the key of the build that made it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def handle_output(self, context: dg.OutputContext, obj: str | None) -> None:
        if obj is None:
            return
        path = self._path(context.asset_key)
        with dagster_failures():
            write_atomically(path, f"{obj}\n")

    def load_input(self, context: dg.InputContext) -> str:
        key = context.asset_key
        with dagster_failures():
            try:
                return self._path(key).read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                message = f"nobody has made {' '.join(key.path)} yet"
                raise NotPublished(message, "materialise it first, or the narrative as a whole") from None

    def _path(self, key: dg.AssetKey) -> Path:
        return self.folder.joinpath(*key.path[:-1], f"{key.path[-1]}.key")
