"""The typed tree: a partial is typed for each place where it is included, and null flows through a dot."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import ibis
import pytest

from storymesh.engine.engine import Engine
from storymesh.language.compile.templates import compile_template
from storymesh.language.interpret import Interpreter, as_value
from storymesh.language.parse import parse_template
from storymesh.language.provenance import TracingInterpreter
from storymesh.language.typecheck.scope import Scope
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Field, Struct, Text

CANAL = Text(MappingProxyType({"suez": "Suez Canal"}))
CARGO = Text(MappingProxyType({"suez": "Suez blend crude oil"}))
PORT = Struct({"name": Field(Text()), "nickname": Field(Text(), True)})
PLACE = Struct({"name": Field(Text()), "nickname": Field(Text(), True), "port": Field(PORT, True)})
SCOPE: Scope = {
    "waterway": Field(CANAL),
    "cargo": Field(CARGO),
    "person": Field(Text(), classification="restricted"),
    "replaced": Field(Text(), pseudonym=True),
    "place": Field(PLACE, True),
}
KEY = b"key"
ABSENT: Mapping[str, Any] = {
    "waterway": "suez", "cargo": "suez", "person": "Acme", "replaced": "p-0123456789ab", "place": None,
}  # fmt: skip
PORTS = [None, {"name": "Said", "nickname": None}, {"name": "Said", "nickname": "S"}]
PLACES = [None, *({"name": "Suez", "nickname": word, "port": port} for word in (None, "Old") for port in PORTS)]
TYPE = "struct<name: string, nickname: string, port: struct<name: string, nickname: string>>"


def texts(template: str, rows: list[Mapping[str, Any]], engine: Engine, **partials: str) -> list[str]:
    """Return the texts of some rows, on which the interpreter, the tracing one and the engine agree."""
    parsed = {f"{name}.jinja": parse_template(text, f"{name}.jinja", f"d/{name}") for name, text in partials.items()}
    tree = check_template(parse_template(template, "t", "d/t"), SCOPE, parsed.get).tree
    plain = [Interpreter(tree, KEY).render("case-1", as_value(dict(row))) for row in rows]
    assert plain == [TracingInterpreter(tree, KEY).trace_text("case-1", as_value(dict(row))).text for row in rows]
    kinds = {name: TYPE if name == "place" else "string" for name in SCOPE}
    table = ibis.memtable([{**row, "n": n} for n, row in enumerate(rows)], schema={**kinds, "n": "int64"})
    names = {name: table[name] for name in SCOPE}
    column = compile_template(tree, names, ibis.literal("case-1"), KEY)
    assert plain == engine.fetch_table(table.select("n", text=column).order_by("n"))["text"].to_pylist()
    return plain


def test_one_partial_prints_the_codes_of_two_enums(engine: Engine) -> None:
    template = "{% set code = waterway %}{% include 'code.jinja' %}; {% set code = cargo %}{% include 'code.jinja' %}"
    assert texts(template, [ABSENT], engine, code="{{ code | label }}") == ["Suez Canal; Suez blend crude oil"]


def test_one_partial_inside_another_prints_the_codes_of_two_enums(engine: Engine) -> None:
    template = "{% set code = waterway %}{% include 'outer.jinja' %}{% set code = cargo %}{% include 'outer.jinja' %}"
    partials = {"outer": "<{% include 'code.jinja' %}>", "code": "{{ code | label }}"}
    assert texts(template, [ABSENT], engine, **partials) == ["<Suez Canal><Suez blend crude oil>"]


def test_one_partial_makes_a_pseudonym_and_leaves_one_alone(engine: Engine) -> None:
    template = "{% set who = person %}{% include 'who.jinja' %} {% set who = replaced %}{% include 'who.jinja' %}"
    assert texts(template, [ABSENT], engine, who="{{ who | pseudonym }}") == ["p-9994b5c4dbba p-0123456789ab"]


NULL_FLOWS = {
    "{{ place.nickname | default('-') }}": ["-", "-", "-", "-", "Old", "Old", "Old"],
    "{{ place.port.name | default('-') }}": ["-", "-", "Said", "Said", "-", "Said", "Said"],
    "{{ 'none' if place.nickname is none else place.nickname }}": ["none", "none", "none", "none", "Old", "Old", "Old"],
    "{% if place.port.nickname is not none %}{{ place.name }}{{ place.port.name }}{% else %}-{% endif %}": [
        "-", "-", "-", "SuezSaid", "-", "-", "SuezSaid",
    ],
    "{% if not place.name is none %}{{ place.name }}{% else %}-{% endif %}": ["-", *["Suez"] * 6],
    "{% set port = place.port.name | default(place.name | default('nowhere')) %}{{ port }}": [
        "nowhere", "Suez", "Said", "Said", "Suez", "Said", "Said",
    ],
}  # fmt: skip


@pytest.mark.parametrize("template", NULL_FLOWS)
def test_null_flows_through_a_dot(template: str, engine: Engine) -> None:
    rows = [{**ABSENT, "place": place} for place in PLACES]
    assert texts(template, rows, engine) == NULL_FLOWS[template]
