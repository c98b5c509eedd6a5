"""Reading YAML files: their values by the YAML 1.2 core schema, and the location of every value.

PyYAML alone reads YAML 1.1, in which `on` and `NO` are booleans, and keeps the last of two equal keys. Here both are
texts, a date stays the text that was written, and a duplicate key is an error.
"""

import json
import math
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.input_file import InputFileRefused, read_input
from storymesh.location import Location
from storymesh.yaml_syntax import MAX_DEPTH, compose_yaml

Step = str | int
Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES = 4 * 1024 * 1024
MAX_NODES = 200_000
MAX_FINDINGS = 200
_WANTED = {
    "string_type": "a text is wanted",
    "bool_type": "true or false is wanted",
    "int_type": "a whole number is wanted",
    "float_type": "a number is wanted",
}
_HALF = re.compile("[\ud800-\udfff]")  # no file and no engine takes one
_HALF_HINT = "write the character itself, or \\U and its eight digits"


def _expression_text(value: Any) -> Any:
    """Return an expression as text: YAML reads `worked: true` and `score: 1` as a boolean and a number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


_WRITTEN_EXPRESSION = Annotated[str | bool | int | float, Field(json_schema_extra={"format": "storymesh-expression"})]
ExpressionText = Annotated[str, BeforeValidator(_expression_text, json_schema_input_type=_WRITTEN_EXPRESSION)]
OneOrMore = BeforeValidator(_as_tuple, json_schema_input_type=str | list[str])


class Definition(BaseModel):
    """A part of a file that people write: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Document:
    """One YAML file: its `text`, its `value` (dict, list, str, int, float, bool or None), and the location of each
    part of the value."""

    path: str
    value: Any
    locations: Mapping[tuple[Step, ...], Location] = field(repr=False)
    key_locations: Mapping[tuple[Step, ...], Location] = field(repr=False)
    text: str = field(default="", repr=False, compare=False)

    def at(self, *steps: Step) -> Location:
        """Return the location of the value at `steps`, or of its closest parent when there is no such value."""
        for length in range(len(steps), -1, -1):
            if steps[:length] in self.locations:
                return self.locations[steps[:length]]
        return Location(self.path)

    def key_at(self, *steps: Step) -> Location:
        """Return the location of the key at `steps`, for findings about the name rather than the value."""
        return self.key_locations.get(steps) or self.at(*steps)

    def finding(self, steps: Iterable[Step], rule: str, message: str, hint: str = "") -> Finding:
        """Return a finding at the location of the value at `steps`."""
        return Finding(self.at(*steps), rule, message, hint)

    def below(self, *steps: Step) -> "Document":
        """Return a part of the document, with its locations in the whole."""
        value = self.value
        for step in steps:
            value = value[step]
        size = len(steps)
        inside, keys = (
            {path[size:]: location for path, location in places.items() if path[:size] == steps}
            for places in (self.locations, self.key_locations)
        )
        return replace(self, value=value, locations=inside, key_locations=keys)

    def parse(self, model: type[Model]) -> Model:
        """Return the value as a `model`. Raises DefinitionErrors with a finding for each field that does not fit."""
        if not isinstance(self.value, dict):
            message = f"this file should hold fields, it holds {describe_kind(self.value)}"
            raise DefinitionErrors([Finding(Location(self.path), "yaml", message)])
        try:
            # As JSON, where a value is of the kind that it was written as: `true` is no 1, and 0 is no date.
            return model.model_validate_json(json.dumps(self.value), strict=True)
        except ValidationError as error:
            details = error.errors()
            raise DefinitionErrors(
                self._finding_of(model, detail) for detail in details if not _is_consequence(detail, details)
            ) from None

    def _finding_of(self, model: type[BaseModel], detail: ErrorDetails) -> Finding:
        steps = self._steps_of(detail["loc"])
        name = steps[-1] if steps else ""
        match detail["type"]:
            case "extra_forbidden":
                hint = suggest_name(str(name), _fields(model, steps))
                return Finding(self.key_at(*steps), "unknown-field", f"unknown field '{name}'", hint)
            case "missing":
                parent = self.at(*steps[:-1])
                return Finding(parent, "missing-field", f"field '{name}' is missing", _describe(model, steps))
            case "tuple_type" | "list_type":
                value = detail["input"]
                named = next((str(step) for step in reversed(steps) if isinstance(step, str)), "this")
                plain = "…" if isinstance(value, dict | list) or value is None else str(value)
                hint = f"a list of lists: [[{plain}]]" if isinstance(name, int) else f"a list: [{plain}]"
                message = f"'{named}' is {_show(value)}, a list is wanted"
                if isinstance(name, int):
                    message = f"'{named}' holds {_show(value)}, a list is wanted"
                return Finding(self.at(*steps), "wrong-value", message, hint)
            case "model_type" | "dict_type":
                named = next((str(step) for step in reversed(steps) if isinstance(step, str)), "this")
                known = _fields(model, (*steps, "")) if detail["type"] == "model_type" else []
                message = f"'{named}' {'holds' if isinstance(name, int) else 'is'} {_show(detail['input'])}"
                hint = f"known: {', '.join(known)}" if known else "name: value"
                return Finding(self.at(*steps), "wrong-value", f"{message}, fields are wanted", hint)
            case "too_short":
                minimum = detail["ctx"]["min_length"]
                return Finding(self.at(*steps), "wrong-value", f"'{name}' is empty, at least {minimum} is wanted")
            case kind if kind.startswith("date_"):
                message = f"'{name}' is {_show(detail['input'])}, a date is wanted"
                return Finding(self.at(*steps), "wrong-value", message, "write 2024-01-01")
            case "value_error":
                message = str(detail.get("ctx", {}).get("error", detail["msg"]))
                return Finding(self.at(*steps), "wrong-value", message)
            case kind if wanted := _WANTED.get(kind):
                value = detail["input"]
                quoted = kind == "string_type" and isinstance(value, bool | int | float)
                hint = f"write it in quotes: {json.dumps(str(value))}" if quoted else ""
                return Finding(self.at(*steps), "wrong-value", f"'{name}' is {_show(value)}, {wanted}", hint)
            case _:
                value = detail["input"]
                message = f"'{name}' is {_show(value)}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
                return Finding(self.at(*steps), "wrong-value", message)

    def _steps_of(self, loc: tuple[Step, ...]) -> tuple[Step, ...]:
        """Return Pydantic's path without the parts that are not in the file (union tags, `[key]`)."""
        steps: tuple[Step, ...] = ()
        for position, step in enumerate(loc):
            candidate = (*steps, step)
            if candidate in self.locations or position == len(loc) - 1:
                steps = candidate
        return steps


def read_document(path: Path, root: Path, *, dumped: bool = False) -> Document:
    """Read the YAML 1.2 file `path`, which findings name relative to `root`; `dumped`: as `compose_yaml` has it. Raises
    DefinitionErrors."""
    name = path_in_mesh(path, root)
    try:
        raw = read_input(path, root, MAX_BYTES)
        text = raw.decode("utf-8-sig")
    except InputFileRefused as error:
        raise DefinitionErrors([refusal_finding(error, root)]) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        message = "the file is not UTF-8 text"
        raise DefinitionErrors([Finding(Location(name, line), "yaml", message, "save it as UTF-8")]) from None
    return parse_document(text, name, dumped=dumped)


def parse_document(text: str, name: str, *, dumped: bool = False) -> Document:
    """Parse a YAML 1.2 text, of which findings say `name` for the path; `dumped`: as `compose_yaml` has it. Raises
    DefinitionErrors."""
    node = compose_yaml(text, name, dumped=dumped)
    builder = _Builder(name)
    value = builder.build(node, ()) if node is not None else None
    if (more := len(builder.findings) - MAX_FINDINGS) > 0:
        builder.findings[MAX_FINDINGS:] = [_unlisted(builder.findings[MAX_FINDINGS].location, more)]
    if builder.findings:
        raise DefinitionErrors(builder.findings)
    return Document(name, value, builder.locations, builder.key_locations, text)


def _unlisted(location: Location, count: int) -> Finding:
    return Finding(location, "yaml", f"{count:,} findings from here on are not listed", "mend those before first")


def refusal_finding(error: InputFileRefused, root: Path) -> Finding:
    """Return what `check` says about a file that is not read, which it names relative to `root`."""
    reason = error.reason
    if error.outside is not None:
        folder = path_in_mesh(error.outside, root)
        reason = f"leads out of {'the mesh' if folder == '.' else f'{folder}/'}"
    return Finding(Location(path_in_mesh(error.path, root)), "unreadable", f"the file {reason}", error.hint)


def path_in_mesh(path: Path, root: Path) -> str:
    """Return `path` as findings print it: with `/`, and relative to `root` if it is inside."""
    # As it is written first: a finding about a link names the link, not what it points to.
    for plain in (os.path.abspath, os.path.realpath):
        try:
            return Path(plain(path)).relative_to(plain(root)).as_posix()
        except ValueError:
            continue
    return path.as_posix()


def suggest_file(name: str, known: Collection[str]) -> str:
    """Return what `suggest_name` does for file names, comparing them without their endings, which are all alike."""
    stems = {other.split(".")[0].lower(): other for other in sorted(known)}
    close = get_close_matches(name.split(".")[0].lower(), stems, n=1, cutoff=0.7)
    if close:
        return f"did you mean '{stems[close[0]]}'?"
    shown = sorted(known)
    return f"there are: {', '.join(shown[:12])}{', …' if len(shown) > 12 else ''}" if shown else "there is none"


def describe_kind(value: object) -> str:
    """Return what a YAML value is, for a message: 'a list', 'a text'."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case _:
            return "fields"


_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class _Builder:
    """A walk over YAML nodes that builds their values and locations, with limits against aliases that multiply."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.locations: dict[tuple[Step, ...], Location] = {}
        self.key_locations: dict[tuple[Step, ...], Location] = {}
        self.findings: list[Finding] = []
        self.count = 0
        self._open: set[int] = set()  # the collections that are being built

    def build(self, node: yaml.Node, steps: tuple[Step, ...]) -> Any:
        """Return the value of `node`, which is at `steps`. Raises DefinitionErrors beyond a limit."""
        location = self._locate(node)
        self.count += 1
        if self.count > MAX_NODES or len(steps) > MAX_DEPTH:
            message = f"more than {MAX_NODES:,} values or {MAX_DEPTH} levels, aliases counted out"
            raise DefinitionErrors([Finding(location, "yaml", message)])
        self.locations[steps] = location
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
            self._refuse_tag(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise DefinitionErrors([Finding(location, "yaml", "what is anchored here holds itself, by an alias")])
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, steps)
            return [self.build(item, (*steps, index)) for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, steps: tuple[Step, ...]) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.findings.append(Finding(self._locate(key_node), "yaml", "a key has to be a plain text"))
                continue
            key = key_node.value
            if _HALF.search(key):
                self.findings.append(
                    Finding(self._locate(key_node), "yaml", "the key holds half a character", _HALF_HINT)
                )
                continue
            if key in value:
                first = self.key_locations[(*steps, key)]
                message = f"the key '{key}' stands twice, first on line {first.line}"
                self.findings.append(Finding(self._locate(key_node), "duplicate-key", message, "keep one of the two"))
                continue
            self.key_locations[(*steps, key)] = self._locate(key_node)
            value[key] = self.build(value_node, (*steps, key))
        return value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if _HALF.search(text):
            self.findings.append(Finding(self._locate(node), "yaml", "the text holds half a character", _HALF_HINT))
            return ""
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, {"0o": 8, "0x": 16}.get(text[:2].lower(), 10)) if len(text) < 400 else text
            case "float":
                number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
                if not _is_held(number, text):
                    message = f"the number {text[:40]} is outside what a computer keeps of one"
                    hint = f"from {sys.float_info.min:.1g} to {sys.float_info.max:.1g}, or in quotes for a text"
                    self.findings.append(Finding(self._locate(node), "too-large", message, hint))
                return number
            case _:
                self._refuse_tag(node)
                return text

    def _refuse_tag(self, node: yaml.Node) -> None:
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        message = f"the tag '{tag}' is not in the YAML core schema"
        self.findings.append(Finding(self._locate(node), "yaml", message, "write the plain value"))

    def _locate(self, node: yaml.Node) -> Location:
        return Location(self.name, node.start_mark.line + 1, node.start_mark.column + 1)


def _is_held(number: float, text: str) -> bool:
    """Return False for the number of a text that has become zero or infinite, or lost digits, by its size."""
    if math.isinf(number) or math.isnan(number):
        return not any(sign.isdigit() for sign in text)
    digits = text.lower().partition("e")[0]
    return abs(number) >= sys.float_info.min or not re.search("[1-9]", digits)


def _model_at(model: type[BaseModel], steps: tuple[Step, ...]) -> type[BaseModel] | None:
    """Return the nested model that has the last of `steps` as a field, as far as annotations say."""
    current: type[BaseModel] | None = model
    for step in steps[:-1]:
        if current is None:
            return None
        if isinstance(step, int):
            continue
        named = {info.alias or name: info for name, info in current.model_fields.items()}
        if step in named:
            current = next(iter(_models_in(named[step].annotation)), None)
    return current


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]


def _fields(model: type[BaseModel], steps: tuple[Step, ...]) -> list[str]:
    holder = _model_at(model, steps)
    return [info.alias or name for name, info in holder.model_fields.items()] if holder else []


def _describe(model: type[BaseModel], steps: tuple[Step, ...]) -> str:
    holder = _model_at(model, steps)
    if holder is None:
        return ""
    for name, info in holder.model_fields.items():
        if (info.alias or name) == steps[-1]:
            return info.description or _choices(info.annotation)
    return ""


def _is_consequence(detail: ErrorDetails, details: Iterable[ErrorDetails]) -> bool:
    """Return True for a list that is too short only because its items do not fit, which has findings of its own."""
    loc = detail["loc"]
    inside = (other["loc"] for other in details if len(other["loc"]) > len(loc))
    return detail["type"] == "too_short" and any(other[: len(loc)] == loc for other in inside)


def _choices(annotation: Any) -> str:
    if get_origin(annotation) is not Literal:
        return ""
    return f"one of {', '.join(map(str, get_args(annotation)))}"


def _show(value: object) -> str:
    return describe_kind(value) if isinstance(value, dict | list) else repr(value)
