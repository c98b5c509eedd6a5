"""`storymesh trace`: where every value of a released record comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo, echo_json
from storymesh.errors import WrongUsage

if TYPE_CHECKING:
    from storymesh.mesh.mesh import Mesh
    from storymesh.release.catalog import Release


def trace(
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="[RELEASE] RECORD",
            help="NARRATIVE, NARRATIVE@X-rN or the folder of a release, and a record: <config>/<case id>.",
        ),
    ],
    mesh: MeshOption = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="X-rN", help="Which release, as in NARRATIVE@X-rN.")
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the queries that count again.")] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Trace every value of a released record back to its source.

    The source is a product, its version, and the key and property of a row; of a value taken from a file, also the
    file, with the words and the place that say it. Without a narrative, it is the only one
    that has such a config; without a version, its latest release.
    """
    from storymesh.cli.output.contract_changes import show_contract_changes
    from storymesh.cli.output.trace import show_trace, trace_as_json
    from storymesh.document import path_in_mesh
    from storymesh.files.definition_path import is_files_source
    from storymesh.mesh.mesh import load_mesh
    from storymesh.provenance.trace import trace_record
    from storymesh.release.catalog import read_record
    from storymesh.release.definition_snapshot import open_released_build
    from storymesh.release.layout import DEFINITION_FOLDER

    loaded = load_mesh(mesh_root(mesh))
    *releases, record = named
    if len(releases) > 1:
        raise WrongUsage("one record at a time", "storymesh trace [RELEASE] RECORD")
    if "/" not in record:
        raise WrongUsage(f"'{record}' is no record: an id is <config>/<case id>", "storymesh trace [RELEASE] RECORD")
    found = _find_release(loaded, mesh, releases[0] if releases else None, record, release)
    show_contract_changes(found, loaded.contracts)
    build = open_released_build(found, loaded.warehouse, loaded.open_engine, loaded.contracts)
    traced = trace_record(build, read_record(found, record))
    now = loaded.narratives.get(found.narrative)
    changed = (
        now is None
        or now.document.value != build.narrative.document.value
        or any(now.templates.get(name) != text for name, text in build.narrative.templates.items())
    )
    folder = f"{path_in_mesh(found.path, loaded.root)}/{DEFINITION_FOLDER}/" if changed else ""
    of_files = {product.id for product in loaded.products.values() if is_files_source(product.source)}
    if format == "json":
        echo_json(trace_as_json(traced, found.narrative, found.version, folder, of_files))
    else:
        if changed:
            message = f"'{found.narrative}' has changed since {found.version}: the release is told by what it keeps"
            echo(f"{message} under {folder}", err=True)
        show_trace(traced, found.narrative, found.version, folder, of_files, sql=sql)
    if traced.mistakes:
        raise typer.Exit(1)


def _find_release(loaded: "Mesh", mesh: Path | None, name: str | None, record: str, version: str | None) -> "Release":
    """Return the release that `name` and `--release` mean. Raises WrongUsage when they contradict each other."""
    from storymesh.mesh.lookup import named_release
    from storymesh.release.catalog import find_release_of_record

    if name is None:
        return find_release_of_record(loaded.releases, record, version=version or "latest")
    if version is None:
        return named_release(name, mesh)
    if "@" in name or "/" in name:
        raise WrongUsage(f"'{name}' says already which release", "leave out --release")
    return named_release(f"{name}@{version}", mesh)
