"""What dbt refuses of a project when it parses it, as far as the text of its files shows it without dbt.

dbt takes seconds to be imported and to parse; this takes milliseconds. So nothing is said here that dbt might not say:
what only an execution of templates shows (an unknown macro's effect, a reference below an `if`) is left to dbt itself.
"""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.ext import Extension, do, loopcontrols
from jinja2.parser import Parser

from storymesh.document import Document, path_in_mesh
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.input_file import InputFileRefused, read_input
from storymesh.location import Location
from storymesh.product.dbt_files import PROJECT_FILE
from storymesh.product.dbt_sql import model_sql_fault
from storymesh.yaml_syntax import compose_yaml

MAX_BYTES = 2**20  # of a file that is looked at
RULE = "dbt"
_PATHS = {"model": "models", "seed": "seeds", "snapshot": "snapshots", "macro": "macros", "test": "tests",
          "analysis": "analyses"}  # fmt: skip
_PROJECT_FIELDS = """
name config-version version project-root source-paths model-paths macro-paths data-paths seed-paths test-paths
analysis-paths docs-paths asset-paths function-paths target-path snapshot-paths clean-targets profile log-path
packages-install-path quoting on-run-start on-run-end require-dbt-version dispatch models seeds snapshots analyses
sources tests data_tests unit_tests metrics semantic-models saved-queries exposures functions vars packages
query-comment restrict-access dbt-cloud flags
"""
PROJECT_KEYS = frozenset(_PROJECT_FIELDS.split())
_PROJECT_NAME = re.compile(r"[^\d\W]\w*")
_LISTS_OF_NAMED = ("models", "seeds", "snapshots", "sources", "macros", "analyses", "exposures")
_OWN_REFERENCE = re.compile(r"\bmacro\s+(ref|source)\b")
_OWN_CALL = re.compile(r"\bmacro\s+(ref|source|config)\b")
_SNAPSHOT = re.compile(r"\{%-?\s*snapshot\s+(\w+)")
_FILTERS_OF_DBT = frozenset({"as_text", "as_bool", "as_native", "as_number", "is_list"})
# What lies below these is not certain to be executed, or has other names.
_UNCERTAIN = (nodes.If, nodes.For, nodes.Macro, nodes.CallBlock, nodes.CondExpr, nodes.And, nodes.Or)


def syntax_findings(
    project: Document, folder: Path, root: Path, inputs: Collection[str] | None, *, on_duckdb: bool = True
) -> list[Finding]:
    """Return what dbt would refuse of the project in a domain's `folder`; `inputs` are the products at its input ports,
    which it reads as sources; None: they are not known. Models `on_duckdb` are its SQL."""
    found = list(_project_findings(project)) if (folder / PROJECT_FILE).is_file() else []
    files = _ProjectFiles(folder, root)
    for kind, usual in _PATHS.items():
        paths = project.value.get(f"{kind}-paths") or [usual]
        for path in paths if isinstance(paths, list) else []:
            files.add(kind, folder / str(path))
    sources = {tuple(product.split(".", 1)) for product in inputs or ()}
    names = _Names(str(project.value.get("name")), sources, sources_known=inputs is not None)
    for path in files.of(".yml", ".yaml"):
        found += _properties_findings(files, path, names)
    trees = {}
    for path in files.of(".sql"):
        try:
            trees[path] = _parse(files.text(path))
        except TemplateSyntaxError as error:
            found.append(files.finding(path, error.lineno, str(error.message)))
        except (RecursionError, ValueError):
            found.append(files.finding(path, 1, "its Jinja is nested too deep"))
        except DefinitionErrors as errors:
            found += errors.findings
    for path, tree in trees.items():
        found += _filter_findings(files, path, tree)
    if files.complete:
        found += _twice_findings(files, project)
        found += _reference_findings(files, names, trees)
        found += _sql_findings(files, project, trees) if on_duckdb else ()
    return sorted(set(found))


def _sql_findings(files: "_ProjectFiles", project: Document, trees: dict[Path, nodes.Template]) -> Iterator[Finding]:
    """Yield what is wrong with the SQL of models, where it is certain that dbt has them run as they are written."""
    # A model that is switched off, or that others than dbt make, may say what it likes.
    yml = files.of(".yml", ".yaml")
    if (
        files.mention("enabled", yml)
        or files.mention("materialization", list(trees))
        or _OWN_CALL.search(" ".join(files.text(path) for path in files.of(".sql", kinds=("macro",))))
    ):
        return
    if "enabled" in project.text:
        return
    for path in files.of(".sql", kinds=("model",)):
        if path in trees and (fault := model_sql_fault(_JINJA, trees[path], files.text(path))) is not None:
            line, words = fault
            yield files.finding(path, line, f"DuckDB does not parse this SQL: {words}")


def _project_findings(project: Document) -> Iterator[Finding]:
    name = project.value.get("name")
    if name is None:
        words = "dbt wants a name of the project"
        yield project.finding((), RULE, words, f"name: {re.sub(r'[^a-z0-9]', '_', Path(project.path).parent.name)}")
    elif not isinstance(name, str) or not _PROJECT_NAME.fullmatch(name):
        hint = "letters, digits and _, and no digit first"
        yield project.finding(("name",), RULE, f"dbt takes no project of the name {name!r}", hint)
    for key in project.value:
        if key not in PROJECT_KEYS:
            yield project.finding(
                (key,), RULE, f"dbt knows no '{key}' in a project", suggest_name(str(key), PROJECT_KEYS)
            )
    if project.value.get("config-version", 2) != 2:
        yield project.finding(
            ("config-version",), RULE, "dbt reads version 2 of its configuration", "config-version: 2"
        )


@dataclass
class _Names:
    """The names that templates may refer to; `sources` are pairs, None where they cannot be known."""

    project: str
    sources: set[tuple[str, ...]]
    models: set[str] = field(default_factory=set)
    sources_known: bool = True


class _ProjectFiles:
    """The files of a project by their kinds. `complete`: every file that dbt would find is among them."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._root = folder, root
        self._kinds: dict[Path, str] = {}
        self._texts: dict[Path, str] = {}
        # Packages bring models of their own.
        self.complete = not any(
            (folder / name).exists() for name in ("packages.yml", "dependencies.yml", "dbt_packages")
        )

    def add(self, kind: str, start: Path) -> None:
        for parent, folders, names in os.walk(start):
            self.complete &= not any(Path(parent, name).is_symlink() for name in folders)
            for name in names:
                self._kinds.setdefault(Path(parent, name), kind)

    def of(self, *suffixes: str, kinds: Collection[str] = tuple(_PATHS)) -> list[Path]:
        """Return the files with such endings."""
        return sorted(path for path, kind in self._kinds.items() if kind in kinds and path.suffix in suffixes)

    def kind(self, path: Path) -> str:
        return self._kinds[path]

    def text(self, path: Path) -> str:
        """Return the text of a file, none of a large one. Raises DefinitionErrors where it is not UTF-8."""
        if path not in self._texts:
            try:
                self._texts[path] = read_input(path, self._folder, MAX_BYTES).decode("utf-8")
            except InputFileRefused:
                self._texts[path], self.complete = "", False  # whoever prepares dbt says why, or it is large
            except UnicodeDecodeError as error:
                self._texts[path] = ""
                line = error.object[: error.start].count(b"\n") + 1
                finding = self.finding(path, line, "the file is not UTF-8 text", "save it as UTF-8")
                raise DefinitionErrors([finding]) from None
        return self._texts[path]

    def finding(self, path: Path, line: int, words: str, hint: str = "", *, at: str = "") -> Finding:
        """Return a finding in a line, where a text `at` stands in it."""
        lines = self.text(path).splitlines()
        column = lines[line - 1].find(at) + 1 if at and line <= len(lines) else 1
        return Finding(Location(path_in_mesh(path, self._root), line, max(column, 1)), RULE, words, hint)

    def mention(self, word: str, paths: Sequence[Path]) -> bool:
        """Return True if one of the files has a word."""
        return any(word in self._texts.get(path, "") for path in paths)


class _Blocks(Extension):
    """The blocks that dbt adds to Jinja. What they are given is dbt's to read."""

    tags = {"test", "data_test", "materialization", "docs", "snapshot"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        name = parser.stream.current.value
        body = _parse_block(parser)
        return body if name == "snapshot" else []


class _DbtParser(Parser):
    """Jinja's parser, for which arguments of macros may have types."""

    def parse_macro(self) -> nodes.Macro:
        line = self.stream.current.lineno
        return nodes.Macro("macro", [], [], _parse_block(self), lineno=line)


class _DbtJinja(Environment):
    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _DbtParser(self, source, name, filename).parse()


_JINJA = _DbtJinja(extensions=[do, loopcontrols, _Blocks])
_FILTERS = frozenset(_JINJA.filters) | _FILTERS_OF_DBT


def _parse_block(parser: Parser) -> list[nodes.Node]:
    """Return what stands between a tag and its end."""
    tag = next(parser.stream)
    while parser.stream.current.type not in ("block_end", "eof"):
        next(parser.stream)
    return parser.parse_statements((f"name:end{tag.value}",), drop_needle=True)


def _parse(text: str) -> nodes.Template:
    return _JINJA.parse(text)


def _filter_findings(files: _ProjectFiles, path: Path, tree: nodes.Template) -> Iterator[Finding]:
    for node in tree.find_all(nodes.Filter):
        if node.name not in _FILTERS:
            hint = suggest_name(node.name, _FILTERS)
            yield files.finding(path, node.lineno, f"Jinja knows no filter '{node.name}'", hint, at=node.name)


def _properties_findings(files: _ProjectFiles, path: Path, names: _Names) -> Iterator[Finding]:
    """Check a file of properties as dbt reads it, and add the names that it declares to `names`."""
    try:
        text = files.text(path)
        tree = compose_yaml(text, path_in_mesh(path, files._root))
    except DefinitionErrors as errors:
        names.sources_known = files.complete = False
        yield from errors.findings
        return
    if tree is None:
        return
    if not isinstance(tree, yaml.MappingNode):
        yield files.finding(path, 1, "dbt wants fields here, such as `models:`")
        return
    for key, value in tree.value:
        if key.value not in _LISTS_OF_NAMED:
            continue
        if not isinstance(value, yaml.SequenceNode):
            words = f"dbt wants a list under '{key.value}'"
            yield files.finding(path, key.start_mark.line + 1, words, "begin each with -", at=key.value)
            continue
        for item in value.value:
            fields = _fields(item)
            if "name" not in fields:
                words = f"dbt wants fields with a name in each of '{key.value}'"
                yield files.finding(path, item.start_mark.line + 1, words, "- name: …")
            elif key.value == "sources":
                yield from _add_source(files, path, fields, names)
            elif key.value == "snapshots" or (key.value == "models" and "versions" in fields):
                names.models.add(str(fields["name"].value))


def _add_source(files: _ProjectFiles, path: Path, fields: dict[str, yaml.Node], names: _Names) -> Iterator[Finding]:
    source = str(fields["name"].value)
    tables = fields.get("tables")
    for table in tables.value if isinstance(tables, yaml.SequenceNode) else []:
        name = _fields(table).get("name")
        if name is None:
            yield files.finding(path, table.start_mark.line + 1, f"dbt wants a name of each table of '{source}'")
        elif (source, name.value) in names.sources:
            words = f"the source '{source}', '{name.value}' is an input port, which is declared already"
            yield files.finding(path, name.start_mark.line + 1, words, "leave it away here", at=str(name.value))
        else:
            names.sources.add((source, str(name.value)))
            names.sources_known &= "{" not in source + str(name.value)


def _fields(node: yaml.Node) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _twice_findings(files: _ProjectFiles, project: Document) -> Iterator[Finding]:
    """Find models of one name. One that is disabled is none, and where that may be said nothing is."""
    properties = files.of(".yml", ".yaml")
    if "enabled" in project.text or files.mention("enabled", properties):
        return
    first: dict[str, Path] = {}
    for path in files.of(".sql", ".py", kinds=("model",)):
        other = first.setdefault(path.stem, path)
        if other is not path and not files.mention("enabled", [path, other]):
            words = f"a second model '{path.stem}': the other is {path_in_mesh(other, files._root)}"
            yield files.finding(path, 1, words, "rename one of the two")


def _reference_findings(files: _ProjectFiles, names: _Names, trees: dict[Path, nodes.Template]) -> Iterator[Finding]:
    macros = files.of(".sql", kinds=("macro",))
    if any(_OWN_REFERENCE.search(files.text(path)) for path in macros):
        return
    models = names.models | {path.stem for path in files.of(".sql", ".py", kinds=("model",))}
    models |= {path.stem for path in files.of(".csv", kinds=("seed",))}
    models |= {name for path in trees for name in _SNAPSHOT.findall(files.text(path))}
    readers: dict[str, dict[str, tuple[Path, int]]] = {}
    for path, tree in trees.items():
        # A reference of a test or an analysis that leads nowhere is a warning of dbt, one of a disabled model nothing.
        if files.kind(path) not in ("model", "snapshot") or files.mention("enabled", [path]):
            continue
        for line, words in _certain_calls(tree):
            match words:
                case ["source", source, table]:
                    if names.sources_known and (source, table) not in names.sources:
                        yield _no_source(files, path, line, f"{source}.{table}", names)
                case ["ref", name] | ["ref", names.project, name]:
                    readers.setdefault(path.stem, {})[str(name)] = path, line
                    if name not in models:
                        hint = suggest_name(str(name), models)
                        yield files.finding(path, line, f"there is no model '{name}'", hint, at=str(name))
    yield from _circle_findings(files, readers)


def _circle_findings(files: _ProjectFiles, readers: dict[str, dict[str, tuple[Path, int]]]) -> Iterator[Finding]:
    """Find one circle of models that read each other; `readers` are what each reads, and where it says so."""
    try:
        TopologicalSorter(readers).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]  # each reads the next
        path, line = readers[circle[0]][circle[1]]
        yield files.finding(path, line, f"models read each other in a circle: {' -> '.join(circle)}", at=circle[1])


def _no_source(files: _ProjectFiles, path: Path, line: int, wanted: str, names: _Names) -> Finding:
    known = [".".join(source) for source in names.sources]
    hint = "to read a product of the mesh, name it under `inputPorts` of a product of this domain"
    hint += f"; {suggest_name(wanted, known)}" if known else ""
    return files.finding(path, line, f"there is no source '{wanted}'", hint, at=wanted.partition(".")[0])


def _certain_calls(tree: nodes.Node) -> Iterator[tuple[int, list[Any]]]:
    """Yield the calls of `ref` and `source` with plain arguments that dbt makes whenever it parses a template: the
    line, and the function with its arguments."""
    for node in tree.iter_child_nodes():
        if isinstance(node, _UNCERTAIN):
            continue
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.dyn_args is None:
            given = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
            if node.node.name in ("ref", "source") and len(given) == len(node.args):
                yield node.lineno, [node.node.name, *given]
        yield from _certain_calls(node)
