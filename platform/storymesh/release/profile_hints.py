"""What to do about the costliest roles and lines of templates, in the words of whoever writes a narrative."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from storymesh.dataset.template_profile import ConfigCost, LineCost, OuterLoop
from storymesh.location import Location

MAX_HINTS = 5  # of a config
ROLE_ROWS = 100  # of a case, on average
ROLE_BYTES = 2_048  # of a case, where they are most of it


@dataclass(frozen=True)
class RoleCost:
    """What one role costs the cases: the engine's `seconds` for its link, the rows of its product that are looked at,
    those that cases get, those of one case, and what they take of the cases' file before it is compressed, as
    `bytes_of_case` and as the `share` of all its bytes. `listed`: a case may have several."""

    role: str
    product: str
    listed: bool
    seconds: float
    rows_in: int
    rows_out: int
    mean: float
    most: int
    properties: int
    bytes_of_case: float
    share: float


@dataclass(frozen=True)
class Hint:
    """Something that costs much: what it is, and what to do about it. `location` is None for a role."""

    config: str
    location: Location | None
    words: str
    advice: str


def find_hints(roles: Iterable[RoleCost], templates: Iterable[ConfigCost]) -> Iterator[Hint]:
    """Yield what costs much: roles first, then for each config its lines, those that make the most rows first."""
    for role in roles:
        if (advice := _role_advice(role)) is not None:
            rows = f"{role.mean:,.0f} rows to a case" if role.listed else "a row to a case"
            words = f"the role `{role.role}` brings {rows} ({role.most:,} at most), {role.share:.0%} of its bytes"
            yield Hint("", None, words, advice)
    for template in templates:
        costly = [line for line in template.lines if line.is_costly]
        causes = [line for line in costly if not any(_is_inside(o, line) or _is_condition(line, o) for o in costly)]
        found: dict[tuple[str, str], Hint] = {}  # filters of one list in one line are one thing to do
        for line in sorted(causes, key=lambda line: line.total, reverse=True):
            words, advice = _line_words(line), _line_advice(line, template)
            found.setdefault((words, advice), Hint(template.config, line.location, words, advice))
        yield from list(found.values())[:MAX_HINTS]


def _is_inside(line: LineCost, outer: LineCost) -> bool:
    """Return True if a line stands in a loop: what is costly in it makes the loop costly too."""
    return any(loop.location == outer.location for loop in line.around)


def _is_condition(line: LineCost, loop: LineCost) -> bool:
    """Return True if a line is the `if` of a loop: where the loop makes many rows too, it is named alone."""
    if (line.kind, loop.kind) != ("filter", "loop"):
        return False
    here, there = line.location, loop.location
    return (here.path, here.line, line.over, line.around) == (there.path, there.line, loop.over, loop.around)


def _role_advice(role: RoleCost) -> str | None:
    wide = role.share >= 0.5 and role.bytes_of_case >= ROLE_BYTES
    if role.listed and (wide or role.mean >= ROLE_ROWS):
        return f"narrow its link (`within`, less `slack`, `as_of`){_fewer_properties(role, ', or ')}"
    if wide and role.properties > 1:
        return f"{_fewer_properties(role)}: a case carries those that some template or fact reads, and no other"
    return None


def _fewer_properties(role: RoleCost, before: str = "") -> str:
    return f"{before}let templates read fewer of its {role.properties} properties" if role.properties > 1 else ""


def line_title(line: LineCost) -> str:
    """Return what a line is: "the loop over `events`"."""
    match line.kind:
        case "loop":
            return f"the loop over `{line.over}`"
        case "include":
            return f"the include of {line.over}"
        case "filter":
            return f"the filter of `{line.over}`"


def short_location(location: Location) -> str:
    """Return the file and the line, without the folder that all templates of a narrative are in."""
    return f"{PurePosixPath(location.path).name}:{location.line}"


def _line_words(line: LineCost) -> str:
    title = f"{line_title(line)} in {short_location(line.location)}"
    if line.kind == "include" and not line.around:
        return f"{title} prints {line.characters or 0:,.0f} characters"
    if line.rounds is None:
        return f"{title} makes up to {line.most:,} rows, {line.mean:,.0f} on average"
    runs = "runs" if line.kind == "include" else "rows"
    outer = short_location(line.around[-1].location)
    if line.kind != "include" and line.rounds and line.most % line.rounds == 0:
        return f"{title} makes {line.rounds:,} x {line.most // line.rounds:,} rows"
    return f"{title} makes up to {line.most:,} {runs}, in {line.rounds:,} rounds of the loop in {outer}"


def _line_advice(line: LineCost, template: ConfigCost) -> str:
    around = line.around[-1] if line.around else None
    if line.kind == "include":
        return _include_advice(line, around, template)
    if around is None:
        printed = (
            f" It prints {line.characters:,.0f} characters of a record's {template.characters:,.0f}."
            if (line.characters)
            else ""
        )
        return f"narrow the link that gives its rows, or loop over fewer of them (`selectattr`).{printed}"
    outer = short_location(around.location)
    if line.over.startswith(f"{around.item}."):
        return f"each `{around.item}` of the loop in {outer} has a list of its own: loop over fewer of either"
    if line.over == around.over:
        rows = f"`{line.over}` has up to {line.rounds or 0:,} rows"
        where = f"{rows}, and the loop around it ({outer}) goes over the same list"
    else:
        where = f"it goes over all of `{line.over}` in every round of the loop over `{around.over}` ({outer})"
    return f"{where}: {_nested_advice(line, around)}"


def _nested_advice(line: LineCost, around: OuterLoop) -> str:
    """Return what to do about a list that is gone over in every round of a loop."""
    if not line.differs_by_round:
        return "`set` before that loop what is the same in every round, or make it a fact in narrative.yaml"
    if "| unique" in around.over:
        return (
            f"it asks for what belongs to each `{around.item}`. Let the product's SQL add that as a property, or "
            "narrow the link that gives the rows"
        )
    return (
        f"it asks for what belongs to each `{around.item}`. Let the product's SQL add that as a property, loop over "
        "`rows | map(attribute=…) | unique` where many rounds ask for the same, or narrow the link that gives the rows"
    )


def _include_advice(line: LineCost, around: OuterLoop | None, template: ConfigCost) -> str:
    if around is None:
        return f"that is of a record's {template.characters:,.0f}: print less there, or only where it matters (`if`)"
    return (
        f"`{line.over}` is told in every round of the loop over `{around.over}` ({short_location(around.location)}): "
        f"`set` before that loop what is the same in every round, or loop over fewer rows"
    )
