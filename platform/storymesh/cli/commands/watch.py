"""`storymesh watch`: a case told anew whenever its narrative is saved."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from storymesh.cli.options import MeshOption, NarrativeArgument, mesh_root

WATCHED = (".jinja", ".yaml", ".yml")
WAKE_MS = 250
DEBOUNCE_MS = 150  # an editor writes, renames and touches a file when it saves it


def watch(
    narrative: NarrativeArgument,
    record: Annotated[str | None, typer.Option("--record", metavar="CONFIG", help="Default: all its records.")] = None,
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="Default: one of the cases.")] = None,
    mesh: MeshOption = None,
) -> None:
    """Tell a case, and tell it anew whenever a template, narrative.yaml or a contract is saved.

    After the first time, what has changed in its texts is printed, or the findings. Ctrl-C ends it.
    """
    import sys

    from storymesh.cli.output.console import console_on
    from storymesh.cli.output.watched import WatchedTexts
    from storymesh.mesh.mesh import load_mesh

    root = mesh_root(mesh)
    folder = root / load_mesh(root).narrative(narrative).folder
    shown = WatchedTexts(console_on(sys.stdout))
    for saved in _saved(root, [folder, root / "contracts"]):
        shown.show(lambda: _tell(root, narrative, record, case), saved)


def _tell(root: Path, narrative: str, record: str | None, case: str | None) -> dict[str, str]:
    """Return the texts of a case by the ids of its records. Raises StorymeshError."""
    from storymesh.cli.output.record import format_record
    from storymesh.dataset.preview import preview_records
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin_build

    loaded = load_mesh(root)
    build = pin_build(loaded, loaded.narrative(narrative))
    texts: dict[str, str] = {}
    for config in [record] if record is not None else build.configs:
        for found in preview_records(build, config, case):
            texts[str(found["id"])] = format_record(found)
    return texts


def _saved(root: Path, folders: list[Path]) -> Iterator[list[str]]:
    """Yield nothing once it sees what is saved, then each time the files that were, by their paths in the mesh."""
    from watchfiles import watch as watch_files

    def is_watched(_: object, path: str) -> bool:
        return path.endswith(WATCHED) and not Path(path).name.startswith((".", "~"))

    there = [folder for folder in folders if folder.is_dir()]
    begun = False
    for changes in watch_files(
        *there, watch_filter=is_watched, debounce=DEBOUNCE_MS, rust_timeout=WAKE_MS, yield_on_timeout=True
    ):
        if begun and not changes:
            continue
        begun = True
        base = root.resolve()
        paths = {Path(path).resolve() for _, path in changes}
        yield sorted(path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name for path in paths)
