"""How the values that a release tells were taken from files: quoted, found, taken or judged.

A value that a model judged is proven by nothing (law 10), so whoever learns from the records is told how many are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine import dialect
from storymesh.release.manifest import EvidenceSummary, ReleaseManifest

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from storymesh.dataset.build import Build
    from storymesh.engine.engine import Engine

EvidenceCounts = Mapping[str, EvidenceSummary]


def count_evidence(build: "Build", engine: "Engine", config: str, files: Sequence[Path]) -> EvidenceCounts:
    """Return `<product>.<property>` -> how the values were taken that the records of a config in `files` read: each
    value of each row behind each record. Of a premise of which nothing leaves but by a rule no evidence is read."""
    from storymesh.narrative.used_columns import record_columns
    from storymesh.provenance.file_evidence import EvidenceLookup

    lookup = EvidenceLookup(build, engine)
    if not (roles := [role for role in build.contracts if lookup.has_evidence(role)]):
        return {}
    typed = build.typed
    columns_of = record_columns(typed.cast, typed.case, typed.records[config])
    read: dict[str, set[str]] = {}
    of_product: dict[str, str] = {}  # product -> a role of it
    for role in roles:
        product = build.snapshots[role].product
        of_product.setdefault(product, role)
        read.setdefault(product, set()).update(columns_of[role])
    sources = engine.read_parquet(files).select(source=lambda table: table["sources"].unnest())
    found: dict[str, EvidenceSummary] = {}
    for product, role in of_product.items():
        if not (columns := read[product] - {str(build.contracts[role].evidence)}):
            continue
        keys = sources.filter(sources["source"]["product"] == product).select(key=sources["source"]["key"])
        for column, summary in _summaries(build, engine, role, sorted(columns), keys).items():
            found[f"{product}.{column}"] = summary
    return found


def judged_shares(manifest: ReleaseManifest) -> dict[str, float]:
    """Return `<product>.<property>` -> the share of its values, over all configs, that a model judged, of each that has
    such."""
    totals: dict[str, list[int]] = {}
    for properties in manifest.evidence.values():
        for name, summary in properties.items():
            counts = totals.setdefault(name, [0, 0])
            counts[0] += summary.judged
            counts[1] += summary.values
    return {name: judged / values for name, (judged, values) in totals.items() if judged}


def _summaries(
    build: "Build", engine: "Engine", role: str, columns: Sequence[str], keys: "Table"
) -> dict[str, EvidenceSummary]:
    """Return property -> how its values were taken in the rows of a role that `keys` name, as often as they do."""
    import ibis

    from storymesh.case.link import KEY
    from storymesh.provenance.row_values import keyed_rows

    evidence = str(build.contracts[role].evidence)
    rows = keyed_rows(build, engine, role, [*columns, evidence])
    present = ibis.array([ibis.ifelse(rows[f"c_{name}"].notnull(), name, ibis.null("string")) for name in columns])
    told = dialect.materialization_barrier(rows.select(KEY, present=present, items=rows[f"c_{evidence}"]))
    items = told.select(KEY, "present", item=told["items"].unnest())
    known = items.filter(items["present"].contains(items["item"]["property"]))
    recognised = known["item"]["confidence"].notnull()
    named = known.select(KEY, property=known["item"]["property"], how=known["item"]["how"], recognised=recognised)
    times = keys.group_by("key").aggregate(times=keys.count())
    joined = named.join(times, named[KEY] == times["key"])
    counts = joined.group_by("property", "how", "recognised").aggregate(values=joined["times"].sum())
    found: dict[str, dict[str, int]] = {}
    for row in engine.fetch_rows(counts):
        of_property = found.setdefault(str(row["property"]), dict.fromkeys(EvidenceSummary.model_fields, 0))
        of_property[str(row["how"])] += int(row["values"])
        of_property["recognised"] += int(row["values"]) if row["recognised"] else 0
    return {name: EvidenceSummary(**found[name]) for name in columns if name in found}
