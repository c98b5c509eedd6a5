"""The parts of docs/reference/commands.md: the help of every command."""

from typing import Any

import typer

from storymesh.cli.app import app

WIDTH = 100


def page() -> dict[str, str]:
    group: Any = typer.main.get_command(app)
    parts = []
    for name, command in group.commands.items():
        if not command.hidden:
            kind = command.context_class
            context = kind(command, info_name=f"storymesh {name}", terminal_width=WIDTH, max_content_width=WIDTH)
            parts.append(f"## storymesh {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return {"commands": "\n".join(parts)}
