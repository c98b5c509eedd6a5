"""What each view of time may see, as the language's scopes: names with their types, and why a name is not to be seen.

*Question* knows what was known at `case.at`; *answer* sees that plus the label; *hindsight* sees everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from storymesh.case.definition import Case, Outcome
from storymesh.case.resolve import At, Cast, Role
from storymesh.errors import DefinitionErrors, Finding
from storymesh.language.ast import Expression
from storymesh.language.parse import parse_expression
from storymesh.language.typecheck.static_values import Checked, Fact, Path, Scope
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.types import (
    NUMBERS,
    Array,
    Boolean,
    Decimal,
    Field,
    Float,
    Hidden,
    Integer,
    Struct,
    Text,
    Timestamp,
    Type,
)
from storymesh.location import Location

Phase = Literal["question", "answer", "hindsight"]


@dataclass(frozen=True)
class Formula:
    """One expression of narrative.yaml: its tree and what the checker found in hindsight."""

    name: str
    expression: Expression
    checked: Checked


@dataclass(frozen=True)
class Views:
    """The typed case: facts and outcome in order, and the scope of each phase."""

    scopes: Mapping[Phase, Scope]
    facts: Mapping[str, Formula]
    hidden_facts: frozenset[str]  # facts that a question cannot know
    outcome: Mapping[str, Formula]  # action, score, worked; empty without an outcome
    match: tuple[tuple[Formula, ...], ...]
    unprintable: Mapping[Path, Hidden]  # what would give a question's answer away

    def spread(self, path: Path) -> frozenset[Path]:
        """A path that begins with a fact, led back to the roles that the fact reads."""
        if path[0] not in self.facts:
            return frozenset({path})
        checked = self.facts[path[0]].checked
        inner = {(*base, *path[1:]) for base in checked.value.paths} if len(path) > 1 else checked.reads
        return frozenset(found for base in inner for found in self.spread(base))


def views(case: Case, cast: Cast, at: At, pseudonymised: frozenset[Path] = frozenset()) -> Views:
    """Type a case. Raises DefinitionErrors with every finding in facts, outcome and match."""
    findings: list[Finding] = []
    hindsight: dict[str, Field | Hidden | Fact] = {}
    question: dict[str, Field | Hidden | Fact] = {}
    for role in cast.roles.values():
        hindsight[role.name] = _hindsight(role, pseudonymised)
        question[role.name] = _question(cast, role, pseudonymised)
    key = Text()
    closes = _closes(cast)
    hindsight["case"] = Field(_case(key, closes=replace(closes, nullable=True) if closes else None))
    later = Hidden("out-of-view", "'case.closes' is known only when the case closes", "tell it in a `text` record")
    question["case"] = Field(_case(key, closes=later if case.closes else None))

    facts: dict[str, Formula] = {}
    hidden_facts: set[str] = set()
    for name, text in case.facts.items():
        steps = ("case", "facts", name)
        formula = _formula(name, text, at(*steps), hindsight, findings)
        if formula is None:
            hindsight[name] = question[name] = Hidden("broken-fact", f"the fact '{name}' has a mistake of its own")
            continue
        facts[name] = formula
        hindsight[name] = Fact(formula.checked.value.field, formula.expression)
        question[name] = _fact_in_question(formula, question)
        if isinstance(question[name], Hidden):
            hidden_facts.add(name)

    outcome: dict[str, Formula] = {}
    unprintable: dict[Path, Hidden] = {}
    if case.outcome is not None:
        outcome = _outcome(case.outcome, at, hindsight, findings)
    if case.closes is None and case.outcome is not None:
        words = "an outcome needs `closes`: the moment when it is known"
        findings.append(Finding(at("case", "outcome"), "missing-field", words))
    match = _match(case, at, question, findings)
    if case.precedents is not None and case.outcome is None:
        words = "precedents need an `outcome`: what was done and whether it worked"
        findings.append(Finding(at("case", "precedents"), "missing-field", words))
    if findings:
        raise DefinitionErrors(findings)
    result = Views({}, facts, frozenset(hidden_facts), outcome, match, {})
    if outcome:
        if outcome["action"].checked.value.classification == "restricted":
            raise DefinitionErrors([_restricted_action(result, cast, at, pseudonymised)])
        for read in outcome["action"].checked.reads:
            for path in result.spread(read):
                words = f"'{'.'.join(path)}' is what `outcome.action` reads: it gives the answer away"
                unprintable[path] = Hidden("gives-answer-away", words, "leave it to the answer")
        for name in facts:
            for path in list(unprintable):
                if (
                    (name,) not in unprintable
                    and path in result.spread((name,))
                    and not isinstance(facts[name].checked.value.type, Struct | Array)
                ):
                    words = f"'{name}' reads '{'.'.join(path)}', as `outcome.action` does: it gives the answer away"
                    unprintable[(name,)] = Hidden("gives-answer-away", words, "leave it to the answer")
                if isinstance(facts[name].checked.value.type, Struct | Array):
                    for base in facts[name].checked.value.paths:
                        if path[: len(base)] == base:
                            unprintable[(name, *path[len(base) :])] = unprintable[path]
    told = {name: replace(formula.checked.value.field, nullable=False) for name, formula in outcome.items()}
    told = {"action": Field(Text()), "score": Field(Integer()), "worked": Field(Boolean())} | told
    told["score"] = replace(told["score"], type=_score(told["score"].type))
    option = Field(option_type(facts, told, key, closes or Field(Timestamp())))
    answer = dict(question)
    if case.precedents is not None:
        precedents = Field(_precedents(option))
        hindsight["precedents"] = question["precedents"] = answer["precedents"] = precedents
    else:
        missing = Hidden("unknown-name", "this case asks for no precedents", "add `precedents` under `case`")
        hindsight["precedents"] = question["precedents"] = answer["precedents"] = missing
    if outcome:
        later = Hidden("out-of-view", "'outcome' is not known when the question is asked", "leave it to the answer")
        future = Hidden("out-of-view", "an answer never prints how the future went", "tell it in a `text` record")
        hindsight["outcome"] = Field(Struct(told), nullable=True)
        answer["outcome"] = Field(Struct({**told, "score": future}))
        question["outcome"] = later
    else:
        none = Hidden("unknown-name", "this case has no outcome", "add `outcome` under `case`")
        hindsight["outcome"] = question["outcome"] = answer["outcome"] = none
    scopes: dict[Phase, Scope] = {"question": question, "answer": answer, "hindsight": hindsight}
    return Views(scopes, facts, frozenset(hidden_facts), outcome, match, unprintable)


def option_type(facts: Mapping[str, Formula], outcome: Mapping[str, Field], key: Text, closes: Field) -> Struct:
    """One precedent option: an action, how often it was tried, how often it worked, and cases to quote."""
    score = outcome["score"]
    quoted = Struct(
        {
            "id": Field(key),
            "at": Field(Timestamp()),
            "closes": closes,
            "score": score,
            "worked": outcome["worked"],
            **{name: replace(fact.checked.value.field, nullable=True) for name, fact in facts.items()},
        },
        origin="precedent",
    )
    return Struct(
        {
            "action": outcome["action"],
            "tried": Field(Integer()),
            "worked": Field(Integer()),
            "rate": Field(Float()),
            "mean_score": Field(Float(), classification=score.classification),
            "quoted": Field(Array(Field(quoted))),
        }
    )


def _precedents(option: Field) -> Struct:
    maybe = Field(option.type, nullable=True)
    return Struct(
        {
            "enough": Field(Boolean(), implies=("level",)),
            "level": Field(Integer(), nullable=True),
            "tried": Field(Integer()),
            "best": maybe,
            "worst": maybe,
            "options": Field(Array(option)),
        }
    )


def _case(key: Text, closes: Field | Hidden | None) -> Struct:
    fields: dict[str, Field | Hidden] = {"id": Field(key), "at": Field(Timestamp())}
    return Struct(fields | ({"closes": closes} if closes is not None else {}))


def _closes(cast: Cast) -> Field | None:
    """The closing of a case that is closed, a moment as restricted as the property that it is taken from."""
    if cast.closes is None:
        return None
    return Field(Timestamp(), classification=cast.anchor.contract.properties[cast.closes].classification)


def _score(kind: Type) -> Integer | Decimal:
    return kind if isinstance(kind, Integer | Decimal) else SCORE


SCORE = Decimal(28, 9)  # a float score is kept to nine digits, so that sums are exact


def _formula(name: str, text: str, place: Location, scope: Scope, findings: list[Finding]) -> Formula | None:
    try:
        expression = parse_expression(text, place)
        return Formula(name, expression, check_expression(expression, scope))
    except DefinitionErrors as refused:
        findings.extend(refused.findings)
        return None


def _fact_in_question(formula: Formula, question: Scope) -> Fact | Hidden:
    try:
        checked = check_expression(formula.expression, question)
    except DefinitionErrors as refused:
        first = refused.findings[0]
        words = f"'{formula.name}' is not known when the question is asked: {first.message}"
        return Hidden("out-of-view", words, first.hint)
    return Fact(checked.value.field, formula.expression)


def _outcome(outcome: Outcome, at: At, scope: Scope, findings: list[Finding]) -> dict[str, Formula]:
    wanted: Mapping[str, tuple[type | tuple[type, ...], str]] = {
        "action": (Text, "a text"),
        "score": (NUMBERS, "a number"),
        "worked": (Boolean, "true or false"),
    }
    formulas: dict[str, Formula] = {}
    for name, (types, spoken) in wanted.items():
        place = at("case", "outcome", name)
        formula = _formula(name, getattr(outcome, name), place, scope, findings)
        if formula is None:
            continue
        if not isinstance(formula.checked.value.type, types):
            words = f"`{name}` is {formula.checked.value.type}, it wants to be {spoken}"
            findings.append(Finding(place, "wrong-type", words))
        formulas[name] = formula
    return formulas


def _restricted_action(views: Views, cast: Cast, at: At, pseudonymised: frozenset[Path]) -> Finding:
    """An action names the options of every case, in what is told and in the queries that trace it."""
    paths = {path for read in views.outcome["action"].checked.value.paths for path in views.spread(read)}
    secret = [".".join(path) for path in sorted(paths) if restricted(cast, path, pseudonymised)]
    spoken = f"'{secret[0]}'" if secret else "`action`"
    words = f"{spoken} is restricted, and the action names the options of every case"
    hint = f"add {' and '.join(f'`{path}`' for path in secret)} to `dataset.pseudonymise`" if secret else ""
    return Finding(at("case", "outcome", "action"), "restricted", words, hint)


def restricted(cast: Cast, path: Path, pseudonymised: frozenset[Path]) -> bool:
    """Whether what stands at a path of a role may be printed through `pseudonym` only."""
    if path[0] not in cast.roles or len(path) < 2 or path[:2] in pseudonymised:
        return False
    found = cast.roles[path[0]].contract.properties.get(path[1])
    return found is not None and found.classification == "restricted"


def _match(case: Case, at: At, scope: Scope, findings: list[Finding]) -> tuple[tuple[Formula, ...], ...]:
    if case.precedents is None:
        return ()
    levels: list[tuple[Formula, ...]] = []
    for index, level in enumerate(case.precedents.match):
        formulas = []
        for position, text in enumerate(level):
            place = at("case", "precedents", "match", index, position)
            formula = _formula(f"match_{index}_{position}", text, place, scope, findings)
            if formula is None:
                continue
            if isinstance(formula.checked.value.type, Struct | Array | Float):
                words = f"`match` wants a value that can equal another, '{text}' is {formula.checked.value.type}"
                findings.append(Finding(place, "wrong-type", words))
            formulas.append(formula)
        levels.append(tuple(formulas))
    return tuple(levels)


def _hindsight(role: Role, pseudonymised: frozenset[Path]) -> Field:
    fields: dict[str, Field | Hidden] = {
        name: _pseudonymised(role, name, item.field, pseudonymised) for name, item in role.contract.properties.items()
    }
    struct = Struct(fields, origin=role.name)
    if role.single:
        return Field(struct, nullable=role.link is not None and role.link.expect == "optional")
    return Field(Array(Field(struct)))


def _question(cast: Cast, role: Role, pseudonymised: frozenset[Path]) -> Field | Hidden:
    if role.contract.hindsight:
        words = f"'{role.name}' is hindsight: '{role.contract.id}' does not say when its rows became true"
        return Hidden("out-of-view", words, "give the contract an eventTime, or `timeless: true`")
    if role.never_asked:
        words = f"'{role.name}' is linked through what no question knows"
        return Hidden("out-of-view", words, "tell it in a `text` record, or link it otherwise")
    fields: dict[str, Field | Hidden] = {}
    for name, item in role.contract.properties.items():
        promised = _pseudonymised(role, name, item.field, pseudonymised)
        if cast.never_known(role, name):
            words = f"'{role.name}.{name}' is known only when the case closes"
            fields[name] = Hidden("out-of-view", words, "tell it in a `text` record")
        elif not cast.known_with_row(role, name):
            fields[name] = Field(promised.type, True, promised.classification, promised.unit, promised.pseudonym)
        else:
            fields[name] = promised
    struct = Struct(fields, origin=role.name)
    if role.single:
        absent = role.link is not None and (role.link.expect == "optional" or role.may_be_future)
        return Field(struct, nullable=absent)
    return Field(Array(Field(struct)))


def _pseudonymised(role: Role, name: str, promised: Field, pseudonymised: frozenset[Path]) -> Field:
    if (role.name, name) not in pseudonymised:
        return promised
    return Field(Text(), promised.nullable, "public", promised.unit, True)
