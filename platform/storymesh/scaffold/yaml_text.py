"""Values as YAML that people go on editing, and that means the same to readers of YAML 1.1 and 1.2."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

_INDENTED = 10  # letters of a line before a value, as a rule


class _Dumper(yaml.SafeDumper):
    """PyYAML's own dumper puts into quotes what YAML 1.1 does not take for a text; this one also what 1.2 does not.

    What is too long for one line, and a whole document, has a line for each field, where a person can add another.
    """

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


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Write out what nobody sees, such as line ends of other alphabets, which a reader takes for spaces."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)
# Numbers of YAML 1.2 (§10.3.2), of which `1e5` and `0o17` are texts in 1.1.
_NUMBER = re.compile(r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+)$")
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, None)


def yaml_text(value: Any, comments: Iterable[str] = (), width: int = 118) -> str:
    """Return a value as YAML, below one comment for each line of `comments`. Short lists and fields stand on a line."""
    heading = "".join(f"# {_one_line(line)}".rstrip() + "\n" for line in comments)
    return heading + yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=width
    )


def _one_line(text: str) -> str:
    """Return a comment's text: a line end of any kind in it would end the comment."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
