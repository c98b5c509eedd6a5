"""What storymesh finds against what the generator knows: links against true causes, advice against true odds.

    python -m benchmarks.truth --delays 1000 5000 20000 100000 200000

No model is asked: it measures what the data says before anything is told of it. benchmarks/README.md says what each
figure means.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.reference import CACHE, TRUTH, pinned, precedents_by_case, products

if TYPE_CHECKING:
    import duckdb

    from storymesh.dataset.build import Build

Figures = dict[str, Any]

LINKS = {
    "shipment": ("shipment_id", "shipments"),
    "resolution": ("resolution_id", "resolutions"),
    "disruption": ("disruption_id", "disruptions"),
}
"""Role -> the property that says which row it is, and its product."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = [1_000, 5_000, 20_000, 100_000, 200_000]
    parser.add_argument("--delays", type=int, nargs="+", default=sizes, help="(default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where products are kept (default: %(default)s)")
    parser.add_argument("--results", type=Path, help="write the figures here, as JSON")
    wanted = parser.parse_args()
    os.environ.setdefault("STORYMESH_PSEUDONYM_KEY", "benchmark")
    wanted.cache.mkdir(parents=True, exist_ok=True)
    figures: dict[str, list[Figures]] = {"links": [], "advice": []}
    for delays in wanted.delays:
        for name, rows in measured(products(delays, wanted.cache)).items():
            figures[name] += [{"delays": delays} | row for row in rows]
    print("\n\n".join(_table(rows) for rows in figures.values()))
    if wanted.results:
        wanted.results.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measured(folder: Path) -> Mapping[str, list[Figures]]:
    """`links` and `advice` of the cases that storymesh makes of the products in `folder`, beside their truth."""
    from storymesh.dataset.stages import write_cases, write_precedents
    from storymesh.engine.open import open_engine

    with tempfile.TemporaryDirectory(prefix="storymesh-truth-") as store:
        build = pinned(folder, Path(store))
        write_cases(build)
        write_precedents(build)
        with open_engine() as engine:
            db = engine.connection.con
            db.execute("SET enable_progress_bar = false")
            truth = folder / TRUTH
            db.execute(f"CREATE VIEW truth AS FROM '{truth}'")
            odds = truth.with_suffix(".odds" + truth.suffix)
            db.execute(f"CREATE VIEW odds AS SELECT *, round(100 * rate) AS percent_worked FROM '{odds}'")
            db.execute(f"CREATE VIEW answered AS FROM '{truth.with_suffix('.resolutions' + truth.suffix)}'")
            _views(engine, build)
            return {"links": list(links(db, folder)), "advice": list(advice(db))}


def _views(engine: Any, build: "Build") -> None:
    """seen: case_id and the ids of each role's rows in both views of time; favoured: what precedents speak for."""
    from storymesh.case.visibility import template_names

    cases = engine.read_parquet(build.files.cases)
    ids = {}
    for view in ("hindsight", "question"):
        names = template_names(cases, build.typed.cast, build.typed.case, view)
        for role, (key, _) in LINKS.items():
            rows, listed = names[role], names[role].type().is_array()
            ids[f"{role}_{view}"] = rows.map(lambda row, key=key: row[key]) if listed else rows[key]
    judged = cases["outcome"]["action"]
    engine.connection.con.execute(
        f"CREATE VIEW seen AS {engine.compile_sql(cases.select('case_id', judged=judged, **ids))}"
    )
    engine.connection.con.execute(f"""
        CREATE VIEW favoured AS
        SELECT case_id, split, precedents.enough AS enough, precedents.tried AS tried,
            precedents.best.action AS action
        FROM ({engine.compile_sql(precedents_by_case(build, engine))}) JOIN '{build.files.splits}' USING (case_id)
    """)


def links(db: "duckdb.DuckDBPyConnection", folder: Path) -> Iterator[Figures]:
    """Precision and recall of the pairs (case, row) that each link makes, from truth, answered, seen and products."""
    db.execute("""
        CREATE TEMP TABLE true_pairs AS
        SELECT 'disruption' AS role, delay_id AS case_id, disruption_id AS id FROM truth
        WHERE disruption_id IS NOT NULL
        UNION ALL SELECT 'shipment', delay_id, shipment_id FROM truth
        UNION ALL SELECT 'resolution', delay_id, resolution_id FROM answered
    """)
    # What was quarantined on its way nobody can link.
    db.execute("DELETE FROM true_pairs WHERE case_id NOT IN (SELECT case_id FROM seen)")
    for role, (key, product) in LINKS.items():
        published = f"SELECT {key} FROM '{folder / product}.parquet'"
        db.execute(f"DELETE FROM true_pairs WHERE role = '{role}' AND id NOT IN ({published})")
        # When a delay is detected nothing has been decided about it yet, so a question has no resolution.
        for view in ("hindsight", "question") if role == "disruption" else ("hindsight",):
            listed = f"{role}_{view}" if role != "shipment" else f"[{role}_{view}]"
            pairs = f"SELECT case_id, unnest({listed}) AS id FROM seen"
            yield _judged(db, role, f"the narrative's, {view}", f"SELECT * FROM ({pairs}) WHERE id IS NOT NULL")
    linked = f"""
        SELECT delay_id AS case_id, disruption_id AS id
        FROM '{folder / "shipment_delays.parquet"}' JOIN '{folder / "disruptions.parquet"}' USING (waterway)
    """
    yield _judged(db, "disruption", "same waterway, any time", linked)
    during = "WHERE detected_at >= started_at AND (ended_at IS NULL OR detected_at <= ended_at)"
    yield _judged(db, "disruption", "same waterway, no slack", linked + during)


def _judged(db: "duckdb.DuckDBPyConnection", role: str, link: str, pairs: str) -> Figures:
    db.execute(f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT case_id, id FROM true_pairs WHERE role = '{role}'")
    made, caused, right, true = db.execute(f"""
        SELECT
            (SELECT count(*) FROM ({pairs})),
            (SELECT count(*) FROM ({pairs}) WHERE case_id IN (SELECT case_id FROM wanted)),
            (SELECT count(*) FROM ({pairs}) JOIN wanted USING (case_id, id)),
            (SELECT count(*) FROM wanted)
    """).fetchall()[0]
    return {
        "role": role,
        "link": link,
        "linked": made,
        "true": true,
        "precision": right / made if made else None,
        "precision of those with a true row": right / caused if caused else None,
        "recall": right / true if true else None,
    }


CHOICES = {
    "precedents": "favoured.action",
    "frequent": "(SELECT mode(judged ORDER BY judged) FROM seen)",
    "desk": "truth.action_taken",
}
"""Who chooses -> the action that he chooses for a case. Chance is reckoned, not drawn."""


def advice(db: "duckdb.DuckDBPyConnection") -> Iterator[Figures]:
    """How often each choice is the truly best action and what it costs where it is not, over the cases with advice.

    Reads truth, odds, seen and favoured. For each choice `_best` is a share, `_points` and `_hours` are lost for each
    case: percent points of success, and expected hours.
    """
    chosen = ", ".join(f"{action} AS {name}" for name, action in CHOICES.items())
    db.execute(f"""
        CREATE TEMP TABLE chosen AS
        SELECT favoured.*, percent_best,
            hours_if_worked - hours_if_failed AS worth, {chosen}
        FROM favoured JOIN truth ON truth.delay_id = favoured.case_id
    """)
    db.execute("""
        CREATE TEMP TABLE chance AS
        SELECT case_id, avg(percent_worked) AS percent, avg((percent_worked = top)::INTEGER) AS best
        FROM (SELECT *, max(percent_worked) OVER (PARTITION BY case_id) AS top FROM odds)
        WHERE percent_worked > 0 GROUP BY ALL
    """)
    figures, joins = [], ["JOIN chance USING (case_id)"]
    for name in CHOICES:
        joins.append(f"""
            LEFT JOIN odds AS o_{name} ON o_{name}.case_id = chosen.case_id AND o_{name}.action = chosen.{name}
        """)
        # The desk decided nothing for some: that is no choice to judge.
        figures += [
            f"avg((o_{name}.percent_worked = percent_best)::INTEGER) AS {name}_best",
            f"avg(percent_best - o_{name}.percent_worked) AS {name}_points",
            f"avg((percent_best - o_{name}.percent_worked) / 100 * worth) AS {name}_hours",
        ]
    figures += [
        "avg(chance.best) AS chance_best",
        "avg(percent_best - chance.percent) AS chance_points",
        "avg((percent_best - chance.percent) / 100 * worth) AS chance_hours",
    ]
    for split, told in (("all", "true"), ("test", "split = 'test'")):
        asking, enough, advised = db.execute(f"""
            SELECT count(*), avg(enough::INTEGER), avg((action IS NOT NULL)::INTEGER) FROM chosen WHERE {told}
        """).fetchall()[0]
        row: Figures = {"split": split, "asking": asking, "enough": enough, "advised": advised}
        met = db.execute(f"""
            SELECT median(tried) AS tried, {", ".join(figures)}
            FROM chosen {" ".join(joins)} WHERE {told} AND chosen.action IS NOT NULL
        """)
        names = [column[0] for column in met.description or ()]
        yield row | dict(zip(names, met.fetchall()[0], strict=True))


def _table(rows: list[Figures]) -> str:
    names = [name for name in rows[0] if not name.endswith("_points")]  # those are in the results only
    lines = [" | ".join(_cell(name, row[name]) for name in names) for row in rows]
    heading = " | ".join(name.replace("_", " ") for name in names)
    return "\n".join(f"| {line} |" for line in (heading, " | ".join(["---"] * len(names)), *lines))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if name.startswith("precision") or name.endswith(("recall", "_best", "enough", "advised")):
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if name.endswith("_hours") else f"{value:,.0f}"


if __name__ == "__main__":
    main()
