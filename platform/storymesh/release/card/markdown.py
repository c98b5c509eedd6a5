"""Text of others as Markdown: escaped for Markdown and HTML, in code spans and in fences that it cannot end."""

import re
from typing import Any


def single_line(text: str) -> str:
    """Return the text with every run of whitespace as one space."""
    return " ".join(text.split())


def escape_text(value: Any) -> str:
    """Return one line that means nothing to Markdown or HTML, for a paragraph, a heading or a table cell."""
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    text = single_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~$!])", r"\\\1", text)


def code_span(text: str) -> str:
    """Return a code span for a paragraph or a table cell, which a bare bar would end even in code."""
    line = single_line(text).replace("|", "\\|")
    ticks = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{space}{line}{space}{ticks}" if line else ""


def code_block(text: str, language: str = "text") -> str:
    """Return a fenced block whose fence is longer than any run of backticks in the text."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
