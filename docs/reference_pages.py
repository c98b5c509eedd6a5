"""The reference pages of docs/reference/: their prose is in docs/templates/, what is allowed comes from the code.

What a name means is written here. A name that the code has and this file does not explain, or the other way round, ends
the generation with an error.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import python_reference
import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel

from storymesh.case import definition as case
from storymesh.cli.app import app
from storymesh.contract import definition as contract
from storymesh.contract import document_reader
from storymesh.contract import quality_rules as rule
from storymesh.contract import type_options as option
from storymesh.contract.types import arrow_type
from storymesh.language import evaluate, parse
from storymesh.language.filters.base import MAX_DIGITS
from storymesh.language.filters.dates import DATE_CODES
from storymesh.language.filters.numbers import UNITS
from storymesh.language.filters.registry import FILTERS
from storymesh.language.typecheck import templates
from storymesh.language.types import Boolean, Date, Decimal, Float, Integer, Text, Timestamp
from storymesh.narrative import definition as narrative
from storymesh.narrative.formats import FORMATS, template_slots

MADE = "<!-- Made from docs/templates/ and the code: run `python docs/generate.py` after a change. -->\n"
WIDTH = 100  # of a command's help


def pages() -> dict[str, str]:
    """File name -> text of each page."""
    made = {
        "language.md": language(),
        "narrative.md": narratives(),
        "contract.md": contracts(),
        "commands.md": commands(),
        "python.md": {
            "members": python_reference.members(),
            "exceptions": table(["exception", "meaning"], python_reference.exceptions()),
        },
    }
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        # The pages are about Jinja, so they are filled in with other brackets.
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown
    )
    return {name: f"{MADE}{templates.get_template(name).render(parts).rstrip()}\n" for name, parts in made.items()}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *([*row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def code(text: object) -> str:
    return f"`{text}`"


def listed(names: Iterable[object]) -> str:
    return ", ".join(code(name) for name in names)


def explained(names: Iterable[str], words: Mapping[str, str], what: str) -> Iterator[tuple[str, str]]:
    """(name, words) in the order of `names`. Raises ValueError when the two do not have the same names."""
    ordered = list(names)
    if wrong := set(ordered) ^ set(words):
        raise ValueError(f"{what}: explained or there, not both: {', '.join(sorted(wrong))}")
    return ((name, words[name]) for name in ordered)


# --- language ---


def language() -> dict[str, str]:
    rows = (
        [code(one.usage), one.wants, one.summary, f"{code(one.example[0])} → {code(one.example[1])}"]
        for one in FILTERS.values()
    )
    bounds = [
        ("size of a template", f"{parse.MAX_SIZE // 1024} KiB"),
        ("parts of a template", f"{parse.MAX_NODES:,}"),
        ("parts with its includes", f"{templates.MAX_STATEMENTS:,}"),
        ("includes inside each other", f"{templates.MAX_INCLUDES}"),
        ("levels of nesting", f"{parse.MAX_DEPTH}"),
        ("loops inside each other", f"{parse.MAX_LOOPS}"),
        ("`elif` of one `if`", f"{parse.MAX_BRANCHES}"),
        ("digits behind the point", f"{MAX_DIGITS}"),
        ("a text", f"{evaluate.MAX_OUTPUT // 1024} KiB"),
    ]
    return {
        "tests": listed(evaluate.TESTS),
        "filters": table(["filter", "works on", "gives", "example"], rows),
        "codes": listed(DATE_CODES),
        "units": listed(f'"{unit}"' for unit in UNITS),
        "bounds": table(["what", "at most"], bounds),
    }


# --- narrative ---

# Heading -> the model of its fields, and a sentence before them.
SECTIONS: Mapping[str, tuple[type[BaseModel], str]] = {
    "The file": (narrative.NarrativeFile, ""),
    "case": (case.Case, "What a case is: one for each row of the anchor."),
    "case.links.<role>": (
        case.Link,
        (
            "How rows of a role belong to a case: by key, by time, or both. There is at most one of `within`, "
            "`overlaps` and `as_of`. Bounds are inclusive."
        ),
    ),
    "within": (case.Within, "The row's event time lies between these two, counted from the moment of the case."),
    "overlaps": (case.Overlaps, "The row's interval contains the moment of the case. An end that is null is open."),
    "as_of": (
        case.AsOf,
        "The latest row whose event time is not after the moment of the case. It has no fields: `{}`.",
    ),
    "case.outcome": (
        case.Outcome,
        (
            "What was done and whether it worked. A case that is not closed is *open*; a closed one in which one of "
            "the three is null is *unjudged*. Only judged cases are answered or serve as precedents."
        ),
    ),
    "case.precedents": (case.Precedents, "Which earlier, judged cases count for a case."),
    "records.<config>": (narrative.Record, "One subset of the dataset. Which templates it needs, its format says."),
    "records.<config>.narrator": (
        narrative.Narrator,
        (
            "A language model that retells the texts of another record; its questions stay as they are. Prompts are "
            "templates in the view of what they retell, with `story` for the text that the template told. Keys stand "
            "in the environment. [How to](../how-to/retell-with-a-model.md)"
        ),
    ),
    "records.<config>.narrator.price": (narrative.Price, "US dollars for a million tokens."),
    "records.<config>.narrator.budget": (
        narrative.Budget,
        "What one run of the config may spend at most. It stops before a call that could pass it.",
    ),
    "records.<config>.narrator.judge": (
        narrative.ScoringModel,
        "A second model that scores what was accepted. Its score stands beside the record and decides nothing.",
    ),
    "length": (
        narrative.LengthLimits,
        (
            "How many characters a record has, both bounds inclusive: all that is read at once, of a preference its "
            "prompt and the longer answer. What is outside drops as `too short` or `too long`."
        ),
    ),
    "near_duplicates": (
        narrative.NearDuplicates,
        (
            "Of records whose texts are nearly the same the earliest `at`, then the smallest id stays, across splits; "
            "the others drop as `near duplicate`, with the id of the one that stays. `{}` takes the defaults. Meant "
            "for texts that a language model told: those of one template look alike by design."
        ),
    ),
    "dataset": (narrative.Dataset, ""),
    "dataset.decontaminate": (
        narrative.Decontaminate,
        (
            "A record that has so many words in a row in common with an evaluation set, without case and punctuation, "
            "drops as `in evaluation set`, and its drop names the file and the item. The release keeps hashes of the "
            "set, which give no text away."
        ),
    ),
    "dataset.split": (
        narrative.Split,
        "By the moment of the case (`validation`, `test`) or by chance (`random`). Without it, every case is `train`.",
    ),
    "dataset.split.random": (
        narrative.RandomSplit,
        (
            "By chance: what is kept together is drawn as a whole, by the MD5 of seed and name, which gives the "
            "same split on any machine and leaves it there when other cases come. A case's precedents are of its own "
            "split or of one used before it: train, validation, test."
        ),
    ),
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "The file": {
        "apiVersion": "the version of this format",
        "kind": "",
        "id": "small letters, digits and single hyphens; the folder has the same name with `_`",
        "version": "such as `1.0.0`; releases of it are `1.0.0-r1`, `1.0.0-r2`, …",
        "title": "one line, for people",
        "description": "for people",
        "owner": "a team",
        "license": "of the releases",
        "cast": "role → `<domain>.<product>@<major version of its contract>`",
        "case": "see below",
        "records": "config → record, at least one",
        "dataset": "see below",
    },
    "case": {
        "anchor": "a role: there is one case for each of its rows, and `case.id` is that row's key",
        "at": "`<anchor>.<property>`, required by the contract: the moment at which the question is asked",
        "closes": "`<anchor>.<property>`: when the outcome is known; null means that the case is open",
        "links": (
            "role → link; a link may use the anchor and roles that stand before it; a role without a link is in no case"
        ),
        "facts": "name → expression; a fact may use facts before it",
        "outcome": "needs `closes`",
        "precedents": "needs `outcome`",
    },
    "case.links.<role>": {
        "expect": (
            "`one` and `optional` give a row, `some` (at least one) and `any` a list by event time; a case without "
            "its `one` or `some` is dropped and counted"
        ),
        "on": (
            "property of the role → `<role>.<property>` of a role before it; may be left out where one relationship "
            "of the contracts joins the two; `{}` with a rule of time asks for no key"
        ),
        "within": "by time",
        "overlaps": "by time; the role's contract needs `endTime`",
        "as_of": "by time",
    },
    "within": {"after": "may be negative", "before": "may be negative"},
    "overlaps": {"slack": "widens the interval at both ends"},
    "as_of": {},
    "case.outcome": {
        "action": "a text, mostly a code with labels",
        "score": "a number; options show its mean",
        "worked": "true or false",
    },
    "case.precedents": {
        "match": "levels, strictest first; each is a list of values that have to be equal",
        "min": "the first level with so many precedents is taken; an option tried fewer times is never best or worst",
        "quote": "how many cases an option quotes, the latest first",
    },
    "records.<config>": {
        "format": "decides the columns, named as TRL takes them",
        "from": "another record, to be retold",
        "narrator": "with `from`",
        **{name: slot.description for name, slot in template_slots().items()},
        "length": "of this config, in place of the dataset's; `{}` for none",
        "near_duplicates": "of this config, in place of the dataset's",
    },
    "length": {"min": "at least so many", "max": "at most so many"},
    "near_duplicates": {
        "similarity": "the share of their shingles that both have (Jaccard), from 0.5",
        "shingle": "so many words, without case and punctuation",
    },
    "records.<config>.narrator": {
        "model": "`<provider>:<name>`, as LangChain's `init_chat_model` names it",
        "prompt": "a template: what the model is asked; `story` is the text to retell",
        "system": "a template: the system message",
        "base_url": "of a server that speaks the provider's protocol; without it, the provider's own",
        "parameters": "of the model, such as `temperature` and `max_tokens`; no secrets",
        "attempts": "how often it is asked, the later times with what was wrong",
        "otherwise": "what becomes of a text that is never accepted: `keep` the template's, or `drop` the record",
        "accept": "the least share of its claims that the facts must carry",
        "concurrency": "at most so many calls at once; fewer where the server asks for patience",
        "timeout": "seconds for one call",
        "price": "needed by a budget in US dollars",
        "budget": "needs `max_tokens` among the parameters",
        "judge": "off unless it stands there",
    },
    "records.<config>.narrator.price": {"input": "of what is sent", "output": "of what is answered"},
    "records.<config>.narrator.budget": {"tokens": "sent and answered", "usd": "US dollars"},
    "records.<config>.narrator.judge": {
        "model": "as of the narrator",
        "prompt": "a template, in the same view; story and retelling are shown after it",
        "base_url": "as of the narrator",
        "parameters": "as of the narrator",
        "price": "as of the narrator",
    },
    "dataset": {
        "split": "train, validation, test",
        "dedup": "`facts`: of records that print the same facts, the earliest stays",
        "length": "how many characters a record may have",
        "near_duplicates": "off unless it stands there",
        "decontaminate": "off unless it stands there",
        "personal": (
            "what becomes of e-mail addresses, phone numbers, IBANs, card numbers and restricted names in free text: "
            "`mask` puts `[e-mail]` and the like in their place, `refuse` drops the records that would print one"
        ),
        "phone_regions": "countries such as `DE` whose phone numbers are also found without their country's code",
        "pseudonymise": "`<role>.<property>`: replaced by its pseudonym wherever it appears",
        "shard_rows": "how many records a file of the release has at most",
    },
    "dataset.decontaminate": {
        "against": (
            "patterns of files (`.jsonl`, `.parquet`, `.txt`, `.md`) from the narrative's folder, or where they meet "
            "none there from the mesh root"
        ),
        "ngram": "words in a row",
    },
    "dataset.split": {
        "validation": "the day with which it begins (midnight UTC); all before it is train",
        "test": "the day with which it begins",
        "embargo": "a case of an earlier split that is open, or closes later, at this long before the next one drops",
        "together": "`<role>.<property>`: cases that share a value are not torn apart",
        "random": "by chance; with it there is no `validation`, `test` or `embargo` beside it",
    },
    "dataset.split.random": {
        "validation": "the share of all, from 0 to below 1",
        "test": "the share of all; both together leave something to train on",
        "seed": "another one draws another split",
    },
}


def narratives() -> dict[str, str]:
    parts: list[str] = []
    for title, (model, words) in SECTIONS.items():
        parts.append(f"## {title}\n" if title == "The file" else f"## `{title}`\n")
        parts += [f"{words}\n"] if words else []
        rows = list(_fields(title, model))
        parts += [table(["field", "type", "default", "meaning"], rows)] if rows else []
    formats = (
        [
            code(name),
            listed(sorted(slot.name for slot in one.slots if slot.required)),
            listed(sorted(slot.name for slot in one.slots if not slot.required)),
            f"{listed(one.columns)}{f': {one.layout}' if one.layout else ''}",
        ]
        for name, one in FORMATS.items()
    )
    return {
        "sections": "\n".join(parts),
        "formats": table(["format", "needs", "may have", "columns"], formats),
        "reserved": listed(sorted(narrative.RESERVED)),
    }


def _fields(title: str, model: type[BaseModel]) -> Iterator[list[str]]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    schema = model.model_json_schema()
    for name, words in explained(names, FIELDS[title], title):
        shown = schema["properties"][name]
        default = "required" if name in schema.get("required", ()) else _default(shown)
        yield [code(name), _type(shown), default, words]


def _default(shown: Mapping[str, Any]) -> str:
    value = shown.get("default")
    return "" if value in (None, "", [], {}, "PT0S") else code(value)


def _type(shown: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    match shown:
        case {"anyOf": options}:
            # A decimal may also be written as a text: nobody has to.
            kept = [one for one in options if one.get("type") != "null"]
            decimal = [one["type"] for one in kept if "type" in one] == ["number", "string"]
            return "number" if decimal else " or ".join(_type(one) for one in kept)
        case {"const": value}:
            return code(value)
        case {"enum": values}:
            return listed(values)
        case {"$ref": target}:
            name = str(target).rpartition("/")[2]
            return "`{}`" if name == "AsOf" else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        case {"format": "duration" | "date" as form}:
            return str(form)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": inner}:
            return f"name → {_type(inner)}"
        case {"type": "integer", "minimum": low, "maximum": high}:
            return f"integer, {low} to {high}"
        case {"type": "integer", "minimum": low}:
            return f"integer, at least {low}"
        case {"type": "integer" | "number" | "boolean" as kind}:
            return {"boolean": "true or false"}.get(kind, kind)
        case {"type": "string"}:
            return "text"
    raise ValueError(f"no words for {shown}")


# --- contract ---

ON_OBJECT = {
    "eventTime": "the property that says when a row became true",
    "endTime": "with `eventTime`: the row is an interval; null means that it is still open",
    "timeless": "`true`: reference data, fit for a question of any time; not with `eventTime`",
    "knownAt": "the property that says when the values of a row became known. Default: its `eventTime`",
    "quarantineLimit": (
        "the share of rows that may break the contract before nothing is published. "
        f"Default: {contract.DEFAULT_QUARANTINE_LIMIT}"
    ),
}
ON_PROPERTY = {
    "unit": "a text such as `hours` or `usd`",
    "knownAt": "the property that says when this value became known",
}
ON_CONTRACT = {
    "quarantineLimit": "as on the schema object, which comes first",
    "license": "of the product; Dagster shows it",
}
CLASSIFIED = {
    "public": "printed freely",
    "internal": "printed; the card of the release says so. This is what a property without a classification is",
    "restricted": "printed only through `| pseudonym`, or replaced through the narrative's `pseudonymise`",
}
METRICS = {
    "nullValues": "values that are null",
    "missingValues": "values that count as missing (`arguments: {missingValues: […]}`)",
    "invalidValues": "values that are not valid (`arguments: {validValues: […]}` or `{pattern: …}`)",
    "duplicateValues": "values that stand more than once (for the table: `arguments: {properties: […]}`)",
    "rowCount": "rows of the table",
}
TYPES = {
    "string": (code(arrow_type(Text())), ""),
    "integer": (code(arrow_type(Integer())), ""),
    "number": (
        code(arrow_type(Float())),
        f"with a `physicalType` such as `decimal(12,2)` exact: {code(arrow_type(Decimal(12, 2)))}",
    ),
    "boolean": (code(arrow_type(Boolean())), ""),
    "date": (code(arrow_type(Date())), ""),
    "timestamp": (code(arrow_type(Timestamp())), "in UTC"),
    "array": ("a list", "`items` says of what"),
    "object": ("a struct", "`properties` says of what"),
}


def contracts() -> dict[str, str]:
    if set(TYPES) != set(contract.TYPES):
        raise ValueError("the types of a contract have changed")
    return {
        "on_object": _names("property", document_reader.OBJECT_PROPERTIES, ON_OBJECT),
        "on_property": _names("property", document_reader.PROPERTY_PROPERTIES, ON_PROPERTY),
        "on_contract": _names("property", document_reader.CONTRACT_PROPERTIES, ON_CONTRACT),
        "types": table(["`logicalType`", "stored as (Arrow)", ""], ([code(name), *TYPES[name]] for name in TYPES)),
        "text_formats": listed(option.FORMATS),
        "integer_formats": listed(option.RANGES),
        "classifications": _names("classification", contract.CLASSIFICATIONS, CLASSIFIED),
        "metrics": _names("metric", get_args(rule.Metric), METRICS),
        "operators": listed(rule.OPERATORS),
    }


def _names(head: str, names: Iterable[str], words: Mapping[str, str]) -> str:
    return table([head, "meaning"], ([code(name), text] for name, text in explained(names, words, head)))


# --- commands ---


def commands() -> dict[str, str]:
    group: Any = typer.main.get_command(app)
    parts = []
    for name, command in group.commands.items():
        if not command.hidden:
            kind = command.context_class
            context = kind(command, info_name=f"storymesh {name}", terminal_width=WIDTH, max_content_width=WIDTH)
            parts.append(f"## storymesh {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return {"commands": "\n".join(parts)}
