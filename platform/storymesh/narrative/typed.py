"""A narrative typed against the contracts of its cast: what compiles here cannot break, leak or invent when it runs.

No data is read. Every template is checked in its own view of time; what it prints and which roles it names is kept,
for the facts and sources of its records.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from storymesh.case.resolve import Cast, resolve_cast
from storymesh.case.scopes import TypedCase, restricted, type_case
from storymesh.case.selection import type_selection
from storymesh.contract.definition import Contract
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.language.static_values import Path, a_kind
from storymesh.language.typecheck.scope import Checked, CheckedExpression
from storymesh.language.types import Integer, Text
from storymesh.location import Location
from storymesh.narrative.author_warnings import narrative_warnings
from storymesh.narrative.definition import Narrative
from storymesh.narrative.template_files import VARIANTS_FOLDER
from storymesh.narrative.typed_record import RecordTyper, TypedRecord
from storymesh.narrative.used_columns import Columns, used_columns


@dataclass(frozen=True)
class TypedNarrative:
    """A narrative that compiles, with the templates that it uses. `columns` are the properties of each role that its
    cases carry; `selection` says which rows of the anchor are cases (None: all)."""

    narrative: Narrative
    contracts: Mapping[str, Contract]
    cast: Cast
    case: TypedCase
    records: Mapping[str, TypedRecord]
    columns: Columns
    pseudonymised: frozenset[Path]
    together: tuple[Path, ...]
    quoted_facts: tuple[str, ...]
    selection: CheckedExpression | None = None
    warnings: tuple[Finding, ...] = ()

    @property
    def fingerprint(self) -> str:
        return self.narrative.fingerprint


def type_narrative(narrative: Narrative, contracts: Mapping[str, Contract]) -> TypedNarrative:
    """Type `narrative` against the contracts of its cast (role -> contract). Raises DefinitionErrors."""
    findings: list[Finding] = []
    cast = resolve_cast(narrative.case, contracts, narrative.at)
    dataset = narrative.dataset
    pseudonymised = frozenset(
        path
        for index, text in enumerate(dataset.pseudonymise)
        if (path := _pseudonymised(text, narrative.at("dataset", "pseudonymise", index), cast, findings))
    )
    together = tuple(
        path
        for index, text in enumerate(dataset.split.together if dataset.split is not None else ())
        if (path := _property_path(text, narrative.at("dataset", "split", "together", index), cast, findings))
    )
    findings += _restricted_in_every_record(narrative, cast, pseudonymised)
    findings += _unknown_regions(narrative)
    selection: CheckedExpression | None = None
    try:
        selection = type_selection(narrative.case, cast, narrative.at)
    except DefinitionErrors as error:
        findings += error.findings
    try:
        typed = type_case(narrative.case, cast, narrative.at, pseudonymised)
    except DefinitionErrors as error:
        raise DefinitionErrors([*findings, *error.findings]) from None
    typer = RecordTyper(narrative, typed, findings)
    records = typer.type_records()
    if findings:
        raise DefinitionErrors(findings)
    templates = [template.checked for record in records.values() for template in record.templates]
    printed = [path for template in templates for path in template.prints]
    formulas = [formula.checked for formula in (*typed.facts.values(), *typed.outcome.values())]
    formulas += [formula.checked for level in typed.match for formula in level]
    conditions = [condition for record in records.values() for condition in record.conditions]
    formulas += [item.checked for record in records.values() if record.evaluation for item in record.evaluation.strata]
    used = {name: text for name, text in narrative.templates.items() if name in typer.used}
    return TypedNarrative(
        narrative.model_copy(update={"templates": used}),
        contracts,
        cast,
        typed,
        records,
        used_columns(cast, typed, [*templates, *formulas, *conditions], [*pseudonymised, *together, *printed]),
        pseudonymised,
        together,
        _quoted_facts(typed, [*templates, *conditions]),
        selection,
        (
            *_warnings(narrative, cast, typer.used),
            *(warning for checked in (*formulas, *conditions) for warning in checked.warnings),
            *(selection.warnings if selection is not None else ()),
            *narrative_warnings(narrative, cast, typed, records, together),
        ),
    )


def _warnings(narrative: Narrative, cast: Cast, used_templates: Iterable[str]) -> Iterator[Finding]:
    """Yield a warning for each role and template that nothing uses."""
    for role in sorted(cast.unlinked):
        message = f"the role '{role}' has no link, so no case has it"
        yield Finding(narrative.at("cast", role), "unused-role", message, "link it, or leave it out", "warning")
    unused = sorted(set(narrative.templates) - set(used_templates))
    for name in unused:
        if "/" not in name:
            location = Location(f"{narrative.folder}/{name}")
            yield Finding(location, "unused-template", f"no record uses '{name}'", severity="warning")
    yield from _unused_variants(narrative, {name.rpartition("/")[0] for name in unused if "/" in name})


def _unused_variants(narrative: Narrative, folders: Iterable[str]) -> Iterator[Finding]:
    """Yield a warning for each folder of variants that no record draws from, and each record that has none to draw."""
    places = {
        narrative.variants_folder(config, slot): config
        for config, record in narrative.records.items()
        for slot in record.templates
    }
    for folder in sorted(folders):
        message, hint = f"no record draws from '{folder}'", suggest_name(folder, places)
        if (config := places.get(folder)) is not None:
            hint = f"write `variants: true` at the record '{config}'"
        yield Finding(Location(f"{narrative.folder}/{folder}"), "unused-template", message, hint, "warning")
    for config, record in narrative.records.items():
        if record.variants and not any(narrative.variants_of(config, slot) for slot in record.templates):
            message = f"'{config}' has `variants: true`, and there are none: each case is told by the template itself"
            hint = f"write them to {narrative.folder}/{VARIANTS_FOLDER}/{config}, or have `storymesh vary` do it"
            yield Finding(narrative.at("records", config, "variants"), "no-variants", message, hint, "warning")


def _property_path(text: str, location: Location, cast: Cast, findings: list[Finding]) -> Path | None:
    role, _, column = text.partition(".")
    if role not in cast.roles:
        findings.append(Finding(location, "unknown-name", f"unknown role '{role}'", suggest_name(role, cast.roles)))
        return None
    properties = cast.roles[role].contract.properties
    if column not in properties:
        message = f"'{cast.roles[role].contract.id}' has no property '{column}'"
        findings.append(Finding(location, "unknown-name", message, suggest_name(column, properties)))
        return None
    return (role, column)


def _pseudonymised(text: str, location: Location, cast: Cast, findings: list[Finding]) -> Path | None:
    path = _property_path(text, location, cast, findings)
    if path is None:
        return None
    kind = cast.roles[path[0]].contract.properties[path[1]].type
    if not isinstance(kind, Text | Integer):
        message = f"'{text}' is {a_kind(kind)}, `pseudonymise` wants a text or an integer"
        findings.append(Finding(location, "wrong-type", message, "a pseudonym is a text: leave the property untold"))
        return None
    return path


def _restricted_in_every_record(narrative: Narrative, cast: Cast, pseudonymised: frozenset[Path]) -> Iterator[Finding]:
    """Yield a finding for what is restricted and printed by no template: keys of rows and moments of cases."""
    for role in cast.roles.values():
        for column in role.contract.key:
            if not restricted(cast, (role.name, column), pseudonymised):
                continue
            printed = "ids and `sources` print" if role.link is None else "`sources` print"
            message = f"'{role.name}.{column}' is restricted and part of the key, which {printed}"
            able = isinstance(role.contract.properties[column].type, Text | Integer)
            hint = f"add `{role.name}.{column}` to `dataset.pseudonymise`" if able else "give the contract another key"
            yield Finding(narrative.at("cast", role.name), "restricted", message, hint)
    moments = {"at": "every record prints the moment of its case", "closes": "a release says when its cases closed"}
    for name, printed in moments.items():
        moment = cast.at if name == "at" else cast.closes
        if moment is not None and restricted(cast, (cast.anchor.name, moment), pseudonymised):
            message = f"'{cast.anchor.name}.{moment}' is restricted, and {printed}"
            yield Finding(narrative.at("case", name), "restricted", message, "take another property of the anchor")


def _unknown_regions(narrative: Narrative) -> Iterator[Finding]:
    if not narrative.dataset.phone_regions:
        return
    from phonenumbers import SUPPORTED_REGIONS

    for index, region in enumerate(narrative.dataset.phone_regions):
        if region not in SUPPORTED_REGIONS:
            location = narrative.at("dataset", "phone_regions", index)
            hint = suggest_name(region, SUPPORTED_REGIONS) or "two capital letters of ISO 3166"
            yield Finding(location, "unknown-name", f"'{region}' has no phone numbers that are known", hint)


def _quoted_facts(typed: TypedCase, used: Iterable[Checked]) -> tuple[str, ...]:
    """Return the facts that some template or condition reads of a quoted precedent."""
    read = {path for checked in used for path in checked.reads}
    return tuple(name for name in typed.facts if any("quoted" in path and name in path for path in read))
