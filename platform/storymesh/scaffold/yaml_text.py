"""Values as YAML that people go on editing."""

from collections.abc import Iterable
from typing import Any

import yaml

from storymesh.yaml_syntax import CoreDumper, dump_yaml

_INDENTED = 10  # letters of a line before a value, as a rule


class _Dumper(CoreDumper):
    """Writes what is too long for one line, and a whole document, with a line for each field, where a person can add
    another."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        texts = [part.value for pair in node.value for part in pair if isinstance(part, yaml.ScalarNode)]
        if sum(len(text) + 2 for text in texts) > self.best_width - _INDENTED:
            node.flow_style = False
        return node

    def serialize(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode) and node.value:
            node.flow_style = False
        super().serialize(node)

    def text_style(self, text: str) -> str | None:
        return None if text.isprintable() else '"'


def yaml_text(value: Any, comments: Iterable[str] = ()) -> str:
    """Return a value as YAML, below one comment for each line of `comments`. Short lists and fields stand on a line."""
    heading = "".join(f"# {_one_line(line)}".rstrip() + "\n" for line in comments)
    return heading + dump_yaml(value, width=118, flow=None, dumper=_Dumper)


def _one_line(text: str) -> str:
    """Return a comment's text: a line end of any kind in it would end the comment."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
