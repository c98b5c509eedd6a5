"""`storymesh files`: what became of each file that a product is made of."""

from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.json_document import print_result


def files(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="<domain>.<product>, which is made of files.")],
    mesh: MeshOption = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="URI", help="One file: its text, its values, and where they stand.")
    ] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only files that could not be read, and why.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, max=100_000, help="How many files.")] = 20,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """List what became of the files that a product is made of.

    Each gave a row, or none that it proves, was left out by `where`, or was refused with a reason.
    """
    from storymesh.cli.output.files import show_file, show_outcomes
    from storymesh.errors import WrongUsage
    from storymesh.files.definition_path import is_files_source
    from storymesh.files.outcomes import file_outcomes, read_file
    from storymesh.mesh.file_collections import file_collection
    from storymesh.mesh.mesh import load_mesh

    loaded = load_mesh(mesh_root(mesh))
    definition = loaded.product(product)
    if not is_files_source(definition.source):
        words = f"'{definition.id}' is not made of files: its source names no *.files.yaml"
        raise WrongUsage(words, f"storymesh show {definition.id}")
    collection = file_collection(loaded, definition)
    with loaded.open_engine() as engine:
        if file is not None:
            found = read_file(definition.id, collection, engine, file)
            print_result(found, format, show_file)
            return
        outcomes = file_outcomes(definition.id, collection, engine, limit, refused=refused)
    print_result(outcomes, format, show_outcomes)
