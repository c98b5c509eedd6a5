"""The yardstick: the same texts by bare SQL on DuckDB, as one writes it who has only this narrative to tell.

    python -m benchmarks.generated.twin INPUTS OUT

It links, splits, finds precedents and tells, in the order of the release's files. Facts, sources, duplicates, digests,
certificate and documents are storymesh's alone; with `beside` it writes what stands beside the texts too: the cases and
precedents as files, and for each record its facts and the keys of its rows.
"""

import json
import re
import sys
from pathlib import Path

import duckdb
from benchmarks.generated.grammar import MACROS
from benchmarks.generated.narrative import LEAST, QUOTES, DrawnNarrative, draw_narrative
from benchmarks.generated.world import TEST, VALIDATION, Role
from benchmarks.stories.inputs import ROW_GROUP, Stages

WILSON = """
    CREATE MACRO wilson(worked, tried, z, side) AS
        (worked / tried + z * z / (2 * tried)
            + side * z * sqrt((worked / tried * (1 - worked / tried) + z * z / (4 * tried)) / tried))
        / (1 + z * z / tried)
"""


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    drawn = draw_narrative(given["seed"])
    out.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        db.execute(f"SET memory_limit = '{given['memory']}'; SET threads = {given['threads']}; SET TimeZone = 'UTC'")
        db.execute(f"SET temp_directory = '{out / 'spilled'}'; SET preserve_insertion_order = false")
        db.execute(f"{MACROS}; {WILSON}")
        for role in drawn.world.roles:
            db.execute(f"CREATE VIEW of_{role.name} AS FROM read_parquet('{given['folder']}/{role.name}.parquet')")
        stages = Stages(out)
        with stages.measured("cases"):
            db.execute(f"CREATE TEMP TABLE cases AS {cases_sql(drawn)}")
            if given["beside"]:
                _copy(db, "FROM cases", out / "cases.parquet")
        if drawn.world.precedents:
            with stages.measured("precedents"):
                for statement in precedents_sql():
                    db.execute(statement)
                if given["beside"]:
                    _copy(db, "FROM precedents", out / "precedents.parquet")
        for config in drawn.texts:
            with stages.measured(config):
                _copy(db, records_sql(drawn, config, beside=given["beside"]), out / f"{config}.parquet")
        stages.write()


def _copy(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    db.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})")


def cases_sql(drawn: DrawnNarrative) -> str:
    """Return SQL for the cases: id, at, split, what the outcome reads, and one struct or list for each role."""
    joins, columns = [], []
    for role in drawn.world.roles:
        row = _row(role, drawn.columns.get(role.name, set()))
        match role.kind:
            case "anchor":
                columns.append(f"{row} AS {role.name}")
            case "parent":
                how = "JOIN" if role.required else "LEFT JOIN"
                joins.append(f"{how} of_{role.name} AS {role.name} ON {role.name}.id = job.{role.name}_id")
                columns.append(f"{row} AS {role.name}")
            case "rate":
                joins.append("ASOF LEFT JOIN of_rate AS rate ON rate.lane = job.lane AND rate.began <= job.began")
                columns.append(f"{row} AS {role.name}")
            case "log":
                of_case = f"{role.name}.began BETWEEN job.began - INTERVAL 30 DAY AND job.began"
                joins.append(_gathered(role, row, f"{role.name}.job_id = job.id AND {of_case}"))
                columns.append(f"coalesce({role.name}.items, []) AS {role.name}")
            case _:
                there = (
                    f"{role.name}.began <= job.began AND ({role.name}.ended >= job.began OR {role.name}.ended IS NULL)"
                )
                joins.append(_gathered(role, row, f"{role.name}.lane = job.lane AND {there}"))
                columns.append(f"coalesce({role.name}.items, []) AS {role.name}")
    split = f"""CASE WHEN job.began < TIMESTAMP '{VALIDATION}' THEN 'train'
        WHEN job.began < TIMESTAMP '{TEST}' THEN 'validation' ELSE 'test' END"""
    kept = 'job.began AS "at", job.ended, job.lane, job.sort, job.choice, job.gain'
    return f"SELECT job.id, {kept}, {split} AS split, {', '.join(columns)} FROM of_job AS job {' '.join(joins)}"


def _row(role: Role, columns: set[str]) -> str:
    return "{" + ", ".join(f"'{name}': {role.name}.{name}" for name in ["id", *sorted(columns - {"id"})]) + "}"


def _gathered(role: Role, row: str, condition: str) -> str:
    # What is ordered by stands first in what is sorted.
    items = f"list({{'began': {role.name}.began, 'id': {role.name}.id, 'row': {row}}})"
    return f"""LEFT JOIN (
        SELECT job.id, list_transform(list_sort({items}), lambda item: item.row) AS items
        FROM of_job AS job JOIN of_{role.name} AS {role.name} ON {condition} GROUP BY job.id
    ) AS {role.name} ON {role.name}.id = job.id"""


def precedents_sql() -> list[str]:
    """Return the statements that make `options`, a row for each probe and action, and `precedents`, one for each probe.

    A probe is a day and what is matched. A case counts from the day after it ended, so its period is an earlier one.
    """
    last = ", ".join(f"lag(row, {back}) OVER latest" for back in range(QUOTES))
    tables = {
        "probe": """SELECT row_number() OVER () AS probe, *
            FROM (SELECT DISTINCT cases.at::DATE AS day, lane, sort FROM cases)""",
        "event": """SELECT level, lane, if(level = 1, sort, '') AS sort, choice AS action, ended, id, gain,
                ended::DATE AS day, {'id': id, 'at': cases.at, 'score': gain} AS row
            FROM cases, (VALUES (1), (2)) AS levels (level) WHERE ended IS NOT NULL""",
        "placed": f"""SELECT level, lane, sort, action, row_number() OVER latest AS place, [{last}] AS quoted FROM event
            WINDOW latest AS (PARTITION BY level, lane, sort, action ORDER BY ended, id DESC)""",
        "running": """SELECT level, lane, sort, action, day, sum(n) OVER w AS tried, sum(good) OVER w AS worked,
                sum(gained) OVER w AS total
            FROM (SELECT level, lane, sort, action, day, count(*) AS n, count(*) FILTER (gain >= 0) AS good,
                    sum(gain) AS gained FROM event GROUP BY ALL)
            WINDOW w AS (PARTITION BY level, lane, sort, action ORDER BY day)""",
        "counted": f"""WITH found AS (
                SELECT p.probe, r.level, r.lane, r.sort, r.action, r.tried, r.worked, r.total
                FROM (
                    SELECT probe, p.day, c.* FROM probe AS p
                    JOIN (SELECT DISTINCT level, lane, sort, action FROM event) AS c
                    ON c.lane = p.lane AND (c.level = 2 OR c.sort = p.sort)
                ) AS p ASOF JOIN running AS r ON r.level = p.level AND r.lane = p.lane AND r.sort = p.sort
                    AND r.action = p.action AND r.day < p.day
            ), enough AS (
                SELECT probe, level, sum(tried) AS everything FROM found GROUP BY ALL HAVING sum(tried) >= {LEAST}
            )
            SELECT f.*, everything FROM found AS f
            JOIN (
                SELECT probe, min(level) AS level, arg_min(everything, level) AS everything FROM enough GROUP BY probe
            ) USING (probe, level)""",
        "options": """SELECT c.probe, c.action, c.tried::BIGINT AS tried, c.worked::BIGINT AS worked, everything,
                c.worked::DOUBLE / c.tried AS rate, c.total::DOUBLE / c.tried AS mean_score,
                list_filter(p.quoted, lambda q: q IS NOT NULL) AS quoted,
                if(c.worked = 0, 0, wilson(c.worked::DOUBLE, c.tried::DOUBLE, 1.959963984540054, -1)) AS low95,
                if(c.worked = 0, 0, wilson(c.worked::DOUBLE, c.tried::DOUBLE, 1.6448536269514722, -1)) AS low90,
                wilson(c.worked::DOUBLE, c.tried::DOUBLE, 1.6448536269514722, 1) AS high90
            FROM counted AS c JOIN placed AS p ON p.level = c.level AND p.lane = c.lane AND p.sort = c.sort
                AND p.action = c.action AND p.place = c.tried""",
        "precedents": f"""WITH gathered AS (
                SELECT probe, any_value(everything)::BIGINT AS tried, list_sort(list({{'low': -low95, 'fewer': -tried,
                    'action': action, 'tried': tried, 'worked': worked, 'rate': rate, 'mean_score': mean_score,
                    'quoted': quoted}})) AS options FROM options GROUP BY probe
            ), fit AS (SELECT *, list_filter(options, lambda o: o.tried >= {LEAST}) AS fit FROM gathered)
            SELECT p.*, g.probe IS NOT NULL AS enough, coalesce(g.tried, 0) AS tried, coalesce(options, []) AS options,
                list_filter(fit, lambda o: o.worked > 0) AS good, good[1] AS best, fit[-1] AS worst,
                good[2] AS second, fit[-2] AS last_but_one
            FROM probe AS p LEFT JOIN fit AS g USING (probe)""",
    }  # fmt: skip
    return [f"CREATE TEMP TABLE {name} AS {query}" for name, query in tables.items()]


def beside_sql(drawn: DrawnNarrative, config: str) -> str:
    """Return SQL for `facts` and `sources` of a config: what the cases have of each role that its texts name, what they
    say of options, and product, version and key of the rows, each once and sorted."""
    texts = " ".join(drawn.texts[config].values())
    roles = [role for role in drawn.world.roles if re.search(rf"\b{role.name}\b", texts)]
    counts = "{{'action': {0}.action, 'tried': {0}.tried, 'worked': {0}.worked, 'rate': {0}.rate}}"
    options = {
        "advice": {"precedents": "options", "best": "best.action", "tried": "tried"},
        "choice": {name: counts.format(f"{name}_option") for name in ("better", "worse")},
        "verdict": {"option": counts.format("o")},
    }.get(config, {})
    facts = {role.name: role.name for role in roles} | options
    quotes = "list_transform(flatten(list_transform(options, lambda o: o.quoted)), lambda q: q.id)"
    parts = []
    # An answer comes from the row of its action too.
    for role in roles if config == "report" else dict.fromkeys([*drawn.world.roles[:1], *roles]):
        keys = f"list_transform({role.name}, lambda r: r.id)" if role.listed else f"[{role.name}.id]"
        keys = f"list_distinct(list_concat({keys}, {quotes}))" if (role.name, config) == ("job", "advice") else keys
        keys = f"list_sort(list_filter({keys}, lambda k: k IS NOT NULL))"
        source = f"{{'product': 'world.{role.name}', 'version': '{role.name:0<64}', 'key': k}}"
        parts.append(f"list_transform({keys}, lambda k: {source})")
    values = ", ".join(f"'{name}': {value}" for name, value in facts.items()) or "'at': cases.at"
    return f", {{{values}}} AS facts, flatten([{', '.join(parts or ['[]'])}]) AS sources"


def records_sql(drawn: DrawnNarrative, config: str, *, beside: bool = False) -> str:
    """Return SQL for the records of a config, in the order of its files: id, split, at, its columns of text and, if it
    is wanted, what stands `beside` them."""
    texts, more = drawn.texts[config], beside_sql(drawn, config) if beside else ""
    asked = "cases JOIN probe ON probe.day = cases.at::DATE AND probe.lane = cases.lane AND probe.sort = cases.sort"
    head, tail = f"'{config}/' || cases.id AS id, split, cases.at", "ORDER BY cases.at, cases.id"
    # Names that cases and precedents share are those of the cases.
    case_columns = "cases.* EXCLUDE (lane, sort)"
    match config:
        case "report":
            return f"SELECT {head}, {texts['text']} AS text{more} FROM cases {tail}"
        case "advice":
            messages = f"""[{{'role': 'user', 'content': {texts["user"]}}},
                {{'role': 'assistant', 'content': {texts["assistant"]}}}]"""
            source = f"""(SELECT {case_columns}, p.tried, p.options, p.best, p.enough FROM {asked}
                JOIN precedents AS p USING (probe) WHERE choice IS NOT NULL) AS cases"""
            return f"SELECT {head}, {messages} AS messages{more} FROM {source} {tail}"
        case "choice":
            side = """CASE WHEN (gain >= 0) = {good} THEN choice WHEN p.{first}.action <> choice THEN p.{first}.action
                ELSE p.{second}.action END"""
            better = side.format(good="true", first="best", second="second")
            worse = side.format(good="false", first="worst", second="last_but_one")
            source = f"""(SELECT {case_columns}, probe, {better} AS better, {worse} AS worse
                FROM {asked} JOIN precedents AS p USING (probe) WHERE choice IS NOT NULL) AS cases"""
            option = f"(SELECT {texts['option']})"
            sides = f"""(SELECT cases.*, o AS better_option, r AS worse_option FROM {source}
                JOIN options AS o ON o.probe = cases.probe AND o.action = better
                JOIN options AS r ON r.probe = cases.probe AND r.action = worse WHERE o.low90 > r.high90) AS cases"""
            # Not what a text of the narrative has there, such as "So.".
            chosen, rejected = (re.sub(r"\bo\.", f"{name}.", option) for name in ("better_option", "worse_option"))
            texts_sql = f"{texts['prompt']} AS prompt, {chosen} AS chosen, {rejected} AS rejected"
            return f"SELECT {head}, {texts_sql}{more} FROM {sides} {tail}"
        case _:
            untried = "{'action': choice, 'tried': 0, 'worked': 0, 'rate': NULL, 'mean_score': NULL}"
            source = f"""(SELECT {case_columns},
                    coalesce({{'action': found.action, 'tried': found.tried, 'worked': found.worked, 'rate': found.rate,
                        'mean_score': found.mean_score}}, {untried}) AS o
                FROM {asked} LEFT JOIN options AS found ON found.probe = probe.probe AND found.action = choice
                WHERE choice IS NOT NULL) AS cases"""
            source = source.replace("coalesce({", "if(found.action IS NOT NULL, {")
            return f"""SELECT {head}, {texts["prompt"]} AS prompt,
                {texts["option"]} AS completion, gain >= 0 AS label{more}
                FROM {source} {tail}"""


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
