"""report.html, rendered: one file that needs no network, with its style and script inside.

Its content security policy lets nothing else run. Everything that others wrote is escaped by the template; nothing of
it becomes an attribute that acts, a style or a script.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.dataset.split import SPLITS
from storymesh.dataset.tables import judged_outcomes
from storymesh.engine.engine import Engine
from storymesh.release.description import PROMISES, ReleaseDescription, describe_links, internal_paths
from storymesh.release.release_warnings import release_warnings
from storymesh.release.report.charts import chart_lengths, chart_months, chart_scores, count_actions, take_in_turn
from storymesh.release.report.page import render_page
from storymesh.release.report.stories import Story, build_story
from storymesh.release.split_balance import split_balances

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from storymesh.dataset.build import Build
    from storymesh.provenance.trace import Tracer

TEMPLATE = Path(__file__).with_name("report.html.jinja")

STORIES = 10  # of a config
MIN_STORIES = 2
MAX_PAGE_BYTES = 1_500_000  # bytes
COLORS = 8

Files = Mapping[str, Mapping[str, Sequence[Path]]]  # config -> split -> shards
OpenTracer = Callable[[], "Tracer"]


def render_report(
    description: ReleaseDescription,
    build: "Build",
    engine: Engine,
    files: Files,
    open_tracer: OpenTracer | None,
) -> str:
    """Return report.html. Without `open_tracer` the values of its stories do not lead back to their rows."""
    colors: dict[str, int] = {}
    for member in description.manifest.cast.values():
        colors.setdefault(member.product, len(colors) % COLORS)
    variables = {**_variables(description), **_charts(description, build, engine)}
    with open_tracer() if open_tracer is not None else nullcontext() as tracer:
        stories = sample_stories(engine, files, tracer, colors)
    most = STORIES
    while True:
        shown = {config: every[:most] for config, every in stories.items()}
        page = render_page(TEMPLATE, stories=shown, traced=open_tracer is not None, colors=colors, **variables)
        if most <= MIN_STORIES or len(page.encode()) <= MAX_PAGE_BYTES:
            return page
        most -= 2


def _variables(description: ReleaseDescription) -> dict[str, Any]:
    narrative, manifest = description.narrative, description.manifest
    return {
        "narrative": narrative,
        "version": manifest.version,
        "manifest": manifest,
        "internal": internal_paths(narrative, description.contracts, description.schemas),
        "formats": {config: format_.purpose for config, format_ in description.formats.items()},
        "splits": SPLITS if narrative.dataset.split else SPLITS[:1],
        "totals": {config: sum(rows.values()) for config, rows in manifest.configs.items()},
        "diversity": description.diversity,
        "promises": PROMISES,
        "balances": split_balances(manifest),
        "warnings": release_warnings(manifest),
        "links": describe_links(narrative),
        "owners": {role: contract.owner for role, contract in description.contracts.items()},
        "citation": description.citation,
    }


def _charts(description: ReleaseDescription, build: "Build", engine: Engine) -> dict[str, Any]:
    cases = _cases_with_splits(engine, build)
    kept = cases.filter(cases["split"].notnull())
    statuses = kept.group_by("status").aggregate(rows=kept.count())
    outcomes = judged_outcomes(build, engine)
    actions, others = count_actions(engine, outcomes) if outcomes is not None else ((), 0)
    splits = SPLITS if description.narrative.dataset.split else SPLITS[:1]
    return {
        "statuses": {row["status"]: row["rows"] for row in engine.fetch_rows(statuses)},
        "actions": actions,
        "others": others,
        "judged": outcomes is not None,
        "expressions": outcomes.expressions if outcomes is not None else {},
        "scores": chart_scores(engine, outcomes) if outcomes is not None else None,
        "lengths": {config: chart_lengths(lengths) for config, lengths in description.lengths.items()},
        "months": chart_months(engine, cases, splits),
    }


def _cases_with_splits(engine: Engine, build: "Build") -> "Table":
    """Return at, status and split of every case."""
    cases, splits = engine.read_parquet(build.files.cases), engine.read_parquet(build.files.splits)
    placed = splits.select(placed="case_id", split="split")
    return cases.left_join(placed, cases["case_id"] == placed["placed"]).select("at", "status", "split")


def sample_stories(
    engine: Engine, files: Files, tracer: "Tracer | None", colors: Mapping[str, int], most: int = STORIES
) -> dict[str, tuple[Story, ...]]:
    """Return `most` records of each config from all its splits, by the MD5 of their cases: so configs show the same."""
    chosen = {config: _chosen_records(engine, splits, most) for config, splits in files.items()}
    if tracer is not None:
        tracer.preload_cases({record["case_id"] for records in chosen.values() for record in records})
    return {config: tuple(_stories(config, records, tracer, colors)) for config, records in chosen.items()}


def _stories(
    config: str, records: Sequence[Mapping[str, Any]], tracer: "Tracer | None", colors: Mapping[str, int]
) -> Iterator[Story]:
    traces = {}
    if tracer is not None and records:
        traces = {trace.case_id: trace for trace in tracer.trace_records(config, records)}
    for number, record in enumerate(records):
        yield build_story(f"{_html_id(config)}-{number}", record, traces.get(record["case_id"]), colors)


def _chosen_records(engine: Engine, splits: Mapping[str, Sequence[Path]], most: int) -> list[Mapping[str, Any]]:
    """Return at most `most` records from all splits, with their `split` and without what they are made from."""
    import ibis

    if not splits:
        return []
    parts = []
    for split, paths in splits.items():
        rows = engine.read_parquet(paths).drop("facts", "sources")
        rows = rows.mutate(split=ibis.literal(split), place=rows["case_id"].hexdigest("md5"))
        parts.append(rows.order_by("place").limit(most))
    samples: dict[str, list[Mapping[str, Any]]] = {split: [] for split in splits}
    found = engine.fetch_rows(ibis.union(*parts))
    for row in sorted(found, key=lambda row: row["place"]):
        samples[row["split"]].append({name: value for name, value in row.items() if name != "place"})
    return list(take_in_turn(samples, most))


def _html_id(config: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in config)
