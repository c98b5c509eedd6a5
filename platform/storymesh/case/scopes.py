"""The scopes of a case: for each phase the names that templates may use, with types, or why a name is hidden.

*Question* sees what was known at `case.at`, *answer* that and the outcome's label, *hindsight* everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from storymesh.case.definition import QUOTED_FIELDS, Case, Outcome, match_column
from storymesh.case.resolve import Cast, LocationOf, Role
from storymesh.case.withheld_values import withheld_value_findings
from storymesh.errors import DefinitionErrors, Finding
from storymesh.language.ast import Expression
from storymesh.language.bounds import MAX_COPIES, copies_in_facts
from storymesh.language.parse import parse_expression
from storymesh.language.static_values import ANYTHING, Path
from storymesh.language.typecheck.scope import CheckedExpression, Fact, Scope
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.typecheck.zero import not_zero
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
    """An expression of narrative.yaml, typed in hindsight."""

    name: str
    checked: CheckedExpression

    @property
    def expression(self) -> Expression:
        """The typed tree."""
        return self.checked.tree


@dataclass(frozen=True)
class TypedCase:
    """A case that is typed: facts and outcome in order, and the scope of each phase."""

    scopes: Mapping[Phase, Scope]
    facts: Mapping[str, Formula]
    hidden_facts: frozenset[str]  # facts that a question cannot know
    outcome: Mapping[str, Formula]  # action, score, worked; empty without an outcome
    match: tuple[tuple[Formula, ...], ...]
    unprintable: Mapping[Path, Hidden]  # what would give a question's answer away

    def base_paths(self, path: Path) -> frozenset[Path]:
        """Return the paths of roles that a path reads: itself, or what stands behind the fact that it begins with."""
        if path[0] not in self.facts:
            return frozenset({path})
        checked = self.facts[path[0]].checked
        inner = {(*base, *path[1:]) for base in checked.value.paths} if len(path) > 1 else checked.reads
        return frozenset(found for base in inner for found in self.base_paths(base))


def type_case(case: Case, cast: Cast, at: LocationOf, pseudonymised: frozenset[Path] = frozenset()) -> TypedCase:
    """Type a case. Raises DefinitionErrors with every finding in facts, outcome and match."""
    findings: list[Finding] = []
    closes = _closes(cast)
    hindsight: dict[str, Field | Hidden | Fact] = {}
    question: dict[str, Field | Hidden | Fact] = {}
    for role in cast.roles.values():
        hindsight[role.name] = _hindsight(role, pseudonymised)
        question[role.name] = _question(cast, role, pseudonymised)
    for name in cast.unlinked:
        message = f"'{name}' is in the cast, and no link says which of its rows belong to a case"
        hindsight[name] = question[name] = Hidden("not-linked", message, f"write `{name}` under `links`")
    hindsight["case"] = Field(_case_row(replace(closes, nullable=True) if closes else None))
    later = Hidden("out-of-view", "'case.closes' is known only when the case closes", "tell it in a `text` record")
    question["case"] = Field(_case_row(later if case.closes else None))
    facts, hidden_facts = _type_facts(case, at, hindsight, question, findings)
    outcome = _type_outcome(case.outcome, at, hindsight, findings) if case.outcome is not None else {}
    if case.closes is None and case.outcome is not None:
        message = "an outcome needs `closes`: the moment when it is known"
        findings.append(Finding(at("case", "outcome"), "missing-field", message))
    match = _type_match(case, at, question, findings)
    if case.precedents is not None and case.outcome is None:
        message = "precedents need an `outcome`: what was done and whether it worked"
        findings.append(Finding(at("case", "precedents"), "missing-field", message))
    if findings:
        raise DefinitionErrors(findings)
    typed = TypedCase({}, facts, hidden_facts, outcome, match, {})
    if outcome and outcome["action"].checked.value.classification == "restricted":
        raise DefinitionErrors([_restricted_action(typed, cast, at, pseudonymised)])
    scopes = _scopes(case, hindsight, question, facts, outcome, closes)
    return replace(typed, scopes=scopes, unprintable=_gives_answer_away(typed) if outcome else {})


def _type_facts(
    case: Case,
    at: LocationOf,
    hindsight: dict[str, Field | Hidden | Fact],
    question: dict[str, Field | Hidden | Fact],
    findings: list[Finding],
) -> tuple[dict[str, Formula], frozenset[str]]:
    """Type the facts in their order, and add each to both scopes. Return them, and which a question cannot know."""
    facts: dict[str, Formula] = {}
    hidden: set[str] = set()
    for name in case.facts:
        message = f"the fact '{name}' is not computed before this: facts are read from top to bottom"
        hindsight[name] = Hidden("wrong-order", message, "move it up")
    for name, text in case.facts.items():
        hindsight[name] = Hidden("circle", f"the fact '{name}' is computed from itself", "compute it from properties")
        formula = _formula(name, text, at("case", "facts", name), hindsight, findings)
        if formula is None:
            hindsight[name] = question[name] = Field(ANYTHING)  # no second finding comes of it
            continue
        facts[name] = formula
        hindsight[name] = Fact(formula.checked.value.field, formula.expression)
        question[name] = _fact_in_question(formula, question)
        if isinstance(question[name], Hidden):
            hidden.add(name)
    for name, copies in copies_in_facts((name, fact.expression) for name, fact in facts.items()).items():
        if copies > MAX_COPIES:
            message = f"the fact '{name}' can have more than {MAX_COPIES:,} copies of one value"
            findings.append(Finding(at("case", "facts", name), "too-large", message, "join less in facts of facts"))
            break  # those that read it have more
    return facts, frozenset(hidden)


def _gives_answer_away(typed: TypedCase) -> dict[Path, Hidden]:
    """Return what a question must not print, since `outcome.action` reads it too: properties and facts."""
    unprintable: dict[Path, Hidden] = {}
    hint = "leave it to the answer"
    for read in typed.outcome["action"].checked.reads:
        for path in typed.base_paths(read):
            message = f"'{'.'.join(path)}' is what `outcome.action` reads: it gives the answer away"
            unprintable[path] = Hidden("gives-answer-away", message, hint)
    for name, fact in typed.facts.items():
        nested = isinstance(fact.checked.value.type, Struct | Array)
        for path in list(unprintable):
            if not nested and (name,) not in unprintable and path in typed.base_paths((name,)):
                message = f"'{name}' reads '{'.'.join(path)}', as `outcome.action` does: it gives the answer away"
                unprintable[(name,)] = Hidden("gives-answer-away", message, hint)
            for base in fact.checked.value.paths if nested else ():
                if path[: len(base)] == base:
                    unprintable[(name, *path[len(base) :])] = unprintable[path]
    return unprintable


def _scopes(
    case: Case,
    hindsight: Scope,
    question: Scope,
    facts: Mapping[str, Formula],
    outcome: Mapping[str, Formula],
    closes: Field | None,
) -> dict[Phase, Scope]:
    """Return the scope of each phase: roles and facts, with what it sees of precedents and outcome."""
    fields = {name: replace(formula.checked.value.field, nullable=False) for name, formula in outcome.items()}
    fields = {"action": Field(Text()), "score": Field(Integer()), "worked": Field(Boolean())} | fields
    fields["score"] = replace(fields["score"], type=_score(fields["score"].type))
    precedents: Field | Hidden
    if case.precedents is not None:
        precedents = Field(_precedents(Field(option_type(facts, fields, closes or Field(Timestamp())))))
    else:
        precedents = Hidden("unknown-name", "this case asks for no precedents", "add `precedents` under `case`")
    in_hindsight: Field | Hidden
    in_answer: Field | Hidden
    in_question: Field | Hidden
    if outcome:
        future = Hidden("out-of-view", "an answer never prints how the future went", "tell it in a `text` record")
        in_hindsight = Field(Struct(fields), nullable=True)
        in_answer = Field(Struct({**fields, "score": future}))
        in_question = Hidden(
            "out-of-view", "'outcome' is not known when the question is asked", "leave it to the answer"
        )
    else:
        in_hindsight = in_answer = in_question = Hidden(
            "unknown-name", "this case has no outcome", "add `outcome` under `case`"
        )
    return {
        "question": {**question, "precedents": precedents, "outcome": in_question},
        "answer": {**question, "precedents": precedents, "outcome": in_answer},
        "hindsight": {**hindsight, "precedents": precedents, "outcome": in_hindsight},
    }


def option_type(facts: Mapping[str, Formula], outcome: Mapping[str, Field], closes: Field) -> Struct:
    """Return the type of a precedent option: an action, how often tried and worked, cases to quote."""
    score = outcome["score"]
    own = (Field(Text()), Field(Text()), Field(Timestamp()), closes, score, outcome["worked"])
    quoted = Struct(
        {
            **dict(zip(QUOTED_FIELDS, own, strict=True)),
            **{name: replace(fact.checked.value.field, nullable=True) for name, fact in facts.items()},
        },
        origin="precedent",
    )
    return Struct(
        {
            "action": outcome["action"],
            "tried": Field(Integer(), nonzero=True),
            "worked": Field(Integer()),
            "rate": Field(Float()),
            "mean_score": Field(Float(), classification=score.classification),
            "quoted": Field(Array(Field(quoted))),
        }
    )


def own_option(option: Field) -> Field:
    """Return the type of a case's own action as an option: nobody may have tried it before."""
    assert isinstance(option.type, Struct)
    tried = option.type.fields["tried"]
    assert isinstance(tried, Field)
    return replace(
        option, type=replace(option.type, fields={**option.type.fields, "tried": replace(tried, nonzero=False)})
    )


def unanswered_option(option: Field) -> Field:
    """Return the type of an option in a question about it: how it fared before is the answer."""
    assert isinstance(option.type, Struct)
    hint = "a question names `option.action`; what is known of it belongs into `context`"
    hidden = {
        name: field if name == "action" else Hidden("gives-answer-away", f"'option.{name}' is what is asked", hint)
        for name, field in option.type.fields.items()
    }
    return replace(option, type=replace(option.type, fields=hidden))


def _precedents(option: Field) -> Struct:
    maybe = Field(option.type, nullable=True)
    return Struct(
        {
            "enough": Field(Boolean(), implies=("level", not_zero("tried"))),
            "unseen": Field(Boolean()),
            "level": Field(Integer(), nullable=True),
            "tried": Field(Integer()),
            "best": maybe,
            "worst": maybe,
            "options": Field(Array(option)),
        }
    )


def _case_row(closes: Field | Hidden | None) -> Struct:
    fields: dict[str, Field | Hidden] = {"id": Field(Text()), "at": Field(Timestamp())}
    return Struct(fields | ({"closes": closes} if closes is not None else {}))


def _closes(cast: Cast) -> Field | None:
    """Return the type of the closing of a closed case: a moment as restricted as the property that it is read from."""
    if cast.closes is None:
        return None
    return Field(Timestamp(), classification=cast.anchor.contract.properties[cast.closes].classification)


def _score(kind: Type) -> Integer | Decimal:
    return kind if isinstance(kind, Integer | Decimal) else SCORE


SCORE = Decimal(28, 9)  # a float score is kept to nine digits, so that sums are exact


def _formula(name: str, text: str, location: Location, scope: Scope, findings: list[Finding]) -> Formula | None:
    try:
        return Formula(name, check_expression(parse_expression(text, location), scope))
    except DefinitionErrors as refused:
        findings.extend(refused.findings)
        return None


def _fact_in_question(formula: Formula, question: Scope) -> Fact | Hidden:
    try:
        checked = check_expression(formula.expression, question)
    except DefinitionErrors as refused:
        first = refused.findings[0]
        message = f"'{formula.name}' is not known when the question is asked: {first.message}"
        return Hidden("out-of-view", message, first.hint)
    return Fact(checked.value.field, formula.expression)


def _type_outcome(outcome: Outcome, at: LocationOf, scope: Scope, findings: list[Finding]) -> dict[str, Formula]:
    expected: Mapping[str, tuple[type | tuple[type, ...], str]] = {
        "action": (Text, "a text"),
        "score": (NUMBERS, "a number"),
        "worked": (Boolean, "true or false"),
    }
    formulas: dict[str, Formula] = {}
    for name, (types, described) in expected.items():
        location = at("case", "outcome", name)
        formula = _formula(name, getattr(outcome, name), location, scope, findings)
        if formula is None:
            continue
        if formula.checked.value.type is not ANYTHING and not isinstance(formula.checked.value.type, types):
            message = f"`{name}` is {formula.checked.value.type}, it wants to be {described}"
            findings.append(Finding(location, "wrong-type", message))
        formulas[name] = formula
    return formulas


def _restricted_action(typed: TypedCase, cast: Cast, at: LocationOf, pseudonymised: frozenset[Path]) -> Finding:
    """Return the finding for a restricted action, which would name the options of every case."""
    paths = {path for read in typed.outcome["action"].checked.value.paths for path in typed.base_paths(read)}
    secret = [".".join(path) for path in sorted(paths) if restricted(cast, path, pseudonymised)]
    described = f"'{secret[0]}'" if secret else "`action`"
    message = f"{described} is restricted, and the action names the options of every case"
    hint = f"add {' and '.join(f'`{path}`' for path in secret)} to `dataset.pseudonymise`" if secret else ""
    return Finding(at("case", "outcome", "action"), "restricted", message, hint)


def restricted(cast: Cast, path: Path, pseudonymised: frozenset[Path]) -> bool:
    """Return True if the value at a path of a role may be printed through `pseudonym` only."""
    if path[0] not in cast.roles or len(path) < 2 or path[:2] in pseudonymised:
        return False
    found = cast.roles[path[0]].contract.properties.get(path[1])
    return found is not None and found.classification == "restricted"


def _type_match(case: Case, at: LocationOf, scope: Scope, findings: list[Finding]) -> tuple[tuple[Formula, ...], ...]:
    if case.precedents is None:
        return ()
    levels: list[tuple[Formula, ...]] = []
    for index, level in enumerate(case.precedents.match):
        formulas = []
        for position, text in enumerate(level):
            location = at("case", "precedents", "match", index, position)
            formula = _formula(match_column(index, position), text, location, scope, findings)
            if formula is None:
                continue
            if isinstance(formula.checked.value.type, Struct | Array | Float):
                message = f"`match` wants a value that can equal another, '{text}' is {formula.checked.value.type}"
                findings.append(Finding(location, "wrong-type", message))
            formulas.append(formula)
        levels.append(tuple(formulas))
    values = {formula.name: formula.checked.value for level in levels for formula in level}
    findings += withheld_value_findings(case.precedents, values, at)
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
        message = f"'{role.name}' is hindsight: '{role.contract.id}' does not say when its rows became true"
        return Hidden("out-of-view", message, "give the contract an eventTime, or `timeless: true`")
    if role.never_visible:
        message = f"'{role.name}' is linked through what no question knows"
        return Hidden("out-of-view", message, "tell it in a `text` record, or link it otherwise")
    fields: dict[str, Field | Hidden] = {}
    for name, item in role.contract.properties.items():
        promised = _pseudonymised(role, name, item.field, pseudonymised)
        if cast.never_known(role, name):
            message = f"'{role.name}.{name}' is known only when the case closes"
            fields[name] = Hidden("out-of-view", message, "tell it in a `text` record")
        elif not cast.known_with_row(role, name):
            fields[name] = replace(promised, nullable=True)
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
