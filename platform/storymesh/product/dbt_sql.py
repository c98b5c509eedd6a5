"""Errors of syntax in the SQL of dbt models, where the text of a file shows them: of templates that dbt fills with
names of relations alone. Whatever else a template may become is left to dbt and its database."""

import re
from collections.abc import Iterator

from jinja2 import Environment, nodes

from storymesh.engine.open import syntax_fault

_NAMES_RELATIONS = ("ref", "source")
_CONFIG = "config"
_PLAIN_MODELS = ("table", "view", "incremental", "ephemeral", "external")
_RELATION = " a_relation "
_NOT_THERE = re.compile(r"\benabled\b")


def model_sql_fault(jinja: Environment, tree: nodes.Template, text: str) -> tuple[int, str] | None:
    """Return the line of the first error of syntax in the SQL of a model, and what it is; None where there is none, or
    where only dbt knows what its template becomes."""
    if _NOT_THERE.search(text) or not all(_is_known(node) for node in _parts(tree)):
        return None
    query = _with_relations(jinja, text)
    if not query.strip() or (fault := syntax_fault(query)) is None:
        return None
    line, words = fault
    return line, words.replace(f'"{_RELATION.strip()}"', "the name of a relation")


def _parts(tree: nodes.Template) -> Iterator[nodes.Node]:
    """Yield what a template is made of: its outputs one by one, and any statement whole."""
    for statement in tree.body:
        if isinstance(statement, nodes.Output):
            yield from statement.nodes
        else:
            yield statement


def _is_known(node: nodes.Node) -> bool:
    """Return True for text, and for a call that gives the name of a relation, or nothing."""
    if isinstance(node, nodes.TemplateData):
        return True
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Name) or node.dyn_args or node.dyn_kwargs:
        return False
    if node.node.name in _NAMES_RELATIONS:
        return True
    if node.node.name != _CONFIG or node.args:
        return False
    kinds = [item.value for item in node.kwargs if item.key == "materialized"]
    return all(isinstance(kind, nodes.Const) and kind.value in _PLAIN_MODELS for kind in kinds)


def _with_relations(jinja: Environment, text: str) -> str:
    """Return the text of a template with a name for each relation, every line where it was."""
    written: list[str] = []
    lines = 1

    def write(part: str) -> None:
        nonlocal lines
        written.append(part)
        lines += part.count("\n")

    for line, kind, value in jinja.lex(text):
        if kind == "data":
            write("\n" * (line - lines))
            write(value)
        elif kind == "name" and value in _NAMES_RELATIONS:
            write(_RELATION)
    return "".join(written)
