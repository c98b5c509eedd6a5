"""YAML text read and written by the 1.2 core schema with PyYAML: nodes with their places, and errors in plain words."""

import re
from typing import Any

import yaml
from yaml.composer import Composer

from storymesh.errors import DefinitionErrors, Finding
from storymesh.location import Location

MAX_DEPTH = 60
_TEXT = "tag:yaml.org,2002:str"
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


def compose_yaml(text: str, name: str, *, dumped: bool = False) -> yaml.Node | None:
    """Return the nodes of a YAML text, of which findings say `name` for the path. Raises DefinitionErrors.

    `dumped`: PyYAML wrote the text, which puts into quotes only what YAML 1.1 does not take for a text: `008` is one.
    """
    try:
        return _compose(text, _QuickDumpLoader if dumped else _QuickLoader)
    except yaml.MarkedYAMLError as error:
        raise DefinitionErrors([_syntax_finding(error, name)]) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        location = Location(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        character = f"U+{ord(text[error.position]):04X}" if error.position < len(text) else "one"
        message = f"not YAML: the character {character} is not allowed"
        raise DefinitionErrors([Finding(location, "yaml", message, "remove it, and save the file as UTF-8")]) from None
    except RecursionError:
        raise DefinitionErrors([Finding(Location(name), "yaml", f"nested deeper than {MAX_DEPTH} levels")]) from None


_IN_WORDS = {
    "mapping values are not allowed here": (
        "a ':' does not belong here",
        "indent a field as those beside it, and write a text that has ': ' in quotes",
    ),
    "expected <block end>, but found '<block mapping start>'": (
        "this line is indented otherwise than those that it follows",
        "give the fields of one thing the same indentation",
    ),
    "but found another document": ("a second document begins here", "one file, one document: remove the ---"),
}


def _syntax_finding(error: yaml.MarkedYAMLError, name: str) -> Finding:
    """Return what PyYAML says, in plain words where it says that what begins somewhere never ends."""
    mark = error.problem_mark or error.context_mark
    location = Location(name, mark.line + 1, mark.column + 1) if mark else Location(name)
    problem = str(error.problem or error.context)
    message, hint = _IN_WORDS.get(problem, (problem, ""))
    message = message.replace("expected the node content", "expected a value")
    message = message.replace("'<stream end>'", "the end of the file").replace(
        "unexpected end of stream", "the end of the file"
    )
    if "'\\t'" in problem:
        message, hint = "a tab does not belong here", "indent with spaces"
    elif problem.startswith("expected alphabetic or numeric"):
        hint = "a text that begins with * or & stands in quotes"
    elif (begun := error.context_mark) is not None and (begun.line, begun.column) != (
        location.line - 1,
        location.column - 1,
    ):
        kinds = {"flow sequence": "[", "flow mapping": "{", "quoted scalar": "quote"}
        kind = next((sign for words, sign in kinds.items() if words in (error.context or "")), "")
        if kind:
            hint = f"the {kind} of line {begun.line + 1}, column {begun.column + 1} is not closed before"
    return Finding(location, "yaml", f"not YAML: {message}", hint)


class _CoreLoader(yaml.SafeLoader):
    """A PyYAML loader of the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema)."""


_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class _QuickLoader(Composer, yaml.CSafeLoader):
    """The same schema over libyaml, some six times as quick.

    libyaml's own composer recurses without a bound and would crash the process on a deeply nested file, so that nodes
    are composed in Python.
    """

    yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)


class _QuickDumpLoader(_QuickLoader):
    """The same for what PyYAML wrote: a number is one only where YAML 1.1 takes it for one, too."""

    _of_1_1 = yaml.resolver.Resolver()

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        if tag in _NUMBERS and self._of_1_1.resolve(kind, value, implicit) not in _NUMBERS:  # type: ignore[no-untyped-call]
            return _TEXT
        return tag


def _compose(text: str, loader: type[_QuickLoader]) -> yaml.Node | None:
    """Return the nodes of a YAML text. Raises YAMLError with PyYAML's own message, which is the better one."""
    try:
        return yaml.compose(text, Loader=loader)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=_CoreLoader)


class CoreDumper(yaml.SafeDumper):
    """A PyYAML dumper whose texts are texts to readers of YAML 1.1 and of 1.2.

    PyYAML's own puts into quotes what 1.1 does not take for a text. This one does it also with what 1.2 does not, such
    as `008`, and writes out what nobody sees: a reader takes line ends of other alphabets for spaces.
    """

    def text_style(self, text: str) -> str | None:
        """Return how a text is written: as `|` or in quotes of a kind, or None for what suits it."""
        return None if text.replace("\n", "").isprintable() else '"'


def _represent_text(dumper: CoreDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(_TEXT, text, style=dumper.text_style(text))


CoreDumper.add_representer(str, _represent_text)
# Numbers of YAML 1.2 (§10.3.2), of which `008`, `1e5` and `0o17` are texts in 1.1.
_NUMBER = re.compile(r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+)$")
CoreDumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, None)


def dump_yaml(value: Any, *, width: int = 120, flow: bool | None = False, dumper: type[CoreDumper] = CoreDumper) -> str:
    """Return a value as YAML, its fields in their order. `flow` None: what is short stands on one line."""
    text: str = yaml.dump(
        value, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width
    )
    return text
