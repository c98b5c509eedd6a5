"""First templates: every property that may be printed, each by its type and with the guard that it wants."""

from collections.abc import Callable, Collection, Iterator, Sequence

from storymesh.contract.definition import Contract, Property
from storymesh.language.types import Array, Boolean, Date, Decimal, Float, Struct, Text, Timestamp
from storymesh.scaffold.cast_guess import RoleGuess
from storymesh.scaffold.names import singular_of, title_of

_DAY = "%-d %B %Y"

_CASES = """{% if precedents.enough %}
Closed cases like this one: {{ precedents.tried | number }}.
{% for option in precedents.options | sort(attribute="action") %}
- {{ option.action }}: worked {{ option.worked }} of {{ option.tried | plural("time") }}, latest in
{%- for quoted in option.quoted %} {{ quoted.cited_as }} {{ quoted.id }}{% endfor %}.
{% endfor %}
{% else %}
There are too few closed cases like this one.
{% endif %}"""
_ADVISE = """{% if not precedents.enough %}
There are too few closed cases like this one to say what works.
{% elif not precedents.best %}
Nothing that was tried often enough has worked.
{% else %}
Best: {{ precedents.best.action }}, worked {{ precedents.best.worked }} of {{ precedents.best.tried | plural("time") }}
{%- for quoted in precedents.best.quoted %} {{ quoted.cited_as }}{% endfor %}.
{% endif %}
"""


def report_template(roles: Sequence[RoleGuess]) -> str:
    """Return the template of a story told in hindsight, which sees everything."""
    parts = ["\n".join(_role_lines(role, lambda item: True)) for role in roles]
    return f"# {_heading(roles[0])}\n\n" + "\n".join(filter(None, parts)) + "\n"


def advice_templates(roles: Sequence[RoleGuess], hidden: Collection[str], *, labelled: bool) -> dict[str, str]:
    """Return the question, which prints what was known when the case began, and the answer from precedents.

    `hidden` are properties of the anchor that the outcome reads; `labelled`: its action has labels.
    """
    lines: list[str] = []
    for role in roles:
        contract = role.contract
        if contract.hindsight:
            continue
        own = role.link is None

        def is_known(item: Property, contract: Contract = contract, own: bool = own) -> bool:
            known = contract.known_at_of(item.name)
            return not own or (known in (None, contract.event_time) and item.name not in hidden)

        lines.append("\n".join(_role_lines(role, is_known, in_question=True)))
    known = "\n".join(filter(None, lines))
    question = f"{_heading(roles[0])}.\n\n{known}\n\n{_CASES}\n\nWhat worked in cases like this one?\n"
    templates = {"ask.md.jinja": question, "advise.md.jinja": _ADVISE}
    return {
        name: text.replace(".action }}", ".action | label }}" if labelled else ".action }}")
        for name, text in templates.items()
    }


def _heading(anchor: RoleGuess) -> str:
    return f'{title_of(anchor.name)}, {{{{ case.at | date("{_DAY}") }}}}'


def _role_lines(role: RoleGuess, prints: Callable[[Property], bool], *, in_question: bool = False) -> Iterator[str]:
    """Yield the lines of one role: a property on each, a row of a list on each."""
    items = [item for item in role.contract.properties.values() if _is_printable(item) and prints(item)]
    hidden = [item.name for item in role.contract.properties.values() if item.classification == "restricted"]
    if hidden:
        names = ", ".join(map(_in_comment, hidden))
        yield f"{{# Restricted, so not printed: {names}. The filter `pseudonym` prints a pseudonym. #}}"
    if not items:
        return
    if role.is_list:
        yield from _list_lines(role, items, in_question)
        return
    if role.link is not None:
        yield f"{{% if {role.name} %}}"
    for item in items:
        guarded = _wants_guard(role, item, in_question)
        path = f"{role.name}.{item.name}"
        if guarded:
            yield f"{{% if {path} is not none %}}"
        yield f"- {_label(role, item)}: {_printed(path, item)}"
        if guarded:
            yield "{% endif %}"
    if role.link is not None:
        yield "{% endif %}"


def _list_lines(role: RoleGuess, items: Sequence[Property], in_question: bool) -> Iterator[str]:
    row = singular_of(role.name) if singular_of(role.name) != role.name else f"{role.name}_item"
    parts = []
    for item in items:
        text = f"{title_of(item.name).lower()} {_printed(f'{row}.{item.name}', item)}"
        guarded = _wants_guard(role, item, in_question)
        parts.append(f"{{% if {row}.{item.name} is not none %}}; {text}{{% endif %}}" if guarded else f"; {text}")
    yield f"{{% for {row} in {role.name} %}}"
    yield f"- {title_of(row)}{''.join(parts)}"
    yield "{% endfor %}"


def _wants_guard(role: RoleGuess, item: Property, in_question: bool) -> bool:
    """Return True for a value that may be null: that no row has to have, or that a question may not know yet."""
    later = role.contract.known_at_of(item.name) not in (None, role.contract.event_time)
    return item.field.nullable or (in_question and later)


def _is_printable(item: Property) -> bool:
    shapes = isinstance(item.type, Array | Struct)
    return item.classification != "restricted" and not shapes and item.name.isidentifier() and item.name.isascii()


def _in_comment(name: str) -> str:
    return "".join(letter for letter in name if letter.isalnum() or letter in "_- ")


def _label(role: RoleGuess, item: Property) -> str:
    words = title_of(item.name)
    return words if role.link is None else f"{title_of(role.name)}, {words.lower()}"


def _printed(path: str, item: Property) -> str:
    """Return the output of a value in the form of its type."""
    unit = f" {item.unit}" if item.unit and item.unit.replace("_", "").isalnum() else ""
    match item.type:
        case Text(labels) if labels:
            return f"{{{{ {path} | label }}}}"
        case Float():
            return f"{{{{ {path} | number(2) }}}}{unit}"
        case Decimal(_, scale):
            return f"{{{{ {path} | number({scale}) }}}}{unit}"
        case Date():
            return f'{{{{ {path} | date("{_DAY}") }}}}'
        case Timestamp():
            return f'{{{{ {path} | date("{_DAY}, %H:%M") }}}}'
        case Boolean():
            return f'{{{{ "yes" if {path} else "no" }}}}'
        case _:
            return f"{{{{ {path} }}}}{unit}"
