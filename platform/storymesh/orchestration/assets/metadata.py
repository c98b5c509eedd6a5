"""Dagster's metadata about assets: owners, tags, columns, samples and counts."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from storymesh.contract.definition import RESTRICTED, Contract, Property, restricted_properties
from storymesh.location import Location
from storymesh.narrative.formats import format_of_columns
from storymesh.product.definition import Product

SAMPLE = "sample"  # the metadata that shows rows, which `sample_erasure` takes out again
SAMPLE_ROWS = 5
STORY_CHARACTERS = 4_000
BAR = 30  # characters of the longest bar of a plot
_CELL = 80
_EIGHTHS = " ▏▎▍▌▋▊▉"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]+")


def asset_owners(*owners: str | None) -> list[str]:
    """Return the first owner that is given: an email address as it is, any other name as a team."""
    for owner in owners:
        if owner:
            return [owner if _EMAIL.fullmatch(owner) else f"team:{owner.removeprefix('team:')}"]
    return []


def asset_tags(names: Iterable[str]) -> dict[str, str]:
    """Return tags as Dagster allows them: letters, digits, `_`, `-` and `.`, at most 63 characters."""
    tags = (_NOT_IN_TAGS.sub("-", name).strip("-_.")[:63] for name in names)
    return {tag: "" for tag in tags if tag}


def column_schema(contract: Contract) -> dg.TableSchema:
    """Return the contract's properties as a column schema; what it promises besides the type is in the constraints."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=item.name,
                type=str(item.type),
                description=item.description or item.title or None,
                constraints=dg.TableColumnConstraints(
                    nullable=item.field.nullable,
                    unique=item.unique or contract.key == (item.name,),
                    other=list(_constraints(item, contract)),
                ),
                tags={
                    "classification": item.classification,
                    **({"unit": item.unit} if item.unit else {}),
                },
            )
            for item in contract.properties.values()
        ]
    )


def _constraints(item: Property, contract: Contract) -> Iterable[str]:
    if item.key_position is not None:
        yield "part of the key" if len(contract.key) > 1 else "the key"
    if item.name == contract.event_time:
        yield "event time"
    if item.name == contract.end_time:
        yield "end time"
    if item.known_at is not None:
        yield f"known at {item.known_at}"
    for option, value in item.options.items():
        yield f"{option}: {value}"
    if item.enum:
        yield f"one of {', '.join(str(value) for value in item.enum)}"


def code_references(root: Path, locations: Mapping[str, Location]) -> dg.CodeReferencesMetadataValue:
    """Return links to files that people write: label -> location."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # the classes are in beta; nobody here can change that
        return dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path=str(root / location.path), line_number=location.line, label=label)
                for label, location in locations.items()
            ]
        )


def definition_metadata(root: Path, product: Product, contract: Contract) -> dict[str, Any]:
    """Return the metadata of a product's asset about its files and its contract."""
    return {
        "dagster/column_schema": column_schema(contract),
        "dagster/code_references": code_references(root, {"contract": contract.location, "product": product.location}),
        "contract": dg.MetadataValue.path(contract.location.path),
        "contract_version": contract.version,
        "license": contract.license or "",
    }


def sample_table(files: Sequence[str], contract: Contract) -> dg.MetadataValue[Any]:
    """Return the first rows of published files as a Markdown table; restricted values are masked, and the evidence of
    the others is left out."""
    names = [name for name in contract.properties if name != contract.evidence]
    masked = restricted_properties(contract)
    shown = first_rows(files, names)
    values = [[RESTRICTED if name in masked else row[name] for name in names] for row in shown]
    return dg.MetadataValue.md(markdown_table(names, values))


def first_rows(files: Sequence[str], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the first rows of published files, some of their columns."""
    import pyarrow.parquet as pq

    found: list[Mapping[str, Any]] = []
    for file in files:
        for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(batch_size=SAMPLE_ROWS, columns=list(names)):
            found += batch.to_pylist()
            break
        if len(found) >= SAMPLE_ROWS:
            break
    return found[:SAMPLE_ROWS]


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; long cells are cut, and what Markdown would read as markup is escaped."""
    lines = [_line(names), _line(["---"] * len(names))]
    lines += [_line([_cell(value) for value in row]) for row in rows]
    return "\n".join(lines)


def counts_table(noun: str, counts: Mapping[str, int]) -> dg.MetadataValue[Any]:
    """Return counts as a Markdown table, the largest first; `noun` heads the column of names."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dg.MetadataValue.md(markdown_table([noun, "count"], [(name, f"{count:,}") for name, count in ordered]))


def bar_chart(counts: Mapping[str, int]) -> str:
    """Return counts as bars of block characters, in their own order: a plot that every reader of Markdown shows."""
    if not counts:
        return ""
    longest, most = max(map(len, counts)), max(counts.values())
    figures = [f"{count:,}" for count in counts.values()]
    right = max(map(len, figures))
    lines = []
    for (name, count), figure in zip(counts.items(), figures, strict=True):
        eighths = round(8 * BAR * count / most) if most else 0
        bar = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if count else "")
        lines.append(f"{name:<{longest}}  {figure:>{right}}  {bar or ('▏' if count else '')}")
    return "\n".join(["```text", *(line.rstrip() for line in lines), "```"])


def column_lineage_metadata(columns: Mapping[str, Iterable[tuple[dg.AssetKey, str]]]) -> dg.TableColumnLineage:
    """Return the lineage of columns; `columns` maps each to the columns of other assets that it is made from."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=key, column_name=name) for key, name in sources]
            for column, sources in columns.items()
        }
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = " ".join(str(value).split())
    text = text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
    return re.sub(r"([\\|`*_\[\]<>#])", r"\\\1", text)


def records_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return records as Markdown that shows their texts as they are: each on its own, under the id of its record."""
    from storymesh.release.card.markdown import escape_text

    if not any(_texts(row) for row in rows):
        names = list(rows[0])
        return markdown_table(names, [[row[name] for name in names] for row in rows])
    parts: list[str] = []
    for row in rows:
        parts.append(f"### {escape_text(row.get('id', row.get('case_id', '')))}")
        for name, text in _texts(row):
            quoted = "\n".join(f"> {escape_text(line)}" for line in text[:STORY_CHARACTERS].splitlines())
            parts.append(f"**{escape_text(name)}**\n\n{quoted}")
    return "\n\n".join(parts)


def _texts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the texts of a record by name, none for a row that is no record."""
    format_ = format_of_columns(row)
    if format_ is None:
        return []
    return [
        (text.name if text.name == text.column else f"{text.column}: {text.name}", content)
        for text, content in format_.texts_in(row)
    ]
