"""The reference pages of docs/reference/: what is allowed comes from the code, what it means is written here.

A name that the code has and this file does not explain, or the other way round, ends the generation with an error.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

import typer
from pydantic import BaseModel

from storymesh.case import definition as case
from storymesh.cli import app
from storymesh.contract import definition as contract
from storymesh.contract import option, rule
from storymesh.contract.types import arrow_type
from storymesh.language import check, filters, interpret, syntax
from storymesh.language.types import Boolean, Date, Decimal, Float, Integer, Text, Timestamp
from storymesh.narrative import definition as narrative

MADE = "<!-- Made from the code: change it there and run `python docs/generate.py`. -->\n"


def pages() -> dict[str, str]:
    """File name -> text of each page."""
    made = {"language.md": language(), "narrative.md": narratives(), "contract.md": contracts(), "commands.md": commands()}
    return {name: f"{MADE}{text.rstrip()}\n" for name, text in made.items()}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *([*row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def code(text: object) -> str:
    return f"`{text}`"


def explained(names: Iterable[str], words: Mapping[str, str], what: str) -> Iterator[tuple[str, str]]:
    """(name, words) in the order of `names`. Raises ValueError when the two do not have the same names."""
    listed = list(names)
    if wrong := set(listed) ^ set(words):
        raise ValueError(f"{what}: explained or there, not both: {', '.join(sorted(wrong))}")
    return ((name, words[name]) for name in listed)


# --- language ---

LANGUAGE = """\
# The language of templates and expressions

Templates (`*.jinja`) and the expressions in `narrative.yaml` are one language: Jinja's syntax, read by Jinja's own
parser, with a closed list of what may be used. Everything else is a finding that names the place and, where there is
one, what to write instead.

## Templates

Text stands as it is. `{{ … }}` prints a value. The tags are:

| tag | meaning |
| --- | --- |
| `{% if a %} … {% elif b %} … {% else %} … {% endif %}` | a null, `false`, zero, an empty text and an empty list count as false |
| `{% for x in list %} … {% else %} … {% endfor %}` | `else` stands for an empty list; `for x in list if test` leaves items out; inside, `loop` has `index`, `index0`, `revindex`, `revindex0`, `first`, `last` and `length` |
| `{% set name = value %}` | a name for a value |
| `{% include "part.jinja" %}` | another file of the narrative's folder; it sees what its template sees |
| `{# … #}` | a comment |

A tag alone on its line leaves no line behind: the white space before it and the newline after it go. One newline at the
end of a file goes too. `-` inside a tag (`{%-`, `-%}`) takes all white space on that side.

## Expressions

| written | meaning |
| --- | --- |
| `delay.waterway` | a property of a row; a name behind a dot is always a property |
| `"text"`, `12`, `0.5`, `true`, `false`, `none`, `["a", "b"]` | values |
| `+ - * / // %` | arithmetic; a quotient may be null, since nothing can be divided by zero |
| `a ~ b` | texts behind each other |
| `== != < <= > >=`, `in`, `not in` | comparison; a date is its midnight in UTC |
| `and`, `or`, `not` | |
| `a if test else b` | the `else` is required |
| `a is none`, `a is not none` | the tests are TESTS |
| `choose("ran late", "fell behind")` | one of its texts, in templates only: fixed by the id of the case, the file and the place of the call, so that the same case always reads the same |

## What has to be guarded

A value that may be null cannot be printed, computed with or compared before it is guarded; a role that may be absent
cannot be used. Guards are `{% if x is not none %}`, the truth of a role (`{% if shipment %}`), `and`, `or`, the `else` of
a test, an inline `if`, and `| default(…)`. A float is printed through a format (`number`, `percent`, `duration`), a
list through a loop or `listing`, a restricted property through `pseudonym`.

## Filters

FILTERS

`date` takes the codes CODES. `duration` takes a `unit` of UNITS. The tests of
`selectattr` and `rejectattr` are `none`, `defined`, `true`, `false` and comparisons (`"eq"`, `"ne"`, `"lt"`, `"le"`, `"gt"`,
`"ge"`, `"in"`) with a value.

## Bounds

BOUNDS
"""


def language() -> str:
    rows = (
        [
            code(one.usage),
            one.wants,
            one.meaning,
            f"{code(one.example[0])} → {code(one.example[1])}",
        ]
        for one in filters.FILTERS.values()
    )
    bounds = [
        ("size of a template", f"{syntax.MAX_SIZE // 1024} KiB"),
        ("parts of a template", f"{syntax.MAX_NODES:,}"),
        ("parts with its includes", f"{check.MAX_STATEMENTS:,}"),
        ("includes inside each other", f"{check.MAX_INCLUDES}"),
        ("levels of nesting", f"{syntax.MAX_DEPTH}"),
        ("loops inside each other", f"{syntax.MAX_LOOPS}"),
        ("`elif` of one `if`", f"{syntax.MAX_BRANCHES}"),
        ("digits behind the point", f"{check.MAX_DIGITS}"),
        ("a text", f"{interpret.MAX_OUTPUT // 1024} KiB"),
    ]
    parts = {
        "TESTS": ", ".join(map(code, check.TESTS)),
        "FILTERS": table(["filter", "works on", "gives", "example"], rows).rstrip(),
        "CODES": ", ".join(map(code, filters.DATE_CODES)),
        "UNITS": ", ".join(code(f'"{unit}"') for unit in filters.UNITS),
        "BOUNDS": table(["what", "at most"], bounds),
    }
    page = LANGUAGE
    for name, text in parts.items():
        page = page.replace(name, text)
    return page


# --- narrative ---

NARRATIVE = """\
# narrative.yaml

A narrative is a folder `narratives/<id with underscores>/` with `narrative.yaml` and its templates. The file is read as
YAML 1.2: `on` is a key, `NO` is a text, and a key that stands twice is a finding. A field that is not listed here is a
finding too. Words and examples: [Write a narrative](../how-to/write-a-narrative.md).

A *duration* is a text such as `14d`, `36h`, `1d12h` or `-90m` (`w`, `d`, `h`, `m`, `s`). An *expression* is written in
[the language of the templates](language.md). A *name* has small letters, digits and `_`, a letter first.
"""
SECTIONS: Mapping[str, tuple[type[BaseModel], str]] = {
    "The file": (narrative._File, ""),
    "case": (case.Case, "What a case is: one for each row of the anchor."),
    "case.links.<role>": (
        case.Link,
        "How rows of a role belong to a case: by key, by time, or both. There is at most one of `within`, `overlaps` "
        "and `as_of`. Bounds are inclusive.",
    ),
    "within": (case.Within, "The row's event time lies between these two, counted from the moment of the case."),
    "overlaps": (case.Overlaps, "The row's interval contains the moment of the case. An end that is null is open."),
    "as_of": (case.AsOf, "The latest row whose event time is not after the moment of the case. It has no fields: `{}`."),
    "case.outcome": (
        case.Outcome,
        "What was done and whether it worked. A case that is not closed is *open*; a closed one in which one of the "
        "three is null is *unjudged*. Only judged cases are answered or serve as precedents.",
    ),
    "case.precedents": (case.Precedents, "Which earlier, judged cases count for a case."),
    "records.<config>": (narrative.Record, "One subset of the dataset. Which templates it needs, its format says."),
    "records.<config>.narrator": (
        narrative.Narrator,
        "A record retold by a language model. This version reads the field and leaves the config out, with a warning.",
    ),
    "dataset": (narrative.Dataset, ""),
    "dataset.split": (
        narrative.Split,
        "By the moment of the case. Without it, every case is `train`.",
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
        "links": "role → link; a link may use the anchor and roles that stand before it; a role without a link is in no case",
        "facts": "name → expression; a fact may use facts before it",
        "outcome": "needs `closes`",
        "precedents": "needs `outcome`",
    },
    "case.links.<role>": {
        "expect": "`one` and `optional` give a row, `some` (at least one) and `any` a list by event time; a case "
        "without its `one` or `some` is dropped and counted",
        "on": "property of the role → `<role>.<property>` of a role before it; may be left out where one relationship of the contracts "
        "joins the two; `{}` with a rule of time asks for no key",
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
        "text": "hindsight: sees everything",
        "system": "question: sees what was known at the moment of the case, and precedents",
        "user": "question",
        "assistant": "answer: sees that plus `outcome.action` and `outcome.worked`",
        "prompt": "question",
        "completion": "answer",
        "option": "answer, for one `option`: `action`, `tried`, `worked`, `rate`, `mean_score`, `quoted`",
    },
    "records.<config>.narrator": {
        "model": "a name for a chat model",
        "prompt": "a template",
        "attempts": "",
        "otherwise": "",
    },
    "dataset": {
        "split": "train, validation, test",
        "dedup": "`facts`: of records that print the same facts, the earliest stays",
        "pseudonymise": "`<role>.<property>`: replaced by its pseudonym wherever it appears",
    },
    "dataset.split": {
        "validation": "the day with which it begins (midnight UTC); all before it is train",
        "test": "the day with which it begins",
        "embargo": "a case of an earlier split that is open, or closes later, at this long before the next one drops",
        "together": "`<role>.<property>`: cases that share a value are not torn apart by a cut",
    },
}
TYPE_WORDS = {
    "Duration": "duration",
    "Expression": "expression",
    "Name": "name",
    "Template": "file name",
}


def narratives() -> str:
    parts = [NARRATIVE]
    for title, (model, words) in SECTIONS.items():
        heading = f"`{title}`" if title != "The file" else title
        parts.append(f"## {heading}\n")
        if words:
            parts.append(words + "\n")
        rows = list(_fields(title, model))
        if rows:
            parts.append(table(["field", "type", "default", "meaning"], rows))
    parts.append("## Formats\n")
    parts.append(
        table(
            ["format", "needs", "may have", "columns"],
            (
                [code(name), _listed(needed), _listed(allowed), FORMAT_COLUMNS[name]]
                for name, (needed, allowed) in narrative.SLOTS.items()
            ),
        )
    )
    parts.append(
        f"Every config also has `id`, `case_id`, `at`, `facts` and `sources`. The names {_listed(narrative.RESERVED)} have a "
        "meaning of their own: no role and no fact has one of them.\n"
    )
    return "\n".join(parts)


FORMAT_COLUMNS = {
    "text": "`text`",
    "retrieval": "`text`",
    "messages": "`messages`: a list of `role` and `content`",
    "prompt_completion": "`prompt`, `completion`",
    "preference": "`prompt`, `chosen`, `rejected`",
    "unpaired_preference": "`prompt`, `completion`, `label`",
}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in sorted(names))


def _fields(title: str, model: type[BaseModel]) -> Iterator[list[str]]:
    by_name = {field.alias or name: field for name, field in model.model_fields.items()}
    schema = model.model_json_schema()
    known = schema.get("$defs", {})
    for name, words in explained(by_name, FIELDS[title], title):
        shown = schema["properties"][name]
        default = "required" if name in schema.get("required", ()) else _default(shown)
        yield [code(name), _type(shown, known), default, words]


def _default(shown: Mapping[str, Any]) -> str:
    value = shown.get("default")
    if value in (None, "", [], {}) or value == "PT0S":
        return ""
    return code(value)


def _type(shown: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    match shown:
        case {"anyOf": options}:
            return " or ".join(_type(one, known) for one in options if one.get("type") != "null")
        case {"const": value}:
            return code(value)
        case {"enum": values}:
            return ", ".join(code(value) for value in values)
        case {"$ref": target}:
            return str(target).rpartition("/")[2].lower()
        case {"format": "duration"}:
            return "duration"
        case {"format": "date"}:
            return "date"
        case {"type": "array", "items": items}:
            return f"list of {_type(items, known)}"
        case {"type": "object", "additionalProperties": inner}:
            return f"name → {_type(inner, known)}"
        case {"type": "integer"}:
            low, high = shown.get("minimum"), shown.get("maximum")
            bounds = f", {low} to {high}" if high is not None else f", at least {low}" if low is not None else ""
            return f"integer{bounds}"
        case {"type": "string"}:
            return "text"
    return ""


# --- contract ---

CONTRACT = """\
# What storymesh acts on in a contract

A contract is a file `contracts/<domain>/<product>.odcs.yaml` of the [Open Data Contract
Standard](https://bitol-io.github.io/open-data-contract-standard/latest/) 3.2, checked by the standard's own JSON Schema. Its `id` is
`<domain>.<product>`, it has one schema object, and that has the product's name. Fields that are not named here are
checked by the standard, kept, and change nothing. How to write one: [Add a product](../how-to/add-a-product.md).

## What storymesh adds

These are `customProperties`, each `{property: <name>, value: <value>}`. Other names belong to others and change nothing; one
that is nearly ours is a finding.
"""
ON_OBJECT = {
    "eventTime": "the property that says when a row became true",
    "endTime": "with `eventTime`: the row is an interval; null means that it is still open",
    "timeless": "`true`: reference data, fit for a question of any time; not with `eventTime`",
    "knownAt": "the property that says when the values of a row became known. Default: its `eventTime`",
    "quarantineLimit": f"the share of rows that may break the contract before nothing is published. Default: {contract.DEFAULT_QUARANTINE_LIMIT}",
}
ON_PROPERTY = {
    "unit": "a text such as `hours` or `usd`",
    "knownAt": "the property that says when this value became known",
}
ON_CONTRACT = {
    "quarantineLimit": "as on the schema object, which comes first",
    "license": "of the product; Dagster shows it",
}
ACTED_ON = [
    ("`version`", "its first number is the major version that a narrative asks for"),
    ("`name`", "the title; the description is the schema object's, else `description.purpose`"),
    ("`team`", "the member with role `owner` owns the product"),
    ("`description.limitations`", "Dagster shows them"),
    ("`slaProperties`", "`freshness` (or `latency`) warns when the newest row is too old; `element` names the property, default `eventTime`"),
]
OF_PROPERTY = [
    ("`logicalType`", "the type, see below"),
    ("`primaryKey`, `primaryKeyPosition`", "the key of a row; positions count from 1 and are needed for more than one property"),
    ("`required`", "no row without a value"),
    ("`unique`", "no two rows with the same value; rows without one are not compared"),
    ("`enum`", "the allowed values; the `label` of each is what the filter `label` prints"),
    ("`logicalTypeOptions`", "`minLength`, `maxLength`, `pattern`, `format`, `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `minItems`, `maxItems`, `uniqueItems`. Inside objects and arrays only types and `required` are audited"),
    ("`classification`", "see below"),
    ("`relationships`", "the row of another product that this value names, also of another domain: `to: <domain>/<product>.odcs.yaml#/schema/<object>/properties/<property>`. Not audited: it lets a link leave out `on`"),
    ("`quality`", "see below"),
]
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
    "string": Text(),
    "integer": Integer(),
    "number": Float(),
    "boolean": Boolean(),
    "date": Date(),
    "timestamp": Timestamp(),
}


def contracts() -> str:
    meaning = ["property", "meaning"]
    typed = [[code(name), code(arrow_type(kind)), ""] for name, kind in TYPES.items()]
    typed[2][2] = f"exact with a `physicalType` such as `decimal(12,2)` ({code(arrow_type(Decimal(12, 2)))}), else binary"
    typed[5][2] = "in UTC"
    typed.append([code("array"), "a list", "`items` says of what"])
    typed.append([code("object"), "a struct", "`properties` says of what"])
    if {row[0] for row in typed} != {code(name) for name in contract.TYPES}:
        raise ValueError("the types of a contract have changed")
    parts = [
        CONTRACT,
        "On the schema object:\n",
        _names(meaning, contract._OBJECT_PROPERTIES, ON_OBJECT),
        "On a property:\n",
        _names(meaning, contract._PROPERTY_PROPERTIES, ON_PROPERTY),
        "On the contract:\n",
        _names(meaning, contract._CONTRACT_PROPERTIES, ON_CONTRACT),
        "Without `eventTime` and without `timeless: true` nothing says when a row became true: only stories in hindsight may "
        "use it. The end of an interval is known when it comes, unless its property has a `knownAt` of its own.\n",
        "## The contract\n",
        table(["field", "what it does"], ACTED_ON),
        "## A property\n",
        table(["field", "what it does"], OF_PROPERTY),
        "### Types\n",
        table(["`logicalType`", "stored as (Arrow)", ""], typed),
        "### Formats\n",
        f"Of a `string`: {', '.join(map(code, option.FORMATS))}. Of an `integer`: {', '.join(map(code, option.RANGES))}. A date or a "
        "timestamp is read in ISO 8601.\n",
        "### Classification\n",
        _names(["classification", "meaning"], contract.CLASSIFICATIONS, CLASSIFIED),
        "## Quality rules\n",
        "`type: library` (the default) measures one of these and compares it with one operator; `unit` is `rows` or `percent`:\n",
        _names(["metric", "measures"], get_args(rule.Metric), METRICS),
        f"The operators are {', '.join(map(code, rule.OPERATORS))}.\n",
        "`type: sql` has a `query` over `${table}` that gives one value, and an operator. `type: custom` with `engine: "
        "greatExpectations` has an `implementation` with the `type` of an expectation and its `kwargs`; other engines are not "
        "run, with a warning. `type: text` is prose. A rule of `severity` `info`, `warning`, `warn`, `low` or `minor` only "
        "warns.\n",
        "## What happens to a row that breaks it\n",
        "`required`, the key, `unique`, types, `enum`, `logicalTypeOptions` and quality rules about single rows quarantine the "
        "row, with its reasons; the others go on. When more than `quarantineLimit` of the rows break the contract, or a rule "
        "about the table does not hold, nothing is published and readers keep what they had: [Run and "
        "repair](../how-to/run-and-repair.md).\n",
    ]
    return "\n".join(parts)


def _names(head: Iterable[str], names: Iterable[str], words: Mapping[str, str]) -> str:
    return table(head, ([code(name), text] for name, text in explained(names, words, "contract")))


# --- commands ---

COMMANDS = """\
# Commands

Every command takes `--mesh DIR`; without it, the mesh root is the folder at or above the current one that has
`domains/`, `contracts/` and `narratives/`. A finding prints as `path:line:column: error[rule]: words (hint)`. An error
that nobody expected is one line and a log file; `STORYMESH_DEBUG=1` shows its traceback.

| exit code | meaning |
| --- | --- |
| 0 | fine; warnings count as fine |
| 1 | findings, or something was refused |
| 2 | wrong usage |
| 3 | a defect of storymesh |
"""
VARIABLES = {
    "STORYMESH_PSEUDONYM_KEY": "the key of the pseudonyms; without it, one is made and kept in the mesh's store",
    "STORYMESH_MEMORY": "memory for the engine, default `4GB`; beyond it, it writes to disk",
    "STORYMESH_THREADS": "threads of the engine, default: one for each core",
    "STORYMESH_DEBUG": "`1`: errors that nobody expected are shown with their traceback",
    "DAGSTER_HOME": "where runs are remembered, default `.storymesh/dagster`",
}


def commands() -> str:
    group: Any = typer.main.get_command(app)
    parts = [COMMANDS]
    for name, command in group.commands.items():
        if command.hidden:
            continue
        context = command.context_class(command, info_name=f"storymesh {name}", terminal_width=100, max_content_width=100)
        parts.append(f"## storymesh {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    parts.append("## Environment variables\n")
    parts.append(table(["variable", "meaning"], ([code(name), words] for name, words in VARIABLES.items())))
    return "\n".join(parts)
