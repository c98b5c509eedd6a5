"""A narrative drafted from the contracts of a mesh: its cast and links, when a case closes, its outcome."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from storymesh.contract.definition import Contract, Property
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.language.types import NUMBERS, Boolean, Text
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import ID
from storymesh.scaffold.cast_guess import RoleGuess, can_be_cast, guess_cast
from storymesh.scaffold.names import singular_of, title_of
from storymesh.scaffold.new_files import NewFiles
from storymesh.scaffold.product_rows import ProductRows
from storymesh.scaffold.template_draft import advice_templates, report_template
from storymesh.scaffold.yaml_text import yaml_text

_MAX_MATCHED = 2
LICENSE = "other"


@dataclass(frozen=True)
class OutcomeGuess:
    """The expressions of an outcome, the properties of the anchor that they read, and if the action has labels."""

    action: str
    score: str
    worked: str
    reads: tuple[str, ...]
    labelled: bool = False


@dataclass(frozen=True)
class NarrativeDraft:
    """What was guessed of a narrative: its roles, the anchor first, when its cases close and how they come out."""

    id: str
    roles: tuple[RoleGuess, ...]
    closes: str | None
    outcome: OutcomeGuess | None
    match: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def anchor(self) -> RoleGuess:
        return self.roles[0]

    @property
    def folder(self) -> str:
        return f"narratives/{self.id.replace('-', '_')}"


def likely_anchors(mesh: Mesh) -> list[str]:
    """Return the products that can be the anchor of a narrative, first those with an outcome, then those of which most
    is known only later."""
    usable = [contract for contract in mesh.contracts.values() if can_be_cast(contract) and contract.event_time]

    def rank(contract: Contract) -> tuple[bool, int, str]:
        closes = _guess_closes(contract)
        return _guess_outcome(contract, contract.name, closes) is None, -len(_later(contract)), contract.id

    return [contract.id for contract in sorted(usable, key=rank)]


def draft_narrative(mesh: Mesh, rows: ProductRows, anchor: str, wanted: str | None) -> NarrativeDraft:
    """Return a narrative with one case for each row of the product `anchor`. Raises WrongUsage."""
    contract = mesh.contract(anchor)
    if not can_be_cast(contract):
        words = f"'{anchor}' cannot be cast: it has no key, or not only small letters, digits and _ in its name"
        raise WrongUsage(words, "mend its contract first")
    if contract.event_time is None:
        words = f"nothing says when a row of '{anchor}' became true, so no case begins with it"
        raise WrongUsage(words, "add eventTime to its contract, or name another product")
    id_ = wanted or f"{singular_of(contract.name).replace('_', '-')}-stories"
    if not ID.match(id_):
        raise WrongUsage(f"'{id_}' is no id of a narrative", "small letters, digits and single hyphens")
    if id_.replace("-", "_") in mesh.domains:
        raise WrongUsage(f"'{id_}' is the name of a domain", "take another: --id ID")
    roles = guess_cast(mesh, rows, contract)
    closes = _guess_closes(contract)
    outcome = _guess_outcome(contract, roles[0].name, closes)
    match = tuple(_matched(contract))[:_MAX_MATCHED] if outcome else ()
    notes = []
    if outcome is None:
        missing = "what was done (an enum) and whether it worked (a true or false)"
        notes.append(f"no outcome, so no precedents and no advice: nothing known when a case closes says {missing}")
        if closes is not None:
            later = f"what nobody knows before {closes} wants `knownAt` {closes} in the contract"
            notes.append(f"{later}; a code may say whether it worked: {_by_a_code(roles[0], closes)}")
    elif not match:
        known = f"no code of {contract.id} (an enum) is known when a case begins, by which earlier ones are like it"
        notes.append(f"no precedents and no advice: {known}; say `precedents` by what they are")
    if len(roles) == 1:
        notes.append("no other product is linked: no relationship leads there, and no key matches")
    return NarrativeDraft(id_, tuple(roles), closes, outcome, match, tuple(notes))


def _later(contract: Contract) -> dict[str, list[str]]:
    """Return the moments of a contract that come after its event -> the other properties that are known only then."""
    found: dict[str, list[str]] = {}
    for name in contract.properties:
        known = contract.known_at_of(name)
        if known is not None and known != contract.event_time:
            found.setdefault(known, []).append(name)
    return {moment: [name for name in names if name != moment] for moment, names in found.items()}


def _guess_closes(contract: Contract) -> str | None:
    """Return the moment at which most becomes known."""
    later = _later(contract)
    return max(later, key=lambda moment: len(later[moment])) if later else None


def _known_at(contract: Contract, closes: str) -> list[Property]:
    """Return what is known when a case closes and may be told."""
    known = map(contract.properties.__getitem__, _later(contract)[closes])
    return [item for item in known if item.classification != "restricted" and item.name.isidentifier()]


def _by_a_code(anchor: RoleGuess, closes: str) -> str:
    """Return what an outcome could say of a property with two codes, one of which a person knows to be the good one."""
    pairs = (item for item in _known_at(anchor.contract, closes) if isinstance(item.type, Text) and len(item.enum) == 2)
    if (item := next(pairs, None)) is None:
        return f'`worked: {anchor.name}.NAME == "CODE"`'
    codes = (json.dumps(code, ensure_ascii=False) for code in item.enum)
    return " or ".join(f"`worked: {anchor.name}.{item.name} == {code}`" for code in codes)


def _guess_outcome(contract: Contract, role: str, closes: str | None) -> OutcomeGuess | None:
    """Return an outcome where a property that is known when a case closes is a code, and another says true or false."""
    if closes is None:
        return None
    known = _known_at(contract, closes)
    actions = [item for item in known if isinstance(item.type, Text) and item.enum]
    judged = [item for item in known if isinstance(item.type, Boolean)]
    scores = [item for item in known if isinstance(item.type, NUMBERS)]
    if not actions or not judged:
        return None
    labelled = isinstance(actions[0].type, Text) and len(actions[0].type.labels) == len(actions[0].enum)
    action, worked = f"{role}.{actions[0].name}", f"{role}.{judged[0].name}"
    if scores:
        reads = (actions[0].name, scores[0].name, judged[0].name)
        return OutcomeGuess(action, f"{role}.{scores[0].name}", worked, reads, labelled)
    return OutcomeGuess(action, f"1 if {worked} else 0", worked, (actions[0].name, judged[0].name), labelled)


def _matched(contract: Contract) -> Iterator[str]:
    """Yield the codes of a case that are known when it begins, by which earlier cases are like it."""
    for name, item in contract.properties.items():
        is_code = isinstance(item.type, Text) and item.enum and item.classification != "restricted"
        if is_code and name.isidentifier() and contract.known_at_of(name) == contract.event_time:
            yield name


def narrative_files(draft: NarrativeDraft, owner: str, license_: str, split: dict[str, str] | None) -> NewFiles:
    """Return `narrative.yaml` and the templates of a draft. `split` are the days on which validation and test begin."""
    templates = {"report.md.jinja": report_template(draft.roles)}
    if draft.outcome is not None and draft.match:
        templates |= advice_templates(draft.roles, draft.outcome.reads, labelled=draft.outcome.labelled)
    heading = [
        "Drafted from the contracts. What was guessed, and why, for you to look at:",
        *(f"  {role.name}: {role.contract.id}, {role.why}" for role in draft.roles),
        *(f"  Look at: {note}" for note in draft.notes),
    ]
    fields = _fields(draft, owner, license_, split)
    return NewFiles({
        f"{draft.folder}/narrative.yaml": yaml_text(fields, heading),
        **{f"{draft.folder}/{name}": text for name, text in templates.items()},
    })  # fmt: skip


def _fields(draft: NarrativeDraft, owner: str, license_: str, split: dict[str, str] | None) -> dict[str, Any]:
    anchor = draft.anchor
    records: dict[str, Any] = {"report": {"format": "text", "text": "report.md.jinja"}}
    case: dict[str, Any] = {"anchor": anchor.name, "at": f"{anchor.name}.{anchor.contract.event_time}"}
    if draft.closes is not None:
        case["closes"] = f"{anchor.name}.{draft.closes}"
    links = {role.name: role.link for role in draft.roles if role.link is not None}
    if links:
        case["links"] = links
    if draft.outcome is not None:
        case["outcome"] = {name: getattr(draft.outcome, name) for name in ("action", "score", "worked")}
        values = [f"{anchor.name}.{name}" for name in draft.match]
        if values:
            levels = [values[:count] for count in range(len(values), 0, -1)]
            case["precedents"] = {"match": levels, "min": 5, "quote": 2}
            records["advice"] = {"format": "messages", "user": "ask.md.jinja", "assistant": "advise.md.jinja"}
    dataset: dict[str, Any] = {"dedup": "facts"}
    if split is not None:
        dataset = {"split": split, **dataset}
    return {
        "apiVersion": "storymesh/v1",
        "kind": "Narrative",
        "id": draft.id,
        "version": "1.0.0",
        "title": title_of(draft.id),
        "owner": owner,
        "license": license_,
        "cast": {role.name: f"{role.contract.id}@{role.contract.major}" for role in draft.roles},
        "case": case,
        "records": records,
        "dataset": dataset,
    }


TRAIN_SHARE, VALIDATION_SHARE = 0.7, 0.15


def add_narrative(mesh: Mesh, anchor: str, id_: str | None, license_: str | None) -> tuple[NarrativeDraft, NewFiles]:
    """Write a narrative with one case for each row of the product `anchor`; return what was guessed, and the files.

    Raises WrongUsage, and then nothing is written.
    """
    with ProductRows.of(mesh) as rows:
        draft = draft_narrative(mesh, rows, anchor, id_)
        contract = draft.anchor.contract
        owner = mesh.domains[contract.domain].owner
        files = narrative_files(draft, owner, license_ or LICENSE, _guess_split(rows, contract))
    files.write(mesh.root)
    return draft, files


def _guess_split(rows: ProductRows, contract: Contract) -> dict[str, str] | None:
    """Return the days on which validation and test begin, so that most rows are before; None where nobody knows."""
    table = rows.read(contract)
    if table is None or rows.engine is None or contract.event_time is None:
        return None
    with suppress(StorymeshError):
        moments = table.select(moment=table[contract.event_time])
        seconds = moments["moment"].cast("timestamp").epoch_seconds()
        shares = [TRAIN_SHARE, TRAIN_SHARE + VALIDATION_SHARE]
        (row,) = rows.engine.fetch_rows(
            moments.aggregate(validation=seconds.quantile(shares[0]), test=seconds.quantile(shares[1]))
        )
        if row["validation"] is not None:
            first = date(1970, 1, 1)
            days = {name: first + timedelta(days=value // 86_400) for name, value in row.items()}
            return {name: day.isoformat() for name, day in days.items()} if days["validation"] < days["test"] else None
    return None
