"""The texts of a case that is watched: all of them at first, then what has changed in them."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text

from storymesh.errors import DefinitionErrors, StorymeshError
from storymesh.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass
class WatchedTexts:
    """Prints texts, by the ids of their records, and remembers them."""

    console: "Console"
    _last: dict[str, str] | None = field(default=None)

    def show(self, tell: Callable[[], dict[str, str]], saved: Sequence[str]) -> None:
        """Print what `tell` returns, or why it cannot. `saved` are the files that were saved before."""
        if saved:
            self._line(f"saved: {', '.join(saved)}", "bold")
        try:
            texts = tell()
        except DefinitionErrors as errors:
            for finding in errors.findings:
                self._line(str(finding), "red" if finding.severity == "error" else "yellow")
            return
        except StorymeshError as error:
            self._line(str(error), "red")
            return
        if self._last is None:
            for text in texts.values():
                self._line(text)
        elif texts == self._last:
            self._line("every text is as it was")
        else:
            for line in _differences(self._last, texts):
                self._line(line, _STYLES.get(line[:1], ""))
        self._last = texts

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(printable(text), style), soft_wrap=True)


def _differences(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        # The first two lines name files: here it is one record.
        if changed := list(difflib.unified_diff(old, new, lineterm=""))[2:]:
            yield f"{name}:"
            yield from changed
