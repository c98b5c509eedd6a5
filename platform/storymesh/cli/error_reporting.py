"""Reporting of errors: a message and an exit code, without a traceback for what a person can act on."""

import functools
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from storymesh.cli import INTERRUPTED
from storymesh.cli.output.console import echo
from storymesh.errors import DefinitionErrors, StorymeshError
from storymesh.outage import as_unavailable
from storymesh.printable import printable_line
from storymesh.redaction import redact

DEFECT = 3


def reporting_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with every exception turned into a message and an exit code."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        as_json = options.get("format") == "json"
        try:
            with _without_warnings_of_libraries(), _interrupts_as_such():
                command(*args, **options)
        except DefinitionErrors as refused:
            if as_json:
                _report_as_json(refused)
            for finding in () if as_json else refused.findings:
                echo(printable_line(str(finding)))
            raise typer.Exit(refused.exit_code) from None
        except StorymeshError as error:
            (_report_as_json if as_json else _report)(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            echo("stopped", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if (outage := as_unavailable(error)) is not None:
                (_report_as_json if as_json else _report)(outage)
                raise typer.Exit(outage.exit_code) from None
            _report_defect(error, options.get("mesh"))
            if as_json:
                _report_as_json(Defect(f"an error that it did not expect: {type(error).__name__}"))
            raise typer.Exit(DEFECT) from None

    return guarded


class Defect(StorymeshError):
    """A defect of storymesh itself."""

    exit_code = DEFECT


@contextmanager
def _without_warnings_of_libraries() -> Iterator[None]:
    """Keep off the terminal what libraries warn their own users of, such as interfaces in beta."""
    if os.environ.get("STORYMESH_DEBUG") == "1" or sys.warnoptions:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _interrupts_as_such() -> Iterator[None]:
    """Raise KeyboardInterrupt for what a library made of one, such as DuckDB its own error."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            cause = cause.__cause__ or cause.__context__
        raise


def _report_as_json(error: StorymeshError) -> None:
    from storymesh.cli.output.json_document import echo_error

    echo_error(error)


def _report(error: StorymeshError) -> None:
    # A newline of a name or a value does not begin a line that looks like another message.
    echo(f"storymesh: {redact(error.message)}".replace("\n", "\n  "), err=True)
    if error.hint:
        echo(f"  {redact(error.hint)}".replace("\n", "\n  "), err=True)


def _report_defect(error: Exception, mesh: Path | None) -> None:
    from storymesh.cli.logs import write_traceback

    if os.environ.get("STORYMESH_DEBUG") == "1":
        echo(redact(traceback.format_exc()), err=True)
        return
    log = write_traceback(mesh)
    message = redact(" ".join(str(error).split()))[:200]
    echo(f"storymesh: an error that it did not expect: {type(error).__name__}: {message}", err=True)
    echo(f"  the traceback stands in {log}; STORYMESH_DEBUG=1 shows it here", err=True)
