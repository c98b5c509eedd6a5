"""A narrative typed against the contracts of its cast: what compiles here cannot break, leak or invent when it runs.

No data is read. Every template is checked in its own view of time; what it prints and which roles it names is kept,
for the facts and sources of its records.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from storymesh.case.resolve import Cast, resolve
from storymesh.case.scopes import Phase, Views, restricted, views
from storymesh.contract.definition import Contract
from storymesh.document import suggest_file
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.language.ast import Template
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.static_values import Checked, Path, a_kind
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Array, Classification, Field, Hidden, Integer, Struct, Text
from storymesh.location import Location
from storymesh.narrative.definition import Judge, Narrative, Narrator, Record
from storymesh.narrative.formats import FORMATS
from storymesh.narrative.formats.format import RecordFormat, TemplateSlot, TextColumn

STORY = "story"  # the name of the text to rewrite in the prompts of a narrator
SECRET = re.compile(r"(^|_)(api_?key|key|token|secret|password|authorization)$", re.IGNORECASE)


@dataclass(frozen=True)
class TypedTemplate:
    """The template of one slot, checked in its phase."""

    name: str
    template: str
    phase: Phase
    checked: Checked


@dataclass(frozen=True)
class RewrittenColumn:
    """A text that a language model rewrites, and the prompts that it is sent: "system", if there is one, and "user";
    "judge" goes to a second model. Prompts see what the text's own template sees, and as `story` the text itself."""

    text: TextColumn
    prompts: Mapping[str, TypedTemplate]


@dataclass(frozen=True)
class TypedRecord:
    """One config. `prints` are the paths that any of its templates prints, `roles` the roles that they name;
    `least_tried` says how often an option must have been tried to be compared, where the config compares options. A
    config with a narrator has the slots of the record that it rewrites, and the columns that are `rewritten`."""

    config: str
    record: Record
    slots: Mapping[str, TypedTemplate]
    prints: Mapping[Path, Classification]
    roles: tuple[str, ...]
    least_tried: int | None = None
    rewritten: tuple[RewrittenColumn, ...] = ()

    @property
    def format(self) -> RecordFormat:
        assert self.record.format is not None
        return FORMATS[self.record.format]

    @property
    def templates(self) -> tuple[TypedTemplate, ...]:
        """All templates of the config, the prompts of its narrator among them."""
        return (*self.slots.values(), *(prompt for column in self.rewritten for prompt in column.prompts.values()))

    @property
    def texts(self) -> tuple[TextColumn, ...]:
        """The texts that its records have, in order."""
        return tuple(text for text in self.format.texts if text.slot.name in self.slots)

    @property
    def hindsight(self) -> bool:
        """True if a template sees what was known only after the case."""
        return any(slot.phase == "hindsight" for slot in self.slots.values())


@dataclass(frozen=True)
class TypedNarrative:
    """A narrative that compiles. `columns` is what of each role is carried into the cases."""

    narrative: Narrative
    contracts: Mapping[str, Contract]
    cast: Cast
    views: Views
    records: Mapping[str, TypedRecord]
    columns: Mapping[str, frozenset[str]]
    pseudonymised: frozenset[Path]
    together: tuple[Path, ...]
    quoted_facts: tuple[str, ...]
    warnings: tuple[Finding, ...] = ()

    @property
    def fingerprint(self) -> str:
        return self.narrative.fingerprint


def type_narrative(narrative: Narrative, contracts: Mapping[str, Contract]) -> TypedNarrative:
    """Type `narrative` against the contracts of its cast (role -> contract). Raises DefinitionErrors."""
    findings: list[Finding] = []
    warnings: list[Finding] = []
    cast = resolve(narrative.case, contracts, narrative.at)
    for role in sorted(cast.spare):
        words = f"the role '{role}' has no link, so no case has it"
        warnings.append(
            Finding(narrative.at("cast", role), "unused-role", words, "link it, or leave it out", "warning")
        )
    pseudonymised = frozenset(
        path
        for index, text in enumerate(narrative.dataset.pseudonymise)
        if (path := _pseudonymised(text, narrative.at("dataset", "pseudonymise", index), cast, findings))
    )
    together: list[Path] = []
    if narrative.dataset.split is not None:
        for index, text in enumerate(narrative.dataset.split.together):
            place = narrative.at("dataset", "split", "together", index)
            if path := _path(text, place, cast, findings):
                together.append(path)
    findings += _printed_anyway(narrative, cast, pseudonymised)
    findings += _unknown_regions(narrative)
    try:
        typed = views(narrative.case, cast, narrative.at, pseudonymised)
    except DefinitionErrors as refused:
        raise DefinitionErrors([*findings, *refused.findings]) from None
    templates = _Templates(narrative, findings)
    records: dict[str, TypedRecord] = {}
    for config, record in narrative.records.items():
        if record.from_ is not None:
            continue
        checked = _record(config, record, narrative, typed, templates, findings)
        if checked is not None:
            records[config] = checked
    for config, record in narrative.records.items():
        if record.from_ is not None:
            retold = _retold(config, record, narrative, typed, records, templates, findings)
            if retold is not None:
                records[config] = retold
    records = {config: records[config] for config in narrative.records if config in records}
    for name in sorted(set(narrative.templates) - templates.used):
        place = Location(f"{narrative.folder}/{name}")
        warnings.append(Finding(place, "unused-template", f"no record uses '{name}'", severity="warning"))
    if findings:
        raise DefinitionErrors(findings)
    slots = [slot.checked for record in records.values() for slot in record.templates]
    formulas = [formula.checked for formula in (*typed.facts.values(), *typed.outcome.values())]
    formulas += [formula.checked for level in typed.match for formula in level]
    return TypedNarrative(
        narrative,
        contracts,
        cast,
        typed,
        records,
        _columns(cast, typed, [*slots, *formulas], [*pseudonymised, *together]),
        pseudonymised,
        tuple(together),
        _quoted_facts(typed, slots),
        tuple(warnings),
    )


def _path(text: str, place: Location, cast: Cast, findings: list[Finding]) -> Path | None:
    role, _, column = text.partition(".")
    if role not in cast.roles:
        findings.append(Finding(place, "unknown-name", f"unknown role '{role}'", suggest_name(role, cast.roles)))
        return None
    properties = cast.roles[role].contract.properties
    if column not in properties:
        words = f"'{cast.roles[role].contract.id}' has no property '{column}'"
        findings.append(Finding(place, "unknown-name", words, suggest_name(column, properties)))
        return None
    return (role, column)


def _pseudonymised(text: str, place: Location, cast: Cast, findings: list[Finding]) -> Path | None:
    path = _path(text, place, cast, findings)
    if path is None:
        return None
    kind = cast.roles[path[0]].contract.properties[path[1]].type
    if not isinstance(kind, Text | Integer):
        words = f"'{text}' is {a_kind(kind)}, `pseudonymise` wants a text or an integer"
        findings.append(Finding(place, "wrong-type", words, "a pseudonym is a text: leave the property untold"))
        return None
    return path


def _printed_anyway(narrative: Narrative, cast: Cast, pseudonymised: frozenset[Path]) -> Iterator[Finding]:
    """What a release prints without any template: the keys of its rows and the moments of its cases."""
    for role in cast.roles.values():
        for column in role.contract.key:
            if not restricted(cast, (role.name, column), pseudonymised):
                continue
            printed = "ids and `sources` print" if role.link is None else "`sources` print"
            words = f"'{role.name}.{column}' is restricted and part of the key, which {printed}"
            able = isinstance(role.contract.properties[column].type, Text | Integer)
            hint = f"add `{role.name}.{column}` to `dataset.pseudonymise`" if able else "give the contract another key"
            yield Finding(narrative.at("cast", role.name), "restricted", words, hint)
    moments = {"at": "every record prints the moment of its case", "closes": "a release says when its cases closed"}
    for name, printed in moments.items():
        own = cast.at if name == "at" else cast.closes
        if own is not None and restricted(cast, (cast.anchor.name, own), pseudonymised):
            words = f"'{cast.anchor.name}.{own}' is restricted, and {printed}"
            yield Finding(narrative.at("case", name), "restricted", words, "take another property of the anchor")


def _unknown_regions(narrative: Narrative) -> Iterator[Finding]:
    if not narrative.dataset.phone_regions:
        return
    from phonenumbers import SUPPORTED_REGIONS

    for index, region in enumerate(narrative.dataset.phone_regions):
        if region not in SUPPORTED_REGIONS:
            place = narrative.at("dataset", "phone_regions", index)
            hint = suggest_name(region, SUPPORTED_REGIONS) or "two capital letters of ISO 3166"
            yield Finding(place, "unknown-name", f"'{region}' has no phone numbers that are known", hint)


class _Templates:
    """The parsed templates of one folder."""

    def __init__(self, narrative: Narrative, findings: list[Finding]) -> None:
        self.narrative = narrative
        self.findings = findings
        self.used: set[str] = set()
        self.parsed: dict[str, Template | None] = {}

    def get(self, name: str) -> Template | None:
        """The template; None when there is none, an empty one when it does not parse (which has its findings)."""
        if name not in self.narrative.templates:
            return None
        self.used.add(name)
        if name not in self.parsed:
            path = f"{self.narrative.folder}/{name}"
            try:
                self.parsed[name] = parse_template(self.narrative.templates[name], name, path)
            except DefinitionErrors as refused:
                self.findings.extend(refused.findings)
                self.parsed[name] = Template(name, path, ())
        return self.parsed[name]


def _record(
    config: str, record: Record, narrative: Narrative, typed: Views, templates: _Templates, findings: list[Finding]
) -> TypedRecord | None:
    here = narrative.at("records", config)
    assert record.format is not None
    format_ = FORMATS[record.format]
    if format_.needs_outcome and not typed.outcome:
        words = f"'{config}' has an answer, and the case has no outcome to answer with"
        findings.append(Finding(here, "no-outcome", words, "add `outcome` under `case`"))
        return None
    if format_.compares_options and narrative.case.precedents is None:
        words = f"'{config}' compares options, and the case asks for no precedents"
        findings.append(Finding(here, "no-precedents", words, "add `precedents` under `case`"))
        return None
    if format_.label is not None and typed.outcome["worked"].checked.value.classification == "restricted":
        words = f"'{config}' prints `outcome.worked` as its label, and it reads what is restricted"
        findings.append(Finding(here, "restricted", words, "judge by what is not, or tell a `preference`"))
        return None
    slots: dict[str, TypedTemplate] = {}
    for slot in format_.slots:
        if (name := record.templates.get(slot.name)) is None:
            continue
        here = narrative.at("records", config, slot.name)
        checked = _template(slot, name, here, narrative, typed, templates, findings)
        if checked is not None:
            slots[slot.name] = checked
    asks = narrative.case.precedents
    least = asks.min if asks is not None and format_.compares_options else None
    return TypedRecord(config, record, slots, _prints(slots.values()), _roles(typed, slots.values()), least)


def _template(
    slot: TemplateSlot,
    name: str,
    here: Location,
    narrative: Narrative,
    typed: Views,
    templates: _Templates,
    findings: list[Finding],
    *,
    story: bool = False,
) -> TypedTemplate | None:
    """Check the template `name`, which is written `here`, in the view of `slot`; a prompt also sees `story`."""
    template = templates.get(name)
    if template is None:
        hint = suggest_file(name, narrative.templates)
        findings.append(Finding(here, "unknown-name", f"there is no template '{name}'", hint))
        return None
    scope = dict(typed.scopes[slot.phase])
    if slot.sees_option:
        precedents = scope["precedents"]
        assert isinstance(precedents, Field) and isinstance(precedents.type, Struct)
        options = precedents.type.fields["options"]
        assert isinstance(options, Field) and isinstance(options.type, Array)
        scope["option"] = options.type.item
    if story:
        scope[STORY] = Field(Text())
    unprintable: Mapping[Path, Hidden] = typed.unprintable if slot.phase == "question" else {}
    try:
        checked = check_template(template, scope, templates.get, unprintable)
        return TypedTemplate(slot.name, name, slot.phase, checked)
    except DefinitionErrors as refused:
        findings.extend(finding for finding in refused.findings if finding not in findings)
        return None


def _retold(
    config: str,
    record: Record,
    narrative: Narrative,
    typed: Views,
    records: Mapping[str, TypedRecord],
    templates: _Templates,
    findings: list[Finding],
) -> TypedRecord | None:
    """A config that a language model retells: all of the record that it is told from, and the prompts."""
    narrator, base = record.narrator, record.from_
    assert narrator is not None and base is not None
    here = ("records", config)
    if base not in narrative.records:
        words = f"there is no record '{base}'"
        findings.append(
            Finding(narrative.at(*here, "from"), "unknown-name", words, suggest_name(base, narrative.records))
        )
        return None
    if narrative.records[base].from_ is not None:
        words = f"'{base}' is retold itself, and what is retold of it would not be held against the facts"
        hint = f"retell '{narrative.records[base].from_}'"
        findings.append(Finding(narrative.at(*here, "from"), "retold-twice", words, hint))
        return None
    if taken := {STORY} & {*narrative.cast, *narrative.case.facts}:
        words = f"'{taken.pop()}' is the text to retell in the prompts of a narrator"
        findings.append(
            Finding(narrative.at(*here, "narrator"), "reserved-name", words, "name the role or fact otherwise")
        )
        return None
    findings += _unsafe(narrator, narrative, here)
    if base not in records:
        return None  # it has findings of its own
    own = records[base]
    named: dict[str, tuple[str | None, tuple[str, ...]]] = {
        "system": (narrator.system, ("system",)),
        "user": (narrator.prompt, ("prompt",)),
        "judge": (narrator.judge.prompt if narrator.judge is not None else None, ("judge", "prompt")),
    }
    rewritten = []
    for text in own.texts:
        if text.slot.phase == "question":
            continue
        prompts = {}
        for role, (name, steps) in named.items():
            if name is None:
                continue
            at = narrative.at(*here, "narrator", *steps)
            prompt = _template(text.slot, name, at, narrative, typed, templates, findings, story=True)
            if prompt is not None:
                prompts[role] = prompt
        rewritten.append(RewrittenColumn(text, prompts))
    prompts_ = [prompt for column in rewritten for prompt in column.prompts.values()]
    return replace(
        own,
        config=config,
        record=record.model_copy(update={"format": own.record.format}),
        prints={**own.prints, **{path: kind for path, kind in _prints(prompts_).items() if path != (STORY,)}},
        roles=_roles(typed, [*own.slots.values(), *prompts_]),
        rewritten=tuple(rewritten),
    )


def _unsafe(narrator: Narrator, narrative: Narrative, here: tuple[str, ...]) -> Iterator[Finding]:
    """Secrets that stand in the file."""
    whose: list[tuple[tuple[str, ...], Narrator | Judge]] = [((*here, "narrator"), narrator)]
    if narrator.judge is not None:
        whose.append(((*here, "narrator", "judge"), narrator.judge))
    for steps, one in whose:
        for name in one.parameters:
            if SECRET.search(name):
                words = f"`{name}` is a secret, and this file is read by many"
                hint = "leave it out: the key is taken from the environment, such as OPENAI_API_KEY"
                yield Finding(narrative.at(*steps, "parameters", name), "secret", words, hint)
        if one.base_url is not None and "@" in one.base_url.partition("://")[2].partition("/")[0]:
            words = "an address with a password is a secret, and this file is read by many"
            yield Finding(narrative.at(*steps, "base_url"), "secret", words, "leave user and password out of it")


def _prints(slots: Iterable[TypedTemplate]) -> dict[Path, Classification]:
    found: dict[Path, Classification] = {}
    for slot in slots:
        found.update(slot.checked.prints)
    return found


def _roles(typed: Views, slots: Iterable[TypedTemplate]) -> tuple[str, ...]:
    """The roles that templates name, by themselves or through a fact, in the order of the cast."""
    named: set[str] = set()
    for slot in slots:
        for name in slot.checked.names:
            if name in typed.facts:
                named |= {path[0] for read in typed.facts[name].checked.reads for path in typed.spread(read)}
                named |= _through(typed, typed.facts[name].checked.names)
            named.add(name)
    return tuple(sorted(named))


def _through(typed: Views, names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        found |= _through(typed, typed.facts[name].checked.names) if name in typed.facts else {name}
    return found


def _columns(cast: Cast, typed: Views, used: Iterable[Checked], paths: Iterable[Path]) -> Mapping[str, frozenset[str]]:
    carried: dict[str, set[str]] = {role: set() for role in cast.roles}
    reads = {path for checked in used for path in (*checked.reads, *checked.prints)} | set(paths)
    for read in reads:
        # What a template reads of a quoted precedent is a fact of that case.
        own = read[read.index("quoted") + 1 :] if "quoted" in read else read
        for path in typed.spread(own) if own else ():
            if path[0] in carried and len(path) > 1 and path[1] in cast.roles[path[0]].contract.properties:
                carried[path[0]].add(path[1])
    return {role: frozenset(columns) for role, columns in carried.items()}


def _quoted_facts(typed: Views, slots: Iterable[Checked]) -> tuple[str, ...]:
    """The facts that some template reads of a quoted precedent."""
    read = {path for checked in slots for path in checked.reads}
    return tuple(name for name in typed.facts if any("quoted" in path and name in path for path in read))
