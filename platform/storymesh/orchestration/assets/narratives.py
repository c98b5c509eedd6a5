"""A narrative as assets: cases, precedents, the records of each config, and the release.

The cases pin a snapshot of each product, and the key of that pinning is the value that flows on: whatever is published
meanwhile, precedents, records and release are made from exactly what the cases were made from.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from storymesh.dataset.build import Build
from storymesh.dataset.split import SPLITS
from storymesh.dataset.stages import ReportProgress, StageResult, write_cases, write_precedents, write_records
from storymesh.document import path_in_mesh
from storymesh.errors import StorymeshError
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.snapshot_pinning import open_pinned_build, pin_build
from storymesh.narrative.definition import Narrative
from storymesh.orchestration.assets.automation import remade_with_inputs
from storymesh.orchestration.assets.keys import cases_key, precedents_key, product_key, records_key, release_key
from storymesh.orchestration.assets.metadata import (
    SAMPLE,
    asset_owners,
    bar_chart,
    code_references,
    column_lineage_metadata,
    counts_table,
    markdown_table,
    records_markdown,
)
from storymesh.orchestration.assets.states import code_version
from storymesh.orchestration.assets.transfers import transfer_metadata
from storymesh.orchestration.failures import as_dagster_failure, asset_failures
from storymesh.orchestration.progress import progress_reporter
from storymesh.release.catalog import Release, list_releases
from storymesh.release.layout import REPORT
from storymesh.release.refusal import LeakRefused
from storymesh.release.release_warnings import release_warnings
from storymesh.release.write import write_release

if TYPE_CHECKING:  # with ibis, which only a step that makes something needs
    from storymesh.provenance.trace import Tracer
    from storymesh.release.rewritten_records import RewrittenStageResult

CERTIFICATE = "certificate"
GROUNDING = "grounding"
GROUNDING_WORDS = "What a model tells of each record is what its story says, in words that are allowed."
CERTIFICATE_WORDS = "no split of the release leaks into another, counted again from its files"


class ReleaseConfig(dg.Config):
    """The configuration of how a release is written."""

    shard_rows: int | None = Field(
        default=None,
        gt=0,
        description="At most so many records in a Parquet file. Left out: as the narrative says. No digest changes.",
    )


def narrative_assets(mesh: Mesh, narrative: Narrative) -> list[dg.AssetsDefinition]:
    """Return the assets of one narrative, in the order in which they are made."""
    configs = list(narrative.records)
    assets = [_cases(mesh, narrative)]
    if narrative.case.precedents is not None:
        assets.append(_precedents(mesh, narrative))
    assets += [_records(mesh, narrative, config) for config in configs]
    return [*assets, _release(mesh, narrative, configs)]


def _cases(mesh: Mesh, narrative: Narrative) -> dg.AssetsDefinition:
    products = dict.fromkeys(member.product for member in narrative.cast.values())

    @_asset(
        mesh,
        narrative,
        cases_key(narrative),
        deps=[product_key(product) for product in products],
        description=f"{narrative.title}: one row for each `{narrative.case.anchor}`, with everything linked to it.",
        kinds={"duckdb", "parquet"},
    )
    def cases(context: dg.AssetExecutionContext) -> dg.MaterializeResult[str]:
        with asset_failures(context):
            build = pin_build(mesh, narrative, fetch=True)
            written = write_cases(build, progress_reporter(context))
        cast = {"cast": _cast_table(build), "dagster/column_lineage": _lineage(build)}
        return _result(mesh, build, written, cast | transfer_metadata(mesh, narrative))

    return cases


def _precedents(mesh: Mesh, narrative: Narrative) -> dg.AssetsDefinition:
    @_asset(
        mesh,
        narrative,
        precedents_key(narrative),
        ins={"key": dg.AssetIn(key=cases_key(narrative))},
        description="For each case what was done before in cases like it, and whether it worked.",
        kinds={"duckdb", "parquet"},
    )
    def precedents(context: dg.AssetExecutionContext, key: str) -> dg.MaterializeResult[str]:
        with asset_failures(context):
            build = open_pinned_build(mesh, narrative, key)
            written = write_precedents(build, progress_reporter(context))
        return _result(mesh, build, written)

    return precedents


def _records(mesh: Mesh, narrative: Narrative, config: str) -> dg.AssetsDefinition:
    upstream = precedents_key(narrative) if narrative.case.precedents is not None else cases_key(narrative)
    asset_key, retold = records_key(narrative, config), narrative.records[config].narrator is not None

    @_asset(
        mesh,
        narrative,
        asset_key,
        ins={"key": dg.AssetIn(key=upstream)},
        description=_description(narrative, config),
        kinds={"langchain", "parquet"} if retold else {"parquet"},
        check_specs=[dg.AssetCheckSpec(GROUNDING, asset=asset_key, description=GROUNDING_WORDS)] if retold else (),
    )
    def records(context: dg.AssetExecutionContext, key: str) -> Iterator[dg.Output[str] | dg.AssetCheckResult]:
        with asset_failures(context):
            build = open_pinned_build(mesh, narrative, key)
            progress = progress_reporter(context)
            rewritten = _write_rewritten(build, config, progress) if retold else None
            written = rewritten or write_records(build, config, progress)
        more = _rewriting_metadata(mesh, build.files.answers(config), rewritten) if rewritten else {}
        result = _result(mesh, build, written, more)
        yield dg.Output(result.value, metadata=result.metadata, data_version=result.data_version)
        if rewritten:
            yield _grounding_check(asset_key, rewritten)

    return records


def _write_rewritten(build: Build, config: str, progress: ReportProgress) -> "RewrittenStageResult":
    from storymesh.release.rewritten_records import RewrittenStageResult, write_config_records

    written = write_config_records(build, config, progress)
    assert isinstance(written, RewrittenStageResult)
    return written


def _grounding_check(key: dg.AssetKey, written: "RewrittenStageResult") -> dg.AssetCheckResult:
    refused = sum(written.refused.values())
    if written.missing is not None:
        message = f"nothing is retold: {written.missing}"
    elif refused:
        kinds = ", ".join(f"{kind}: {count:,}" for kind, count in written.refused.items())
        message = f"{refused:,} of {written.texts:,} texts were not accepted ({kinds})"
    else:
        message = f"all {written.texts:,} texts say what their stories say"
    metadata = {
        "texts": written.texts,
        **written.refused,
        **({} if written.score is None else {"score": written.score}),
    }
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=GROUNDING,
        passed=written.missing is None and not refused,
        severity=dg.AssetCheckSeverity.WARN,
        description=message,
        metadata=metadata,
    )


def _description(narrative: Narrative, config: str) -> str:
    record = narrative.records[config]
    if record.narrator is None:
        return f"The records of the config `{config}`, in the format {record.format}."
    return f"The records of `{record.from_}` as {record.narrator.model} retells them, held against their stories."


def _release(mesh: Mesh, narrative: Narrative, configs: Sequence[str]) -> dg.AssetsDefinition:
    key = release_key(narrative)

    @_asset(
        mesh,
        narrative,
        key,
        ins={f"key_of_{config}": dg.AssetIn(key=records_key(narrative, config)) for config in configs},
        description=f"{narrative.title}: an immutable version of the dataset, as Hugging Face `datasets` reads it.",
        kinds={"huggingface", "parquet"},
        check_specs=[dg.AssetCheckSpec(CERTIFICATE, asset=key, description=CERTIFICATE_WORDS)],
    )
    def release(
        context: dg.AssetExecutionContext, config: ReleaseConfig, **keys: str
    ) -> Iterator[dg.AssetCheckResult | dg.Output[None]]:
        with asset_failures(context):
            build = open_pinned_build(mesh, narrative, _common_build_key(narrative, keys))
            before = list_releases(mesh.releases, narrative.id)
            try:
                released = write_release(build, shard_rows=config.shard_rows, open_tracer=lambda: _tracer(build))
            except LeakRefused as refused:
                yield _certificate_check(key, refused.certificate)
                raise as_dagster_failure(refused) from None
            since = _changes_since(mesh, before[-1], released) if before and not released.unchanged else None
            metadata = _release_metadata(mesh, released, since)
            yield dg.Output(None, metadata=metadata, data_version=dg.DataVersion(released.digest))
            yield _certificate_check(key, released.manifest.certificate)

    return release


def _tracer(build: Build) -> "Tracer":
    from storymesh.provenance.trace import Tracer

    return Tracer(build)


def _certificate_check(key: dg.AssetKey, certificate: Mapping[str, int]) -> dg.AssetCheckResult:
    broken = {promise: count for promise, count in certificate.items() if count}
    message = ", ".join(f"{promise}: {count:,}" for promise, count in broken.items()) or "no split leaks into another"
    return dg.AssetCheckResult(
        asset_key=key, check_name=CERTIFICATE, passed=not broken, description=message, metadata=dict(certificate)
    )


def _changes_since(mesh: Mesh, old: Release, new: Release) -> str:
    """Return what differs from the release before, and why, as Markdown."""
    from storymesh.lifecycle.diff import compare_releases

    found = compare_releases(old, new, mesh.open_engine, limit=0)
    names = ("config", "rows", "added", "gone", "changed", "same")
    rows = []
    for config in found.configs:
        was, now = (sum(counts[side] for counts in config.rows.values()) for side in (0, 1))
        counts = (config.added, config.gone, config.changed, config.same)
        rows.append((config.config, f"{was:,} → {now:,}", *(f"{count:,}" for count in counts)))
    why = [(cause.what, cause.name, _or_dash(cause.old), _or_dash(cause.new)) for cause in found.causes]
    parts = [f"{old.version} → {new.version}", markdown_table(names, rows)]
    return "\n\n".join([*parts, markdown_table(("why", "name", "was", "is"), why)] if why else parts)


def _or_dash(value: str | None) -> str:
    return "-" if value is None else value


def _common_build_key(narrative: Narrative, keys: Mapping[str, str]) -> str:
    """Return the key of the build that all records were made from. Raises StorymeshError when there are several."""
    if len(set(keys.values())) > 1:
        origins = ", ".join(f"{name.removeprefix('key_of_')} from {key}" for name, key in sorted(keys.items()))
        message = f"the records of '{narrative.id}' were made from different cases: {origins}"
        raise StorymeshError(message, "materialise all of them from the same cases")
    return next(iter(keys.values()))


def _asset(
    mesh: Mesh,
    narrative: Narrative,
    key: dg.AssetKey,
    *,
    description: str,
    kinds: set[str],
    ins: Mapping[str, dg.AssetIn] | None = None,
    deps: Sequence[dg.AssetKey] = (),
    check_specs: Sequence[dg.AssetCheckSpec] = (),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return `dg.asset` with what all assets of a narrative have in common.

    They share the build's folder, so that one pool makes one at a time.
    """
    return dg.asset(
        key=key,
        description=description,
        kinds=kinds,
        ins=ins,
        deps=deps,
        check_specs=check_specs,
        group_name=narrative.name,
        owners=asset_owners(narrative.owner),
        pool=narrative.name,
        code_version=code_version(mesh, narrative),
        automation_condition=remade_with_inputs(definition=True),
        metadata={"dagster/code_references": code_references(mesh.root, {"narrative": narrative.at()})},
    )


def _result(
    mesh: Mesh, build: Build, written: StageResult, more: Mapping[str, Any] | None = None
) -> dg.MaterializeResult[str]:
    metadata: dict[str, Any] = {"dagster/row_count": written.rows}
    if written.sample and not mesh.residency.keeps_records(build.narrative.id):  # what people come for stands first
        metadata[SAMPLE] = dg.MetadataValue.md(records_markdown(written.sample))
    if written.drops:
        metadata["drops_by_reason"] = counts_table("reason", written.drops)
        metadata["drops_plot"] = dg.MetadataValue.md(bar_chart(written.drops))
    metadata |= {
        "unchanged": written.unchanged,
        "seconds": round(written.seconds, 2),
        "build": build.key,
        "file": dg.MetadataValue.path(path_in_mesh(written.path, mesh.root)),
        "dropped": sum(written.drops.values()),
        "drops": dg.MetadataValue.json(dict(written.drops)),
        **(more or {}),
    }
    return dg.MaterializeResult(value=build.key, metadata=metadata, data_version=dg.DataVersion(build.key))


def _rewriting_metadata(mesh: Mesh, answers: Path, written: "RewrittenStageResult") -> dict[str, Any]:
    """Return the calls, tokens and cost of retelling, or why nothing was retold, and where the answers are kept."""
    if written.missing is not None:
        return {"not_retold": written.missing}
    usage, location = written.usage, {"answers": dg.MetadataValue.path(path_in_mesh(answers, mesh.root))}
    if usage is None:
        return location
    cost = {} if usage.usd is None else {"cost_usd": float(usage.usd)}
    return {
        "retold": usage.accepted,
        "calls": usage.calls,
        "answers_paid_before": usage.reused,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "tokens_estimated": usage.estimated,
        **cost,
        **location,
    }


def _lineage(build: Build) -> dg.TableColumnLineage:
    """Return the lineage of cases: each role with the columns of its product that are carried into it."""
    return column_lineage_metadata(
        {
            role: [(product_key(snapshot.product), name) for name in sorted(build.typed.columns[role])]
            for role, snapshot in build.snapshots.items()
            if role in build.typed.columns
        }
    )


def _cast_table(build: Build) -> dg.MetadataValue[Any]:
    rows = [
        (role, snapshot.product, snapshot.version[:12], f"{snapshot.rows:,}")
        for role, snapshot in build.snapshots.items()
    ]
    return dg.MetadataValue.md(markdown_table(["role", "product", "version", "rows"], rows))


def _release_metadata(mesh: Mesh, release: Release, since: str | None) -> dict[str, Any]:
    splits = [split for split in SPLITS if any(split in counts for counts in release.configs.values())]
    counts = [[config, *(f"{rows.get(split, 0):,}" for split in splits)] for config, rows in release.configs.items()]
    drops = [
        (what, reason, f"{count:,}") for what, reasons in release.drops.items() for reason, count in reasons.items()
    ]
    return {
        "version": release.version,
        "unchanged": release.unchanged,
        "digest": release.digest,
        "path": dg.MetadataValue.path(path_in_mesh(release.path, mesh.root)),
        "dagster/row_count": sum(sum(rows.values()) for rows in release.configs.values()),
        **({"since_the_last": dg.MetadataValue.md(since)} if since is not None else {}),
        "records": dg.MetadataValue.md(markdown_table(["config", *splits], counts)),
        "records_plot": dg.MetadataValue.md(bar_chart(_plot_counts(release.configs))),
        "card": dg.MetadataValue.path(path_in_mesh(release.path / "README.md", mesh.root)),
        "report": dg.MetadataValue.path(path_in_mesh(release.path / REPORT, mesh.root)),
        "drops_by_reason": dg.MetadataValue.md(markdown_table(["of", "reason", "count"], drops)),
        "configs": dg.MetadataValue.json({config: dict(rows) for config, rows in release.configs.items()}),
        "drops": dg.MetadataValue.json({what: dict(reasons) for what, reasons in release.drops.items()}),
        "warnings": dg.MetadataValue.json(list(release_warnings(release.manifest))),
    }


def _plot_counts(configs: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {f"{config} {split}": count for config, rows in configs.items() for split, count in rows.items()}
