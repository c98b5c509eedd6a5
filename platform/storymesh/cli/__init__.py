"""The commands that people type. Each loads what it needs when it runs, so that `storymesh check` stays quick.

Exit codes: 0 fine, 1 findings or a gate refused, 2 wrong usage, 3 a defect of storymesh itself.
"""

import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from storymesh.errors import Refused, StorymeshError

DEFECT = 3
Format = Literal["text", "json"]
Command = TypeVar("Command", bound=Callable[..., None])

MeshOption = Annotated[
    Path | None, typer.Option("--mesh", metavar="DIR", help="The mesh root. Default: the one at or above this folder.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="For people, or for machines.")]
NarrativeArgument = Annotated[str, typer.Argument(metavar="NARRATIVE", help="The id of a narrative.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(
    no_args_is_help=True, epilog="Exit codes: 0 fine, 1 findings or a gate refused, 2 wrong usage, 3 a defect."
)
def storymesh() -> None:
    """A data mesh for training data: contracts, products, cases, stories, releases."""


def main() -> None:
    """The console script."""
    app()


def command(function: Command) -> Command:
    """`function` as a command that fails in words: no traceback for what a person can act on."""

    @functools.wraps(function)
    def guarded(*args: Any, mesh: Path | None = None, **options: Any) -> None:
        try:
            function(*args, mesh=mesh, **options)
        except Refused as refused:
            for finding in refused.findings:
                typer.echo(str(finding))
            raise typer.Exit(refused.exit_code) from None
        except StorymeshError as error:
            typer.echo(f"storymesh: {error.words}", err=True)
            if error.hint:
                typer.echo(f"  {error.hint}", err=True)
            raise typer.Exit(error.exit_code) from None
        except (typer.Exit, typer.Abort, KeyboardInterrupt, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("STORYMESH_DEBUG") == "1":
                raise
            log = _write_traceback(mesh)
            words = " ".join(str(error).split())[:200]
            typer.echo(f"storymesh: an error that it did not expect: {type(error).__name__}: {words}", err=True)
            typer.echo(f"  the traceback stands in {log}; STORYMESH_DEBUG=1 shows it here", err=True)
            raise typer.Exit(DEFECT) from None

    app.command(name=function.__name__.rstrip("_"))(guarded)
    return function


def root_of(mesh: Path | None) -> Path:
    """The root that `--mesh` names, or the one that this folder lies in. Raises WrongUsage."""
    from storymesh.mesh.mesh import find_root

    return find_root(Path.cwd()) if mesh is None else mesh


@command
def check(mesh: MeshOption = None, format: FormatOption = "text") -> None:  # noqa: A002
    """Say what is wrong in the files, without reading any data. Warnings alone give exit code 0."""
    from storymesh.cli.finding import as_json, summary
    from storymesh.mesh import check as checking

    findings = checking.check(root_of(mesh))
    if format == "json":
        typer.echo(as_json(findings))
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo(summary(findings), err=True)
    if checking.errors_of(findings):
        raise typer.Exit(1)


def _write_traceback(mesh: Path | None) -> Path:
    """The file that the current exception was written to: in the mesh's store, or else in the temporary folder."""
    name = f"error-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    text = f"{' '.join(sys.argv)}\n{traceback.format_exc()}"
    for folder in (_logs(mesh), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)


def _logs(mesh: Path | None) -> Path:
    from storymesh.mesh.mesh import load_mesh

    try:
        return load_mesh(root_of(mesh)).store / "logs"
    except StorymeshError:
        return Path(tempfile.gettempdir())
