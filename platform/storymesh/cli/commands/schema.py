"""`storymesh schema`: the JSON Schemas of the files that people write."""

import json
from pathlib import Path
from typing import Annotated

import typer

from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result
from storymesh.errors import WrongUsage, suggest_name


def schema(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="contract, product, narrative, scenario, domain or mesh.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write all of them there, each as KIND.json.")
    ] = None,
) -> None:
    """Print the JSON Schema of a kind of file, for editors.

    `storymesh new mesh` writes them to .vscode/schemas; write them again there after an upgrade.
    """
    from storymesh.atomic_write import write_atomically
    from storymesh.mesh.schemas import FILE_KINDS

    if out is not None:
        for name, file_kind in FILE_KINDS.items():
            write_atomically(out / f"{name}.json", json.dumps(file_kind.make_schema(), indent=1) + "\n")
            echo(f"wrote {out / f'{name}.json'}")
        return
    if kind is None or kind not in FILE_KINDS:
        words = "say which" if kind is None else f"there is no kind of file '{kind}'"
        raise WrongUsage(words, suggest_name(kind or "", FILE_KINDS))
    echo_result(FILE_KINDS[kind].make_schema())
