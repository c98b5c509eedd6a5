"""The dataset card: a YAML header that the Hugging Face Hub reads, and a page for the people who will train on it.

Titles, reasons and sample records are what others wrote. In the page everything printed is escaped for Markdown and
HTML unless it was made here; samples stand in fences longer than any run of backticks in them; the header is dumped.
"""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.dataset.split import SPLITS
from storymesh.release.curation.curate import rules_of

if TYPE_CHECKING:
    import pyarrow as pa

    from storymesh.case.definition import Link
    from storymesh.contract.definition import Contract
    from storymesh.narrative.definition import Narrative, Split
    from storymesh.release.diversity import Variety

TEMPLATE = Path(__file__).with_name("card.md.jinja")
SAMPLE_LENGTH = 3_000

# What the Hub accepts under `license`: https://huggingface.co/docs/hub/repositories-licenses. Others are `other`.
LICENSES = frozenset(
    re.split(
        r"\s+",
        """afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5
        cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
        cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
        cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 gpl gpl-2.0 gpl-3.0 lgpl
        lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl odbl odc-by openrail osl-3.0 other pddl unknown unlicense wtfpl zlib""",
    )
)
# The columns that records of every format have.
COLUMNS: Mapping[str, str] = {
    "id": "names the record: its config and its case",
    "case_id": "names the case; configs are joined by it",
    "at": "the moment at which the question is asked (UTC)",
    "facts": "the values that the templates print, under the names that they have there",
    "sources": "the rows that they come from: product, version of its content, key",
    "retellings": "of each retold text the template's own, the model (null: it kept that), attempts, score, answer",
}
PERSONS: Mapping[str, str] = {
    "e-mail": "an e-mail address",
    "phone": "a phone number",
    "iban": "an IBAN",
    "card": "a card number",
    "name": "a name",
}
PROMISES: Mapping[str, str] = {
    "ids": "cases with records in two splits",
    "components": "linked components with records in two splits",
    "questions": "questions that stand in two splits of a config",
    "moments": "records outside the time of their split",
    "draws": "cases in another split than the one drawn for their component",
    "precedents": "precedents from a later split than the case",
    "closings": "cases open, or closing, inside the embargo before the next cut",
}
_EXPECT = {
    "one": "exactly one row",
    "optional": "at most one row",
    "some": "one or more rows",
    "any": "any number of rows",
}
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_BEYOND = "10M<n<100M"


@dataclass(frozen=True)
class Card:
    """What a card is made from. `lock` is what release.json says, `schemas` the columns of each config's files,
    `samples` a record of each config that has one, `sizes` the bytes of its files by split, `variety` how varied its
    texts are."""

    narrative: "Narrative"
    version: str
    contracts: "Mapping[str, Contract]"
    lock: Mapping[str, Any]
    schemas: "Mapping[str, pa.Schema]"
    samples: Mapping[str, Mapping[str, Any]]
    sizes: Mapping[str, Mapping[str, int]]
    variety: "Mapping[str, Sequence[Variety]]"


def render_card(card: Card) -> str:
    """README.md of the release: the header between `---` lines, then Markdown."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    narrative = card.narrative
    environment = Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else Markup(_plain(value)),  # noqa: S704 - escaped
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = lambda text: Markup(_code(str(text)))  # noqa: S704 - _code leaves nothing that ends it
    environment.filters["share"] = "{:.1%}".format
    environment.filters["fenced"] = lambda text: Markup(_fenced(str(text)))  # noqa: S704 - as above
    page = environment.from_string(
        TEMPLATE.read_text(encoding="utf-8")
    ).render(
        narrative=narrative,
        version=card.version,
        lock=card.lock,
        header=Markup(_header(card)),  # noqa: S704 - dumped as YAML
        owners={role: contract.owner for role, contract in card.contracts.items()},
        links=links_in_words(narrative),
        formats={config: narrative.format_of(config).purpose for config in narrative.records},
        columns={
            config: [(field.name, _type_in_words(field.type)) for field in schema]
            for config, schema in card.schemas.items()
        },
        samples={config: list(_sample(record)) for config, record in card.samples.items()},
        splits=SPLITS if narrative.dataset.split else SPLITS[:1],
        embargo=_duration(narrative.dataset.split.embargo) if narrative.dataset.split else "",
        shares=_shares(narrative.dataset.split),
        total=_total(card),
        variety=card.variety,
        rules=_rules(narrative),
        promises=PROMISES,
        internal=internal_paths(card),
        words={config: columns_in_words(narrative, config) for config in card.schemas},
        masked=masked_paths(card),
        persons=PERSONS,
        use={name: Markup(text) for name, text in _use(card).items()},  # noqa: S704 - in fences that nothing in it ends
        citation=citation(card),
    )
    return page if page.endswith("\n") else page + "\n"


def _shares(split: "Split | None") -> Mapping[str, str]:
    """Of a split by chance, how much of the components each part is to have."""
    if split is None or split.random is None:
        return {}
    drawn = split.random
    shares = {"validation": drawn.validation, "test": drawn.test}
    return {name: f"{share:.3%}".rstrip("0%").rstrip(".") + "%" for name, share in shares.items()}


def _rules(narrative: "Narrative") -> list[str]:
    """What the configs were curated by, in sentences: one where all have the same."""
    found: dict[str, list[str]] = {}
    for config in narrative.records:
        for rule in rules_of(narrative, config).in_words():
            found.setdefault(rule, []).append(config)
    every = len(narrative.records)
    return [rule if len(named) == every else f"{rule} ({', '.join(named)})" for rule, named in found.items()]


def columns_in_words(narrative: "Narrative", config: str) -> Mapping[str, str]:
    """Return what each column of a config holds."""
    return {**COLUMNS, **narrative.format_of(config).columns}


def features_of(schema: "pa.Schema") -> dict[str, Any]:
    """The columns as `datasets.Features.to_dict()` writes them, without importing `datasets`."""
    return {field.name: _feature(field.type) for field in schema}


def _feature(type_: "pa.DataType") -> dict[str, Any]:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return {field.name: _feature(field.type) for field in type_}
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return {"feature": _feature(type_.value_type), "_type": "List"}
    return {"dtype": _dtype(type_), "_type": "Value"}


def _dtype(type_: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_float64(type_) or pa.types.is_float32(type_):
        return {"double": "float64", "float": "float32"}[str(type_)]
    return {"date32[day]": "date32", "halffloat": "float16"}.get(str(type_), str(type_))


def _yaml_features(schema: "Iterable[pa.Field]") -> list[dict[str, Any]]:
    """The columns as the Hub's header writes them (`dataset_info.features`)."""
    return [{"name": field.name, **_yaml_feature(field.type)} for field in schema]


def _yaml_feature(type_: "pa.DataType") -> dict[str, Any]:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return {"struct": _yaml_features(type_)}
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        inner = _yaml_feature(type_.value_type)
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    return {"dtype": _dtype(type_)}


def _header(card: Card) -> str:
    import yaml

    narrative, configs = card.narrative, card.lock["configs"]
    formats = {config: narrative.format_of(config) for config in narrative.records}
    # A split without rows must not be named: one that is makes every config fail to load.
    filled = {config: [split for split, rows in splits.items() if rows] for config, splits in configs.items()}
    filled = {config: splits for config, splits in filled.items() if splits}
    license_ = narrative.license.lower()
    header: dict[str, Any] = {
        "license": license_ if license_ in LICENSES else "other",
        **({} if license_ in LICENSES else {"license_name": re.sub(r"[^a-z0-9.]+", "-", license_).strip("-")}),
        "language": ["en"],
        "pretty_name": _line(narrative.title),
        "size_categories": [next((name for limit, name in _SIZES if _total(card) < limit), _BEYOND)],
        "task_categories": sorted({formats[config].task for config in configs}),
        "tags": ["storymesh", "data-mesh", *(["trl"] if any(one.read_by_trl for one in formats.values()) else [])],
        "configs": [
            {
                "config_name": config,
                "data_files": [{"split": split, "path": f"data/{config}/{split}-*.parquet"} for split in splits],
            }
            for config, splits in filled.items()
        ],
        "dataset_info": [
            {
                "config_name": config,
                "features": _yaml_features(card.schemas[config]),
                "splits": [
                    {"name": split, "num_bytes": card.sizes[config][split], "num_examples": configs[config][split]}
                    for split in splits
                ],
                "download_size": sum(card.sizes[config].values()),
                "dataset_size": sum(card.sizes[config].values()),
            }
            for config, splits in filled.items()
        ],
    }
    dumped: str = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=10_000)
    return dumped.rstrip("\n")


def _total(card: Card) -> int:
    return sum(rows for splits in card.lock["configs"].values() for rows in splits.values())


def internal_paths(card: Card) -> list[str]:
    """What the records print that their contracts do not call public: properties, and values computed from any."""
    known: dict[tuple[str, ...], str] = {
        (role, name): item.classification
        for role, contract in card.contracts.items()
        for name, item in contract.properties.items()
    }
    # A value computed from properties is held to be as closed as the cast is.
    computed = "internal" if any(classification != "public" for classification in known.values()) else "public"
    found: set[str] = set()
    for config, schema in card.schemas.items():
        facts = schema.field("facts").type if "facts" in schema.names else ()
        for path in (path for field in facts for path in _paths(field)):
            if path[0] != "case" and known.get(path[:2], computed) == "internal":
                found.add(".".join(path))
        if computed == "internal":
            found |= {f"outcome.{part}" for part in card.narrative.format_of(config).outcome_parts(schema)}
    return sorted(found)


def masked_paths(card: Card) -> list[str]:
    """What of the cast stands in a release as its pseudonym only, if at all: restricted or replaced properties."""
    restricted = {
        f"{role}.{name}"
        for role, contract in card.contracts.items()
        for name, item in contract.properties.items()
        if item.classification == "restricted"
    }
    return sorted(restricted | set(card.narrative.dataset.pseudonymise))


def _use(card: Card) -> dict[str, str]:
    """The commands with which people load and trace the release, fenced."""
    filled = [config for config, splits in card.lock["configs"].items() if any(splits.values())]
    if not filled:
        return {"load": "", "trace": "", "verify": ""}
    first = filled[0]
    split = next(split for split, rows in card.lock["configs"][first].items() if rows)
    record = str(card.samples[first]["id"]) if first in card.samples else f"{first}/<case id>"
    load = [
        "from datasets import load_dataset",
        "",
        f'{split} = load_dataset("path/to/this/folder", "{first}", split="{split}")',
        f'lines = load_dataset("path/to/this/folder", "{first}", split="{split}", streaming=True)',
    ]
    trace = f"storymesh trace {card.narrative.id} {shlex.quote(_line(record))} --release {card.version} --sql"
    verify = "storymesh releases --verify path/to/this/folder"
    return {
        "load": _fenced("\n".join(load), "python"),
        "trace": _fenced(trace, "shell"),
        "verify": _fenced(verify, "shell"),
    }


def _paths(field: "pa.Field", depth: int = 2) -> list[tuple[str, ...]]:
    """The names under a field, as far as role and property; of a list, those of its items."""
    import pyarrow as pa

    type_ = field.type
    while pa.types.is_list(type_) or pa.types.is_large_list(type_):
        type_ = type_.value_type
    if depth == 1 or not pa.types.is_struct(type_):
        return [tuple(field.name.split("."))]
    return [(field.name, *rest) for part in type_ for rest in _paths(part, depth - 1)]


def links_in_words(narrative: "Narrative") -> list[tuple[str, str]]:
    """Each role that is linked to the anchor, with its rule in a sentence."""
    return [(role, _link_in_words(link)) for role, link in narrative.case.links.items()]


def _link_in_words(link: "Link") -> str:
    words = [_EXPECT[link.expect]]
    if link.on:
        words.append("whose " + " and ".join(f"{column} is {other}" for column, other in link.on.items()))
    elif link.on is None:
        words.append("that the contracts' relationship names")
    if link.within is not None:
        words.append(f"from {_duration(link.within.after)} to {_duration(link.within.before)} after the case's moment")
    if link.overlaps is not None:
        slack = f", widened by {_duration(link.overlaps.slack)} at both ends," if link.overlaps.slack else ""
        words.append(f"whose time{slack} holds the case's moment")
    if link.as_of is not None:
        words.append("the latest at the case's moment")
    return ", ".join(words)


def _duration(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes % size == 0:
            count = minutes // size
            return f"{count} {unit}" + ("" if abs(count) == 1 else "s")
    return f"{length.total_seconds():g} seconds"  # pragma: no cover - every whole minute is covered above


def _type_in_words(type_: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return "{" + ", ".join(f"{field.name}: {_type_in_words(field.type)}" for field in type_) + "}"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"list of {_type_in_words(type_.value_type)}"
    return _dtype(type_)


def _sample(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(name, text) of each column of a record: what is told as it reads, the rest as JSON; long ones are cut off."""
    for name, value in record.items():
        if isinstance(value, list) and value and set(value[0]) == {"role", "content"}:
            for message in value:
                yield f"{name} · {message['role']}", _cut(str(message["content"]))
        elif isinstance(value, str):
            yield name, _cut(value)
        else:
            yield name, _cut(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= SAMPLE_LENGTH else f"{text[:SAMPLE_LENGTH]}…"


def citation(card: Card) -> str:
    """How to cite the release, as BibTeX."""
    year = str(card.lock["created"])[:4]
    key = f"{card.narrative.name}_{card.version}".replace("-", "_").replace(".", "_")
    title, owner = (re.sub(r"[{}\\]", "", _line(text)) for text in (card.narrative.title, card.narrative.owner))
    return "\n".join(
        [
            f"@misc{{{key},",
            f"  title  = {{{title}}},",
            f"  author = {{{owner}}},",
            f"  year   = {{{year}}},",
            f"  note   = {{storymesh release {card.narrative.id} {card.version}, digest {card.lock['digest']}}}",
            "}",
        ]
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _plain(value: Any) -> str:
    """Text on one line that means nothing to Markdown or HTML, in a paragraph, a heading or the cell of a table."""
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    text = _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~$!])", r"\\\1", text)


def _code(text: str) -> str:
    """A code span for a paragraph or the cell of a table, which a bare bar would end even in code."""
    line = _line(text).replace("|", "\\|")
    ticks = "`" * (_longest(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{space}{line}{space}{ticks}" if line else ""


def _fenced(text: str, language: str = "text") -> str:
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
