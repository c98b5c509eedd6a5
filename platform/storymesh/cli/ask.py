"""Questions on a terminal: where there is none, nobody is asked and what was guessed holds."""

import os
import sys

import typer

from storymesh.printable import printable


def is_answering() -> bool:
    """Return True where a person reads what is printed and can answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def ask(question: str, guess: str) -> str:
    """Return what a person answers, by default `guess`; without a terminal, `guess`."""
    if not is_answering():
        return guess
    answer: str = typer.prompt(printable(question), default=printable(guess))
    return answer.strip()
