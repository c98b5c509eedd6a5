"""README.md of a release, rendered.

Titles, reasons and sample records were written by others. Everything printed is escaped unless it was made here;
samples stand in fences that they cannot end; the header is dumped as YAML.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.dataset.build import rule_changes_since
from storymesh.dataset.split import SPLITS
from storymesh.language.locale_formats import ENGLISH, language_name
from storymesh.printable import shortened
from storymesh.release.card.header import card_header
from storymesh.release.card.markdown import code_block, code_span, escape_text, single_line
from storymesh.release.curation.curate import curation_rules
from storymesh.release.description import (
    PROMISES,
    ReleaseDescription,
    describe_columns,
    describe_duration,
    describe_links,
    internal_paths,
    masked_paths,
)
from storymesh.release.evidence_counts import judged_shares
from storymesh.release.recitation import SHARED
from storymesh.release.release_warnings import learning_warnings
from storymesh.release.split_balance import balance_warnings, split_balances
from storymesh.release.tricks import TRICKS

if TYPE_CHECKING:
    import pyarrow as pa
    from jinja2 import Template

    from storymesh.narrative.definition import Narrative
    from storymesh.narrative.split_definition import Split

TEMPLATE = Path(__file__).with_name("card.md.jinja")
SAMPLE_LENGTH = 3_000
LETTERS = 4  # of a token, about, in English prose
# The figures of baselines that the card has: task, figure, and a heading.
EVALUATED = (
    ("best", "best", "names a best action"),
    ("best", "regret", "regret"),
    ("verdict", "auc", "verdict, AUC"),
    ("abstain", "recall", "abstains where it should"),
)
PERSONAL_DATA: Mapping[str, str] = {
    "e-mail": "an e-mail address",
    "phone": "a phone number",
    "iban": "an IBAN",
    "card": "a card number",
    "name": "a name",
}


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else Markup(escape_text(value)),  # noqa: S704 - escaped
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = lambda text: Markup(code_span(str(text)))  # noqa: S704 - nothing in it ends the span
    environment.filters["share"] = lambda rate: "–" if rate is None else f"{rate:.1%}"
    environment.filters["fenced"] = lambda text: Markup(code_block(str(text)))  # noqa: S704 - as above
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def render_card(description: ReleaseDescription) -> str:
    """Return README.md: the header between `---` lines, then Markdown."""
    from markupsafe import Markup

    page = _template().render(
        header=Markup(card_header(description)),  # noqa: S704 - dumped as YAML
        commands={name: Markup(text) for name, text in _commands(description).items()},  # noqa: S704 - in fences
        **_variables(description),
    )
    return page if page.endswith("\n") else page + "\n"


def _variables(description: ReleaseDescription) -> dict[str, Any]:
    """Return what the template prints, unescaped."""
    narrative, split = description.narrative, description.narrative.dataset.split
    return {
        "narrative": narrative,
        "version": description.manifest.version,
        "manifest": description.manifest,
        "rule_changes": rule_changes_since(succeeds.rules) if (succeeds := description.manifest.succeeds) else [],
        "owners": {role: contract.owner for role, contract in description.contracts.items()},
        "links": describe_links(narrative),
        "formats": {config: _purpose(description, config) for config in description.formats},
        "columns": {
            config: [(field.name, _type_name(field.type)) for field in schema]
            for config, schema in description.schemas.items()
        },
        "samples": {config: list(_sample_columns(record)) for config, record in description.samples.items()},
        "splits": SPLITS if split else SPLITS[:1],
        "embargo": describe_duration(split.embargo) if split else "",
        "shares": _split_shares(split),
        "total": description.manifest.records,
        "diversity": description.diversity,
        "wordings": narrative.drawn_wordings,
        "rules": _curation_sentences(narrative),
        "promises": PROMISES,
        "balances": split_balances(description.manifest),
        "judged": any(balance.judged for balance in split_balances(description.manifest)),
        "warnings": balance_warnings(description.manifest),
        "judgements": judged_shares(description.manifest),
        "unlearnable": learning_warnings(description.manifest),
        "shared": SHARED,
        "tricks": TRICKS,
        "sizes": _text_sizes(description),
        "strata": description.strata,
        "synthetic": description.synthetic,
        "trained": any(format_.read_by_trl for format_ in description.formats.values()),
        "evaluation": description.evaluation,
        "figures": EVALUATED,
        "internal": internal_paths(narrative, description.contracts, description.schemas),
        "words": {config: describe_columns(narrative, config) for config in description.schemas},
        "masked": masked_paths(narrative, description.contracts),
        "persons": PERSONAL_DATA,
        "citation": description.citation,
    }


def _purpose(description: ReleaseDescription, config: str) -> str:
    """Return what a config is, and in which language where that is not English."""
    purpose, language = description.formats[config].purpose, description.narrative.language_of(config)
    return purpose if language == ENGLISH else f"{purpose}, in {language_name(language)}"


def _text_sizes(description: ReleaseDescription) -> Mapping[str, tuple[int, int, int]]:
    """Return config -> tokens of all its records, of a middling one and of the longest measured, by their letters."""
    import numpy as np

    return {
        config: (
            round(float(lengths.mean()) * sum(description.configs[config].values()) / LETTERS),
            round(float(np.median(lengths)) / LETTERS),
            round(float(lengths.max()) / LETTERS),
        )
        for config, lengths in description.lengths.items()
        if len(lengths)
    }


def _split_shares(split: "Split | None") -> Mapping[str, str]:
    """Return the share of the components that each part of a random split is to have."""
    if split is None or split.random is None:
        return {}
    shares = {"validation": split.random.validation, "test": split.random.test}
    return {name: f"{share:.3%}".rstrip("0%").rstrip(".") + "%" for name, share in shares.items()}


def _curation_sentences(narrative: "Narrative") -> list[str]:
    """Return the curation rules as sentences, naming the configs where a rule is not that of all."""
    configs: dict[str, list[str]] = {}
    for config in narrative.records:
        for sentence in curation_rules(narrative, config).sentences():
            configs.setdefault(sentence, []).append(config)
    every = len(narrative.records)
    return [
        sentence if len(names) == every else f"{sentence} ({', '.join(names)})" for sentence, names in configs.items()
    ]


def _commands(description: ReleaseDescription) -> dict[str, str]:
    """Return the commands that load, trace and verify the release, fenced."""
    if not description.filled:
        return {"load": "", "trace": "", "verify": ""}
    config, (split, *_) = next(iter(description.filled.items()))
    record = str(description.samples[config]["id"]) if config in description.samples else f"{config}/<case id>"
    load = [
        "from datasets import load_dataset",
        "",
        f'{split} = load_dataset("path/to/this/folder", "{config}", split="{split}")',
        f'lines = load_dataset("path/to/this/folder", "{config}", split="{split}", streaming=True)',
    ]
    version = description.manifest.version
    trace = f"storymesh trace {description.narrative.id} {shlex.quote(single_line(record))} --release {version} --sql"
    verify = "storymesh releases --verify path/to/this/folder"
    return {
        "load": code_block("\n".join(load), "python"),
        "trace": code_block(trace, "shell"),
        "verify": code_block(verify, "shell"),
    }


def _type_name(type_: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return "{" + ", ".join(f"{field.name}: {_type_name(field.type)}" for field in type_) + "}"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"list of {_type_name(type_.value_type)}"
    return {"double": "float64", "float": "float32", "date32[day]": "date32", "halffloat": "float16"}.get(
        str(type_), str(type_)
    )


def _sample_columns(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield (name, text) of each column of a record: texts as they read, the rest as JSON; long ones are cut off."""
    for name, value in record.items():
        if isinstance(value, list) and value and set(value[0]) == {"role", "content"}:
            for message in value:
                yield f"{name} · {message['role']}", _truncate(str(message["content"]))
        elif isinstance(value, str):
            yield name, _truncate(value)
        else:
            yield name, _truncate(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _truncate(text: str) -> str:
    return shortened(text, SAMPLE_LENGTH)
