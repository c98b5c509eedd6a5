"""Dagster's metadata about the files of a product: figures for each run, and sample values with their evidence."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from storymesh.contract.definition import RESTRICTED, Contract, restricted_properties
from storymesh.files.place import describe_place
from storymesh.files.visible_evidence import visible_evidence
from storymesh.orchestration.assets.metadata import SAMPLE, counts_table, first_rows, markdown_table
from storymesh.orchestration.dagster_internals import DATA_VERSION_TAG

if TYPE_CHECKING:
    from storymesh.files.gathered_summary import GatheredSummary
    from storymesh.product.store import Snapshot


def gathered_files(
    key: dg.AssetKey, version: str | None, summary: "GatheredSummary", contract: Contract, snapshot: "Snapshot | None"
) -> dg.AssetMaterialization:
    """Return the metadata of the files after a run has read them, with some published values. Dagster plots the history
    of numbers. The files are those of the observed `version`."""
    metadata: dict[str, Any] = {
        "files": summary.files,
        "files_with_rows": summary.with_rows,
        "files_without_rows": summary.without_rows,
        "files_refused": summary.refused,
        "files_that_kept_earlier_rows": summary.kept,
        "opened": summary.opened,
        "read": summary.read,
    }
    for name, noun, counts in (
        ("refused_for", "reason", summary.reasons),
        ("attachments", "what became of them", summary.attachments),
        ("rows_that_the_files_do_not_say", "reason", summary.refused_rows),
    ):
        if counts:
            metadata[name] = counts_table(noun, counts)
    metadata |= {f"refused: {reason}": count for reason, count in summary.reasons.items()}
    if (usage := summary.usage) is not None:
        metadata |= {
            "calls": usage.calls,
            "answers_paid_before": usage.reused,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "tokens_estimated": usage.estimated,
        }
        metadata |= {} if usage.usd is None else {"cost_usd": float(usage.usd)}
    if snapshot is not None and (sample := evidence_sample(snapshot.files, contract)):
        metadata[SAMPLE] = dg.MetadataValue.md(sample)
    return dg.AssetMaterialization(key, metadata=metadata, tags={} if version is None else {DATA_VERSION_TAG: version})


def evidence_sample(files: Sequence[str], contract: Contract) -> str:
    """Return sample values of published rows with their evidence, as a Markdown table: never more than the contract
    lets people see; empty without evidence or rows."""
    if contract.evidence is None or contract.evidence in (masked := restricted_properties(contract)):
        return ""
    told = [
        [_cell(row, contract.key, masked), *_values(row, item, masked), *_words(visible_evidence(contract, item))]
        for row in first_rows(files, list(contract.properties))
        for item in row[contract.evidence] or ()
        if item["property"] in contract.properties
    ]
    return markdown_table(["row", "property", "value", "how", "quote", "where"], told) if told else ""


def _cell(row: Mapping[str, Any], key: Sequence[str], masked: frozenset[str]) -> str:
    return "/".join(RESTRICTED if name in masked else str(row[name]) for name in key)


def _values(row: Mapping[str, Any], item: Mapping[str, Any], masked: frozenset[str]) -> list[Any]:
    name = item["property"]
    return [name, RESTRICTED if name in masked else row[name]]


def _words(item: Mapping[str, Any]) -> list[Any]:
    where = ", ".join(filter(None, (item.get("uri"), describe_place(item))))
    return [item["how"], item.get("quote"), where]
