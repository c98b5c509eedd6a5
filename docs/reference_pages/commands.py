"""The parts of docs/reference/commands.md: the help of every command."""

from collections.abc import Iterator
from typing import Any

import typer

from storymesh.cli.app import app

WIDTH = 100


def page() -> dict[str, str]:
    return {"commands": "\n".join(_parts(typer.main.get_command(app), "storymesh"))}


def _parts(group: Any, above: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _parts(command, f"{above} {name}")
        elif not command.hidden:
            kind = command.context_class
            context = kind(command, info_name=f"{above} {name}", terminal_width=WIDTH, max_content_width=WIDTH)
            yield f"## {above} {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
