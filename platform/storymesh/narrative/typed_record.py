"""The records of a narrative, typed: each template checked in the view of its slot, for a config that a language model
rewrites its prompts as well."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from storymesh.case.scopes import TypedCase, own_option, unanswered_option
from storymesh.document import suggest_file
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.language.ast import Template
from storymesh.language.parse import parse_template
from storymesh.language.static_values import Path
from storymesh.language.typecheck.scope import CheckedExpression
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Array, Classification, Field, Hidden, Struct, Text
from storymesh.language.variants import MAX_VARIANTS
from storymesh.lexicon.language import LANGUAGES
from storymesh.location import Location
from storymesh.narrative.conditions import type_condition
from storymesh.narrative.definition import Narrative, Record
from storymesh.narrative.formats import FORMATS
from storymesh.narrative.formats.evaluation import EVALUATION
from storymesh.narrative.formats.format import RecordFormat, TemplateSlot, TextColumn
from storymesh.narrative.labels import LabelTranslations
from storymesh.narrative.narrator_definition import Narrator
from storymesh.narrative.secrets import secret_findings
from storymesh.narrative.template_files import VARIANTS_FOLDER
from storymesh.narrative.typed_evaluation import TypedEvaluation, type_evaluation
from storymesh.narrative.typed_template import TypedTemplate, with_variants
from storymesh.narrative.typed_tool import TypedTool, type_tool

STORY = "story"  # the name of the text to rewrite in the prompts of a narrator


@dataclass(frozen=True)
class RewrittenColumn:
    """A text that a language model rewrites, and the prompts that it is sent: "system", if there is one, and "user";
    "judge" goes to a second model. Prompts see what the text's own template sees, and as `story` the text itself."""

    text: TextColumn
    prompts: Mapping[str, TypedTemplate]


@dataclass(frozen=True)
class TypedRecord:
    """One config. `prints` are the paths that any of its templates prints, `reads` those that any reads, also a row or
    a list of which it only matters whether it is there or how long it is. `roles` are the roles that they name;
    `least_tried` says how often an option must have been tried to be compared, where the config compares options. A
    config with a narrator has the slots of the record that it rewrites, and the columns that are `rewritten`. It
    tells the cases for which all `conditions` hold; that of the questions of a release has the `evaluation`, one whose
    assistant looks something up the `tool`, each argument of which is a slot."""

    config: str
    record: Record
    slots: Mapping[str, TypedTemplate]
    prints: Mapping[Path, Classification]
    reads: frozenset[Path]
    roles: tuple[str, ...]
    least_tried: int | None = None
    rewritten: tuple[RewrittenColumn, ...] = ()
    conditions: tuple[CheckedExpression, ...] = ()
    evaluation: TypedEvaluation | None = None
    tool: TypedTool | None = None

    @property
    def format(self) -> RecordFormat:
        written = self.record.format_written
        return written if self.tool is None else self.tool.format_of(written)

    @property
    def templates(self) -> tuple[TypedTemplate, ...]:
        """All templates of the config, the prompts of its narrator among them."""
        return (*self.slots.values(), *(prompt for column in self.rewritten for prompt in column.prompts.values()))

    @property
    def texts(self) -> tuple[TextColumn, ...]:
        """The texts that its records have, in order."""
        wordings = self.evaluation.wordings if self.evaluation is not None else 1
        texts = (text for text in self.format.texts if text.slot.name in self.slots)
        return tuple(text for text in texts if text.wording <= wordings)

    @property
    def hindsight(self) -> bool:
        """True if a template sees what was known only after the case."""
        return any(slot.phase == "hindsight" for slot in self.slots.values())

    @property
    def unprinted(self) -> frozenset[Path]:
        """What decides the texts beside what they print: the other paths that are read, and of a pair both actions."""
        return unprinted_paths(self.reads | ({("option", "action")} if self.format.needs_pair else set()), self.prints)


def unprinted_paths(reads: Iterable[Path], prints: Iterable[Path]) -> frozenset[Path]:
    """Return the paths that are read and not printed, without those that another one tells: a property tells whether
    its row is there, and how many rows its list has."""
    decisive, printed = frozenset(reads), frozenset(prints)
    implied = {path[:length] for path in decisive | printed for length in range(1, len(path))}
    return decisive - printed - implied


class RecordTyper:
    """Types the records of one narrative. What is wrong goes to `findings`; `used` are the templates that were met, in
    the records or in what they include."""

    def __init__(self, narrative: Narrative, views: TypedCase, findings: list[Finding]) -> None:
        self._narrative = narrative
        self._views = views
        self._findings = findings
        self._labels = LabelTranslations(narrative, views, findings)
        self._parsed: dict[str, Template | None] = {}
        self._in_view: dict[tuple[object, ...], TypedTemplate | None] = {}
        self.used: set[str] = set()

    def type_records(self) -> dict[str, TypedRecord]:
        """Return the records that have no findings, in the order of the file."""
        records = self._narrative.records
        typed: dict[str, TypedRecord] = {}
        for config, record in records.items():
            if record.from_ is None and (rendered := self._rendered(config, record)) is not None:
                typed[config] = rendered
        for config, record in records.items():
            if record.from_ is not None and (rewritten := self._rewritten(config, record, typed)) is not None:
                typed[config] = rewritten
        return {config: typed[config] for config in records if config in typed}

    def _report(self, location: Location, rule: str, message: str, hint: str = "") -> None:
        self._findings.append(Finding(location, rule, message, hint))

    def _rendered(self, config: str, record: Record) -> TypedRecord | None:
        """Type a record of templates."""
        assert record.format is not None
        format_ = FORMATS[record.format]
        if not self._fits_case(config, format_):
            return None
        evaluation = None
        if format_ is EVALUATION and (evaluation := self._evaluation()) is None:
            return None
        templates: dict[str, TypedTemplate] = {}
        for slot in format_.slots:
            if (name := record.templates.get(slot.name)) is None:
                continue
            location = self._narrative.at("records", config, slot.name)
            tried, language = format_.needs_pair, record.language
            template = self.type_template(slot, name, location, tried=tried, language=language)
            if template is not None:
                variants = self._variants(config, slot, tried=tried) if record.variants else []
                templates[slot.name] = with_variants(template, variants)
        tool = None
        if record.tool is not None:
            scope = self._labels.in_language(self._views.scopes["question"], record.language)
            tool = type_tool(self._narrative, record, config, scope, self._views.unprintable, self._findings)
            if tool is None:
                return None
            templates |= {name: TypedTemplate(name, "question", item) for name, item in tool.templates.items()}
        precedents = self._narrative.case.precedents
        least_tried = precedents.min if precedents is not None and format_.compares_options else None
        checked = templates.values()
        prints, reads, roles = _prints(checked), _reads(checked), _roles(self._views, checked)
        hindsight = any(slot.phase == "hindsight" for slot in format_.slots)
        conditions = self._conditions(config, record, hindsight=hindsight)
        typed = TypedRecord(config, record, templates, prints, reads, roles, least_tried, tool=tool)
        return replace(typed, conditions=conditions, evaluation=evaluation)

    def _variants(self, config: str, slot: TemplateSlot, *, tried: bool) -> list[TypedTemplate]:
        """Type the variants of one template of a config: each is a template in the view of its slot."""
        names, language = self._narrative.variants_of(config, slot.name), self._narrative.records[config].language
        location = self._narrative.at("records", config, "variants")
        if len(names) > MAX_VARIANTS:
            words = f"'{config}' has {len(names)} variants of '{slot.name}', at most {MAX_VARIANTS} are drawn from"
            self._report(location, "too-large", words, "take some away")
            return []
        typed = [self.type_template(slot, name, location, tried=tried, language=language) for name in names]
        return [template for template in typed if template is not None]

    def _evaluation(self) -> TypedEvaluation | None:
        return type_evaluation(self._narrative, self._views, self._findings)

    def _conditions(self, config: str, record: Record, *, hindsight: bool) -> tuple[CheckedExpression, ...]:
        """Type the record's own condition, if it has one that can be typed."""
        if record.where is None:
            return ()
        location = self._narrative.at("records", config, "where")
        try:
            return (type_condition(record.where, location, self._views, hindsight=hindsight),)
        except DefinitionErrors as error:
            self._findings.extend(error.findings)
            return ()

    def _fits_case(self, config: str, format_: RecordFormat) -> bool:
        """Return True if the case has what the format needs; report what is missing."""
        location = self._narrative.at("records", config)
        outcome = self._views.outcome
        if format_.needs_outcome and not outcome:
            message = f"'{config}' has an answer, and the case has no outcome to answer with"
            self._report(location, "no-outcome", message, "add `outcome` under `case`")
        elif format_.compares_options and self._narrative.case.precedents is None:
            message = f"'{config}' compares options, and the case asks for no precedents"
            self._report(location, "no-precedents", message, "add `precedents` under `case`")
        elif format_.label is not None and outcome["worked"].checked.value.classification == "restricted":
            message = f"'{config}' prints `outcome.worked` as its label, and it reads what is restricted"
            self._report(location, "restricted", message, "judge by what is not, or tell a `preference`")
        else:
            return True
        return False

    def type_template(
        self,
        slot: TemplateSlot,
        name: str,
        location: Location,
        *,
        prompt: bool = False,
        tried: bool = False,
        language: str,
    ) -> TypedTemplate | None:
        """Check the template `name`, which the file names at `location`, in the view of `slot`, for texts in a
        `language`. A prompt of a narrator also sees `story`. `tried`: an option that is told was tried before."""
        template = self._parse(name, variant=name.startswith(f"{VARIANTS_FOLDER}/"))
        if template is None:
            hint = suggest_file(name, self._narrative.templates)
            self._report(location, "unknown-name", f"there is no template '{name}'", hint)
            return None
        # Configs often ask the same question, or weigh the same option: what they see of it is the same too.
        view = (name, slot.phase, slot.sees_option, prompt, tried, language)
        if view not in self._in_view:
            self._in_view[view] = self._type_in_view(template, slot, prompt=prompt, tried=tried, language=language)
        return self._in_view[view]

    def _type_in_view(
        self, template: Template, slot: TemplateSlot, *, prompt: bool, tried: bool, language: str
    ) -> TypedTemplate | None:
        scope = dict(self._views.scopes[slot.phase])
        if slot.sees_option:
            precedents = scope["precedents"]
            assert isinstance(precedents, Field) and isinstance(precedents.type, Struct)
            options = precedents.type.fields["options"]
            assert isinstance(options, Field) and isinstance(options.type, Array)
            option = options.type.item if tried else own_option(options.type.item)
            scope["option"] = unanswered_option(option) if slot.phase == "question" else option
        if prompt:
            scope[STORY] = Field(Text())
        unprintable: Mapping[Path, Hidden] = self._views.unprintable if slot.phase == "question" else {}
        try:
            checked = check_template(
                template, self._labels.in_language(scope, language), self._parse, unprintable, language
            )
        except DefinitionErrors as error:
            self._findings.extend(finding for finding in error.findings if finding not in self._findings)
            return None
        typed = TypedTemplate(template.name, slot.phase, checked)
        if fault := typed.cost.static_fault:
            self._report(
                Location(template.path), "too-large", fault, "repeat less: a `set` doubles what it joins twice"
            )
            return None
        return typed

    def _parse(self, name: str, *, variant: bool = False) -> Template | None:
        """Return the template, None if there is none; one that does not parse has its findings and is empty here. No
        template includes a variant, which may be drawn or not."""
        if name not in self._narrative.templates or (not variant and "/" in name):
            return None
        self.used.add(name)
        if name not in self._parsed:
            path = f"{self._narrative.folder}/{name}"
            try:
                self._parsed[name] = parse_template(self._narrative.templates[name], name, path)
            except DefinitionErrors as error:
                self._findings.extend(error.findings)
                self._parsed[name] = Template(name, path, ())
        return self._parsed[name]

    def _rewritten(self, config: str, record: Record, typed: Mapping[str, TypedRecord]) -> TypedRecord | None:
        """Type a record that a language model rewrites: all of the record that it is made from, and the prompts."""
        narrator, base = record.narrator, record.from_
        assert narrator is not None and base is not None
        if not self._can_rewrite(config, base):
            return None
        self._findings += secret_findings(narrator, self._narrative, ("records", config, "narrator"))
        if base not in typed:
            return None  # it has findings of its own
        original = typed[base]
        columns = tuple(
            RewrittenColumn(text, self._prompts(config, narrator, text.slot, original.record.language))
            for text in original.texts
            if text.slot.phase != "question"
        )
        prompts = [prompt for column in columns for prompt in column.prompts.values()]
        printed = {path: kind for path, kind in _prints(prompts).items() if path != (STORY,)}
        kept = {name: getattr(original.record, name) for name in ("format", "language")}
        return replace(
            original,
            config=config,
            record=record.model_copy(update={**kept, "chat": original.format.chat or None}),
            prints={**original.prints, **printed},
            reads=original.reads | _reads(prompts),
            roles=_roles(self._views, [*original.slots.values(), *prompts]),
            rewritten=columns,
            conditions=(*original.conditions, *self._conditions(config, record, hindsight=original.hindsight)),
        )

    def _can_rewrite(self, config: str, base: str) -> bool:
        """Return True if the record `base` can be rewritten; report why not."""
        narrative = self._narrative
        location = narrative.at("records", config, "from")
        if base not in narrative.records:
            self._report(
                location, "unknown-name", f"there is no record '{base}'", suggest_name(base, narrative.records)
            )
        elif (source := narrative.records[base].from_) is not None:
            message = f"'{base}' is retold itself, and what is retold of it would not be held against the facts"
            self._report(location, "retold-twice", message, f"retell '{source}'")
        elif narrative.records[base].format == EVALUATION.name:
            self._report(location, "no-answer", f"'{base}' asks and does not answer", "retell a record that answers")
        elif (language := narrative.language_of(base).partition("-")[0]) not in LANGUAGES:
            message = (
                f"'{base}' is told in '{language}', and the words of a retelling are known in {' and '.join(LANGUAGES)}"
            )
            self._report(location, "unknown-language", message, "vary its templates instead: `storymesh vary`")
        elif STORY in {*narrative.cast, *narrative.case.facts}:
            location = narrative.at("records", config, "narrator")
            message = f"'{STORY}' is the text to retell in the prompts of a narrator"
            self._report(location, "reserved-name", message, "name the role or fact otherwise")
        else:
            return True
        return False

    def _prompts(self, config: str, narrator: Narrator, slot: TemplateSlot, language: str) -> dict[str, TypedTemplate]:
        """Check the prompts of a narrator in the view of the slot whose text it rewrites."""
        scoring = narrator.judge.prompt if narrator.judge is not None else None
        named: dict[str, tuple[str | None, tuple[str, ...]]] = {
            "system": (narrator.system, ("system",)),
            "user": (narrator.prompt, ("prompt",)),
            "judge": (scoring, ("judge", "prompt")),
        }
        prompts = {}
        for role, (name, steps) in named.items():
            if name is None:
                continue
            location = self._narrative.at("records", config, "narrator", *steps)
            prompt = self.type_template(slot, name, location, prompt=True, language=language)
            if prompt is not None:
                prompts[role] = prompt
        return prompts


def _prints(templates: Iterable[TypedTemplate]) -> dict[Path, Classification]:
    return {path: kind for template in templates for path, kind in template.checked.prints.items()}


def _reads(templates: Iterable[TypedTemplate]) -> frozenset[Path]:
    """Return the paths that templates read. A name alone counts as read, whatever is asked of it."""
    checked = [template.checked for template in templates]
    paths = {path for template in checked for path in (*template.reads, *((name,) for name in template.names))}
    return frozenset(path for path in paths if path[0] != STORY)


def _roles(views: TypedCase, templates: Iterable[TypedTemplate]) -> tuple[str, ...]:
    """Return the roles that templates name, by themselves or through a fact, sorted."""
    named: set[str] = set()
    for name in {name for template in templates for name in template.checked.names}:
        if name in views.facts:
            named |= {path[0] for read in views.facts[name].checked.reads for path in views.base_paths(read)}
            named |= _names_behind(views, views.facts[name].checked.names)
        named.add(name)
    return tuple(sorted(named))


def _names_behind(views: TypedCase, names: Iterable[str]) -> set[str]:
    """Return the names with each fact replaced by the names that it uses itself."""
    found: set[str] = set()
    for name in names:
        found |= _names_behind(views, views.facts[name].checked.names) if name in views.facts else {name}
    return found
