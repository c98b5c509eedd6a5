"""The terminal that commands print to. What libraries print on their own goes to a log file instead."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console

PLAIN_WIDTH = 120


@contextmanager
def terminal_without_libraries(log: Path) -> Iterator[Console]:
    """Yield a console on standard output, while everything else that is printed, also by libraries, goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with log.open("ab") as file, os.fdopen(os.dup(saved[0]), "w", encoding="utf-8", errors="replace") as out:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield console_on(out)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(saved, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)


def console_on(out: TextIO) -> Console:
    """Return a console with colours and a moving line where a person looks; with neither in CI or in a file."""
    quiet = bool(os.environ.get("CI")) or not out.isatty()
    return Console(file=out, force_terminal=not quiet, no_color=quiet or None, width=PLAIN_WIDTH if quiet else None)
