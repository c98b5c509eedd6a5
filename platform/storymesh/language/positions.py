"""Jinja's lexer with columns: where each node of Jinja's tree stands, and how each output is written.

Jinja's lexer knows lines only. Here every token's line number is an integer that also bears its column, so that the
positions travel through Jinja's parser into its tree.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, nodes
from jinja2.lexer import TOKEN_VARIABLE_BEGIN, TOKEN_VARIABLE_END, TOKEN_WHITESPACE, TokenStream, newline_re


class Position(int):
    """A line number that also bears its column: Jinja passes it on as any line number."""

    column: int = 1

    def __new__(cls, line: int, column: int) -> "Position":
        self = super().__new__(cls, line)
        self.column = column
        return self


class PositionedEnvironment(Environment):
    """Jinja set up as the language wants it, with tokens that know their column."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, autoescape=False, cache_size=0, **options)

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> "PositionedStream":
        outputs = WrittenOutputs()
        tokens = outputs.watch(positioned(source, self.lexer.tokeniter(source, name, filename, state)))
        return PositionedStream(self.lexer.wrap(tokens, name, filename), name, filename, outputs)


class WrittenOutputs:
    """Each `{{ … }}` of a template as it is written: where its expression begins, and the text of it."""

    def __init__(self) -> None:
        self._begins: list[tuple[int, int]] = []
        self._texts: list[str] = []

    def watch(self, tokens: Iterator[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
        """Yield the tokens as they are, noting the outputs among them."""
        begin: tuple[int, int] | None = None
        inside: list[str] | None = None
        for line, kind, text in tokens:
            if kind == TOKEN_VARIABLE_BEGIN:
                begin, inside = None, []
            elif kind == TOKEN_VARIABLE_END and inside is not None:
                self._begins.append(begin or (int(line), 1))
                self._texts.append("".join(inside).strip())
                inside = None
            elif inside is not None:
                if begin is None and kind != TOKEN_WHITESPACE:
                    begin = (int(line), getattr(line, "column", 1))
                inside.append(text)
            yield line, kind, text

    def output_around(self, node: nodes.Node) -> tuple[Position, str]:
        """Return where the output around a node begins, and how it is written."""
        index = max(bisect_right(self._begins, position_of(node)) - 1, 0)
        return Position(*self._begins[index]), self._texts[index]


class PositionedStream(TokenStream):
    """Jinja's stream of tokens, which also knows how outputs are written."""

    def __init__(self, tokens: Any, name: str | None, filename: str | None, outputs: WrittenOutputs) -> None:
        self.outputs = outputs
        super().__init__(tokens, name, filename)


def positioned(source: str, tokens: Iterator[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
    # The lexer yields every token in order and leaves out nothing but white space, so the next token is the next
    # occurrence of its text.
    text = "\n".join(newline_re.split(source)[::2])
    starts = [0, *(index + 1 for index, letter in enumerate(text) if letter == "\n")]
    offset = 0
    for line, kind, value in tokens:
        found = text.find(value, offset) if value else offset
        if found < 0:  # pragma: no cover - the lexer's text always comes from the source
            yield line, kind, value
            continue
        row = bisect_right(starts, found)
        yield Position(row, found - starts[row - 1] + 1), kind, value
        offset = found + len(value)


def position_of(node: nodes.Node) -> tuple[int, int]:
    """Return line and column of a node.

    Jinja gives what joins two values the place of the token after it, or of the first of a chain: here it is where its
    first value begins.
    """
    line: int | None = begin_of(node) if isinstance(node, _JOINING) else node.lineno
    while line is None:  # Jinja gives `autoescape` no place, but the statement inside it
        node = next(node.iter_child_nodes())
        line = node.lineno
    return int(line), getattr(line, "column", 1)


def begin_of(node: nodes.Node) -> int:
    """Return the line number, with its column, of the leftmost part of an expression."""
    while True:
        match node:
            case nodes.Compare(expr=first) | nodes.CondExpr(expr1=first):
                node = first
            case nodes.BinExpr(left=first):
                node = first
            case nodes.Getattr(node=first) | nodes.Test(node=first):
                node = first
            case nodes.Filter(node=first) if first is not None:
                node = first
            case nodes.Concat(nodes=[first, *_]):
                node = first
            case _:
                return node.lineno


_JOINING = (nodes.BinExpr, nodes.Compare, nodes.CondExpr, nodes.Concat)
