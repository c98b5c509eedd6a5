"""The `storymesh` command: its commands are in `commands`, what they print is in `output`."""

from storymesh.cli.app import app, main

__all__ = ["app", "main"]
