"""The command-line application: every command registered, in the order in which the help lists them.

A command imports what it needs when it runs, so that `storymesh --help` and `storymesh check` stay quick.

Exit codes: 0 fine, 1 findings or a gate refused, 2 wrong usage, 3 a defect of storymesh itself, 130
interrupted.
"""

import inspect
from typing import Annotated

import typer

from storymesh import __version__
from storymesh.cli.commands.check import check
from storymesh.cli.commands.compat import compat
from storymesh.cli.commands.diff import diff
from storymesh.cli.commands.docs import docs
from storymesh.cli.commands.evaluate import evaluate
from storymesh.cli.commands.expire import expire
from storymesh.cli.commands.explain import explain
from storymesh.cli.commands.export import export
from storymesh.cli.commands.files import files
from storymesh.cli.commands.forget import forget
from storymesh.cli.commands.narrate import narrate
from storymesh.cli.commands.new import new
from storymesh.cli.commands.preview import preview
from storymesh.cli.commands.pull import pull
from storymesh.cli.commands.push import push
from storymesh.cli.commands.rebuild import rebuild
from storymesh.cli.commands.releases import releases
from storymesh.cli.commands.run import run
from storymesh.cli.commands.scenario import scenario
from storymesh.cli.commands.schema import schema
from storymesh.cli.commands.show import show
from storymesh.cli.commands.sign import sign
from storymesh.cli.commands.trace import trace
from storymesh.cli.commands.ui import ui
from storymesh.cli.commands.vary import vary
from storymesh.cli.commands.watch import watch
from storymesh.cli.error_reporting import reporting_errors
from storymesh.cli.output.console import echo
from storymesh.cli.time_limit import time_limited
from storymesh.garbage_collection import raise_gc_threshold

COMMANDS = (
    *(check, compat, run, show, files, preview, trace, vary, narrate, explain, scenario, releases),
    *(sign, diff, pull, push, export, rebuild, forget, expire, evaluate, docs, ui),
)

# These only look, and what they cost is for others to say, who wrote the definitions and the data: so they have an end.
LIMITED = (check, compat, show, preview, trace, explain, scenario)

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


def _print_version(requested: bool) -> None:
    if requested:
        echo(f"storymesh {__version__}")
        raise typer.Exit


@app.callback(
    no_args_is_help=True,
    epilog="Exit codes: 0 fine, 1 findings or a gate refused, 2 wrong usage, 3 a defect, 130 interrupted.",
)
def storymesh(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A data mesh for training data: contracts, products, cases, stories, releases."""


for _command in COMMANDS:
    # The help cuts a summary that it takes from the docstring itself; one that is given it wraps.
    _summary = inspect.getdoc(_command).partition("\n")[0]  # type: ignore[union-attr]
    app.command(name=_command.__name__, short_help=_summary)(
        reporting_errors(time_limited(_command) if _command in LIMITED else _command)
    )

# These write first versions of files, say how such files look, or have no end: no document of its own comes of them.
app.add_typer(new, name="new", short_help="Make a mesh, or a domain, product or narrative in it.")
app.command(name="watch", short_help="Tell a case anew whenever its narrative is saved.")(reporting_errors(watch))
app.command(name="schema", short_help="Print the JSON Schema of a kind of file, for editors.")(reporting_errors(schema))


def run_command() -> None:
    """Run the command that the arguments of this process name, and exit with its code."""
    raise_gc_threshold()
    app(prog_name="storymesh")
