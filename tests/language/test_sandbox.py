"""A template is untrusted: escapes are findings, and do nothing in the interpreter where the checker is left out."""

import pytest

from storymesh.errors import DefinitionErrors, StorymeshError, TooLarge
from storymesh.language import interpret
from storymesh.language.interpret import Interpreter, as_value
from storymesh.language.parse import parse_expression, parse_template
from storymesh.language.typecheck.templates import check_template
from storymesh.location import Location
from tests.support.canal_mesh import canal_views
from tests.support.unchecked import unchecked_template

ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ t.__class__ }}",
    "{{ t.format }}",
    "{{ '{0.__class__}'.format(t) }}",
    "{{ t.format_map(row) }}",
    "{{ ''.join.__globals__ }}",
    "{{ choose.__globals__ }}",
    "{{ choose.func.__globals__ }}",
    "{{ choose }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__ }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ namespace.__init__ }}",
    "{{ dict(a=1) }}",
    "{{ range(10**12) }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ t | attr('__class__') }}",
    "{{ rows | map(attribute='__class__') | listing }}",
    "{{ rows | map('attr', '__class__') | listing }}",
    "{{ rows | selectattr('__class__') | length }}",
    "{{ rows | sort(attribute='__class__') | length }}",
    "{{ rows | sum(attribute='n.__class__') }}",
    "{{ t | pprint }}",
    "{{ t | safe }}",
    "{{ t | xmlattr }}",
    "{{ t | tojson }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%s' % t }}",
    "{{ 'a' * 1000000000 }}",
    "{{ [1] * 1000000000 }}",
    "{{ 10 ** 1000000000 }}",
    "{{ 'a' + 'b' }}",
    "{% import 'os' as os %}",
    "{% from 'os' import popen %}",
    "{% include '/etc/passwd' %}",
    "{% include '../secret.jinja' %}",
    "{% extends '/etc/passwd' %}",
    "{% include t %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for x in range(1000000000) %}x{% endfor %}",
    "{% for x in rows recursive %}{{ loop(rows) }}{% endfor %}",
    "{% for x in rows %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{% for x in rows %}{{ loop._iterator }}{% endfor %}",
    "{% for x in rows %}{{ loop.changed(1) }}{% endfor %}",
    "{% for x in rows %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% set x = namespace(a=1) %}",
    "{% set t.a = 1 %}",
    "{% do t.clear() %}",
    "{{ row.items() }}",
    "{{ row.pop('n') }}",
    "{{ row.keys }}",
    "{{ t[0] }}",
    "{{ row['n'] }}",
    "{{ t[::1] }}",
    "{{ caller() }}",
    "{{ varargs }}",
    "{{ context }}",
    "{{ environment }}",
    "{{ _ }}",
    "{{ debug() }}",
    "{% trans %}x{% endtrans %}",
    "{% debug %}",
    "{% autoescape false %}{{ t }}{% endautoescape %}",
]
NAMES = as_value({"t": "text", "n": 3, "row": {"n": 1}, "rows": [{"n": 1}, {"n": 2}]})


def interpreter(**templates: str) -> Interpreter:
    return Interpreter(unchecked_template(templates, "t"), b"key")


@pytest.mark.parametrize("template", ESCAPES)
def test_an_escape_is_a_finding(template: str) -> None:
    from tests.support.generated import SCOPE

    with pytest.raises(DefinitionErrors):
        check_template(parse_template(template, "t", "d/t"), SCOPE, lambda name: None)


@pytest.mark.parametrize("template", ESCAPES)
def test_an_escape_does_nothing_unchecked(template: str) -> None:
    """What is refused at once, or ends as an error of ours: never Python's own error, never Python's words."""
    with pytest.raises(StorymeshError):
        interpreter(t=template).render("case-1", NAMES)


def test_what_is_no_escape_renders() -> None:
    template = "{{ t }} {% for x in rows %}{{ loop.index }}{{ x.n }}{% endfor %}"
    assert interpreter(t=template).render("case-1", NAMES) == "text 1122"


def test_values_that_look_like_templates_are_text() -> None:
    hostile = "{{ 7 * 7 }}{% include 'x' %}{# #}<script>&amp;%s{0}"
    names = as_value({"t": hostile})
    assert interpreter(t="{{ t }}|{{ t ~ t }}|{{ t | upper }}").render("case-1", names) == (
        f"{hostile}|{hostile}{hostile}|{hostile.upper()}"
    )


# --- bounds: each is counted, so the same text stops at the same place on every machine ---

DOUBLED = "{% set x = 'aaaaaaaa' %}" + "{% set x = x ~ x %}" * 60
BOMBS = {
    "texts doubled by set": {"t": DOUBLED},
    "texts doubled by replace": {"t": "{% set x = 'aaaaaaaa' %}" + "{% set x = x | replace('a', x) %}" * 12},
    "texts doubled by join": {"t": "{% set x = 'aaaaaaaa' %}" + "{% set x = [x, x, x, x] | join %}" * 40},
    "texts doubled by listing": {"t": "{% set x = 'aaaaaaaa' %}" + "{% set x = [x, x, x, x] | listing %}" * 40},
    "loops in loops": {"t": "{% for a in many %}" * 8 + "{% endfor %}" * 8},
    "loops in loops that print": {"t": "{% for a in many %}" * 5 + "x" + "{% endfor %}" * 5},
    "sorting in loops": {"t": "{% for a in many %}" * 2 + "{% if many | sort %}{% endif %}" + "{% endfor %}" * 2},
    "includes of includes": {
        **{f"p{n}": f"{{% include 'p{n + 1}' %}}" * 20 for n in range(8)}, "p8": "", "t": "{% include 'p0' %}",
    },
    "includes in loops": {
        "t": "{% for a in many %}" * 2 + "{% include 'p' %}" + "{% endfor %}" * 2, "p": "{% set x = 1 %}" * 50,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_stops(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer steps and a shorter list, of which two loops alone stay below the bound."""
    monkeypatch.setattr(interpret, "MAX_STEPS", 100_000)
    names = as_value({"many": list(range(100))})
    with pytest.raises(TooLarge):
        interpreter(**BOMBS[name]).render("case-1", names)


def test_a_text_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpret, "MAX_OUTPUT", 100)
    assert interpreter(t="a" * 100).render("case-1", {}) == "a" * 100
    with pytest.raises(TooLarge, match="longer than"):
        interpreter(t="a" * 101).render("case-1", {})


def test_steps_are_counted_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{% for a in many %}{{ a }}{% endfor %}"
    names = as_value({"many": list(range(50))})
    left = []
    for bound in range(100, 400, 5):
        monkeypatch.setattr(interpret, "MAX_STEPS", bound)
        try:
            interpreter(t=template).render("case-1", names)
        except TooLarge:
            left.append(bound)
    assert left == list(range(100, max(left) + 5, 5)) and max(left) < 395


@pytest.mark.parametrize("template", ["{{ t }}{% include 'p' %}", "{% include 'p' %}"], ids=["prints", "only includes"])
def test_a_checked_template_may_take_what_its_check_allows(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.generated import SCOPE

    monkeypatch.setattr(interpret, "MAX_STEPS", 100)
    partial = parse_template("{% for x in rows %}.{% endfor %}", "p", "d/p")
    tree = check_template(parse_template(template, "t", "d/t"), SCOPE, lambda name: partial).tree
    rows = as_value({"t": "", "rows": [{"n": 1}] * 500})
    assert Interpreter(tree, b"key").render("case-1", rows) == "." * 500
    with pytest.raises(TooLarge):
        interpreter(t=template, p="{% for x in rows %}.{% endfor %}").render("case-1", rows)


def refused(text: str) -> str:
    with pytest.raises(DefinitionErrors) as caught:
        parse_template(text, "t", "d/t")
    return str(caught.value)


def test_templates_have_a_size_and_a_depth() -> None:
    assert "larger than 256 KiB" in refused("a" * 300_000)
    assert "[too-large]" in refused("{{ 1 }}" * 20_001)
    assert "[too-large]" in refused("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}")
    assert "[too-large]" in refused("{{ 1" + " + 1" * 5000 + " }}")
    assert "[too-large]" in refused("{{ " + "not " * 3000 + "n }}")
    assert "[too-large]" in refused("{{ " + "-" * 3000 + "n }}")
    assert "[too-large]" in refused("{{ n" + " | abs" * 3000 + " }}")
    assert "[too-large]" in refused("{{ " + "[" * 3000 + "1" + "]" * 3000 + " }}")
    assert "[too-large]" in refused("{{ n" + ".a" * 3000 + " }}")
    assert "[too-large]" in refused("{% if n %}" * 3000 + "{% endif %}" * 3000)
    assert "[too-large]" in refused("{% if n %}" + "{% elif n %}" * 3000 + "{% endif %}")
    assert "[too-large]" in refused("{% for x in n %}" * 12 + "{% endfor %}" * 12)
    assert "[too-large]" in refused("{{ 1 if n else" * 3000 + " 1 }}")
    assert "[too-large]" in refused("{{ n or" * 3000 + " n }}")


@pytest.mark.parametrize(
    "text",
    [
        "1" + " + 1" * 5000,
        "(" * 3000 + "1" + ")" * 3000,
        "not " * 3000 + "n",
        "n" + ".a" * 3000,
        "[" * 3000 + "]" * 3000,
    ],
)
def test_expressions_have_a_depth(text: str) -> None:
    with pytest.raises(DefinitionErrors, match="too-large"):
        parse_expression(text, Location("narrative.yaml"))


DEEPEST = [
    "{% if n %}" * 36 + "x" + "{% endif %}" * 36,
    "{% for x in rows %}" * 8 + "{% if n %}" * 28 + "x" + "{% endif %}" * 28 + "{% endfor %}" * 8,
    "{{ " + "(n + " * 36 + "n" + ")" * 36 + " }}",
    "{{ " + "(n and " * 36 + "n" + ")" * 36 + " }}",
    "{{ " + "(1 if n else " * 36 + "n" + ")" * 36 + " }}",
    "{{ " + "(" * 36 + "n" + " | abs)" * 36 + " }}",
    "{{ " + "(t ~ " * 36 + "n" + ")" * 36 + " }}",
    "{{ " + "-(" * 36 + "n" + ")" * 36 + " }}",
    "{{ " + "(not " * 36 + "n" + ")" * 36 + " }}",
    "{% if " + "(n < (1 if " * 12 + "n" + " else 0))" * 12 + " %}x{% endif %}",
    "{% if n %}" * 30 + "{{ " + "(n + " * 7 + "n" + ")" * 7 + " }}" + "{% endif %}" * 30,
    "{% if n > 9 %}x" + "".join(f"{{% elif n == {n} %}}{n}" for n in range(80)) + "{% endif %}",
    "{{ t" + " ~ t" * 500 + " }}",
    "{{ [" + "n, " * 500 + "n] | sum }}",
]


@pytest.mark.parametrize("template", DEEPEST, ids=range(len(DEEPEST)))
def test_what_is_just_deep_enough_renders(template: str) -> None:
    """Python compiles what Jinja makes of the deepest template that is allowed."""
    from tests.support.generated import SCOPE

    checked = check_template(parse_template(template, "t", "d/t"), SCOPE, lambda name: None)
    assert checked
    assert interpreter(t=template).render("case-1", NAMES) is not None


def test_checking_many_includes_stops() -> None:
    parts = {f"p{n}": parse_template(f"{{% include 'p{n + 1}' %}}" * 30, f"p{n}", f"p{n}") for n in range(8)}
    parts["p8"] = parse_template("x", "p8", "p8")
    with pytest.raises(DefinitionErrors, match="too-large"):
        check_template(parts["p0"], canal_views().scopes["hindsight"], parts.get)
