"""Reporting of errors: a message and an exit code, without a traceback for what a person can act on."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from storymesh.errors import DefinitionErrors, StorymeshError

DEFECT = 3
INTERRUPTED = 130  # as shells have it


def reporting_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with every exception turned into a message and an exit code."""

    @functools.wraps(command)
    def guarded(*args: Any, mesh: Path | None = None, **options: Any) -> None:
        try:
            command(*args, mesh=mesh, **options)
        except DefinitionErrors as refused:
            for finding in refused.findings:
                typer.echo(str(finding))
            raise typer.Exit(refused.exit_code) from None
        except StorymeshError as error:
            typer.echo(f"storymesh: {error.message}", err=True)
            if error.hint:
                typer.echo(f"  {error.hint}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("STORYMESH_DEBUG") == "1":
                raise
            _report_defect(error, mesh)
            raise typer.Exit(DEFECT) from None

    return guarded


def _report_defect(error: Exception, mesh: Path | None) -> None:
    from storymesh.cli.logs import write_traceback

    log = write_traceback(mesh)
    message = " ".join(str(error).split())[:200]
    typer.echo(f"storymesh: an error that it did not expect: {type(error).__name__}: {message}", err=True)
    typer.echo(f"  the traceback stands in {log}; STORYMESH_DEBUG=1 shows it here", err=True)
