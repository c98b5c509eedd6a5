"""Whether two contenders say the same: `python -m benchmarks.cases.compare PRODUCTS OURS PEER`.

Of each file and column a digest that no order of rows changes; where two digests differ, how many rows do and some of
their ids. Prints one JSON object: `<file>.<column>` -> what differs, empty where nothing does.
"""

import json
import sys
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.reference import YARDSTICK, pinned, precedents_by_case

HERE = Path(__file__).resolve().parent
ROLES = {
    "delay": (
        *("detected_at", "delay_id", "arrived_at", "cause", "delay_code", "expected_delay_hours", "final_delay_hours"),
        *("shipment_id", "waterway"),
    ),
    "shipment": (
        *("booked_at", "shipment_id", "cargo_type", "carrier", "consignee", "container_count", "destination"),
        *("origin", "vessel_imo", "vessel_name"),
    ),
    "place": ("un_locode", "country_name", "name"),
    "disruption": (
        *("started_at", "disruption_id", "citation_publisher", "citation_title", "ended_at", "kind", "severity"),
        *("title", "cited_at"),
    ),
    "resolution": ("decided_at", "resolution_id", "action_code", "cost_usd", "settled_at"),
}
"""Role -> the properties that a case carries, in the order of the peers' rows."""
OPTION = ("action", "tried", "worked", "rate", "mean_score")
QUOTED = ("id", "at", "closes", "score", "worked")
FILES = ("cases", "splits", "precedents")


def differences(products: Path, ours: Path, peer: Path) -> dict[str, str]:
    """File and column -> what differs between the files of storymesh under `ours` and those of a peer under `peer`."""
    from storymesh.engine.open import open_engine

    with open_engine() as engine:
        db = engine.connection.con
        db.execute("SET enable_progress_bar = false")
        _our_views(engine, products, ours)
        options = {name: _option(f"precedents.{name}") for name in ("best", "worst")}
        options["options"] = f"list_transform(precedents.options, lambda item: {_option('item')})"
        db.execute(Template((HERE / "views.sql").read_text(encoding="utf-8")).substitute(out=peer, **options))
        return {key: words for file in FILES for key, words in _compared(db, file).items()}


def _our_views(engine: Any, products: Path, out: Path) -> None:
    """The same flat columns from what storymesh wrote: each view of time as its own templates get it."""
    import ibis

    from storymesh.case.visibility import template_names

    build = pinned(products, out, YARDSTICK)
    cases = engine.read_parquet(build.files.cases)
    told = template_names(cases, build.typed.cast, build.typed.case, "hindsight")
    asked = template_names(cases, build.typed.cast, build.typed.case, "question")

    def row(role: str, value: Any) -> Any:
        if value.type().is_array():
            return value.map(lambda item: ibis.struct({name: item[name] for name in ROLES[role]}))
        packed = ibis.struct({name: value[name] for name in ROLES[role]})
        return ibis.ifelse(value.isnull(), ibis.null(packed.type()), packed)

    match = {formula.name: cases["match"][formula.name] for level in build.typed.case.match[:1] for formula in level}
    waterway, cargo_type = match.values()
    flat = cases.select(
        "case_id",
        moment=cases["at"],
        **{name: cases[name] for name in ("closes", "dropped", "question_dropped", "status", "known")},
        match_waterway=waterway,
        match_cargo_type=cargo_type,
        action=cases["outcome"]["action"],
        score=cases["outcome"]["score"].cast("decimal(38, 2)"),
        worked=cases["outcome"]["worked"],
        told_recovered_hours=told["recovered_hours"].cast("decimal(38, 2)"),
        told_last_step=row("resolution", told["last_step"]),
        asked_last_step=row("resolution", asked["last_step"]),
        **{f"told_{role}": row(role, told[role]) for role in ROLES},
        **{f"asked_{role}": row(role, asked[role]) for role in ROLES},
    )
    db = engine.connection.con
    db.execute(f"CREATE VIEW our_cases AS {engine.compile_sql(flat)}")
    db.execute(f"CREATE VIEW our_splits AS SELECT case_id, split, dropped, component FROM '{build.files.splits}'")
    options = f"list_transform(precedents.options, lambda item: {_option('item')})"
    db.execute(f"""
        CREATE VIEW our_precedents AS
        SELECT case_id, precedents.enough AS enough, precedents.level::BIGINT AS level,
            precedents.tried::BIGINT AS tried, {_option("precedents.best")} AS best,
            {_option("precedents.worst")} AS worst, {options} AS options
        FROM ({engine.compile_sql(precedents_by_case(build, engine))})
    """)


def _option(value: str) -> str:
    """An option as SQL: its figures and quotes, of one type whatever the width of their decimals."""
    figures = ", ".join(f"{name}: {value}.{name}" for name in OPTION)
    quoted = ", ".join(
        f"{name}: quote.{name}::DECIMAL(38, 2)" if name == "score" else f'"{name}": quote."{name}"' for name in QUOTED
    )
    quotes = f"list_transform({value}.quoted, lambda quote: {{{quoted}}})"
    return f"CASE WHEN {value} IS NOT NULL THEN {{{figures}, quoted: {quotes}}} END"


def _compared(db: Any, file: str) -> dict[str, str]:
    columns = [row[0] for row in db.execute(f"DESCRIBE peer_{file}").fetchall()]
    sides = {}
    for side in ("our", "peer"):
        digests = ", ".join(f"sum(hash(case_id, {column})::HUGEINT)" for column in columns)
        sides[side] = db.execute(f"SELECT count(*), {digests} FROM {side}_{file}").fetchall()[0]
    found = {}
    if sides["our"][:2] != sides["peer"][:2]:
        found[f"{file}.rows"] = f"{sides['our'][0]} and {sides['peer'][0]}, not all of the same cases"
    for place, column in enumerate(columns, 1):
        if sides["our"][place] != sides["peer"][place]:
            count, first, last = db.execute(f"""
                SELECT count(*), min(case_id), max(case_id)
                FROM our_{file} JOIN peer_{file} USING (case_id)
                WHERE hash(our_{file}.{column}) <> hash(peer_{file}.{column})
            """).fetchall()[0]
            if count:
                found[f"{file}.{column}"] = f"{count} rows, from {first} to {last}"
    return found


if __name__ == "__main__":
    print(json.dumps(differences(*map(Path, sys.argv[1:4]))))
