"""Writes the drawn world as three desks would export it: local times, loose spelling, duplicates, late and retracted
messages, missing arrivals, and a few rows that no contract lets through.

DuckDB does the writing, so that a million cases need neither Python loops nor much memory.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from generator import world
from generator.cases import EXPORTED_AT, NEVER, Block, Disruption, draw_block
from generator.notices import write_notices
from generator.odds import World

BLOCK = 100_000
SHIPPING_COPIED = ("ports.csv", "notices.files.yaml")
CANAL_COPIED = ("disruptions.csv", "advisories.csv")

BAD_LOCATION = (11, 230, 370)  # a place that is no UN/LOCODE
BAD_COUNT = (410,)  # not one container
NO_KEY = (530, 650)  # the booking number was cut off
BAD_ACTION = (17, 41)  # resolutions whose action is not on the list
"""Rows that break their contract on purpose: a first run shows them in quarantine, far below its limit of 10 %."""


@dataclass(frozen=True)
class Drawing:
    """What decides the world, to the byte."""

    delays: int
    seed: int
    disruptions: list[Disruption]
    world: World


def write_sources(out: Path, facts: Path, drawing: Drawing, truth: Path | None) -> None:
    """Writes `domains/*/sources` under `out`; the public facts are copied from the mesh `facts`."""
    folders = {name: out / "domains" / name / "sources" for name in ("shipping", "canal", "resolutions")}
    events = folders["shipping"] / "events"
    for folder in (*folders.values(), events):
        folder.mkdir(parents=True, exist_ok=True)
    for old in events.glob("*.jsonl.gz"):
        old.unlink()
    for domain, names in (("shipping", SHIPPING_COPIED), ("canal", CANAL_COPIED)):
        for name in names:
            source = facts / "domains" / domain / "sources" / name
            if source.resolve() != (folders[domain] / name).resolve():
                shutil.copyfile(source, folders[domain] / name)

    with drawn(out / ".generator", drawing) as db:
        _write_shipments(db, folders["shipping"])
        _write_events(db, events)
        _write_resolutions(db, folders["resolutions"])
        write_notices(db, folders["shipping"] / "mail")
        if truth is not None:
            write_truth(db, truth)


@contextmanager
def drawn(scratch: Path, drawing: Drawing) -> Iterator[duckdb.DuckDBPyConnection]:
    """The drawn world as tables of a database in `scratch`, which is gone afterwards: shipments, delays and steps, as
    `draw_block` gives them; fleet; numbered, which is steps with the number that the log of the desk gives each."""
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with duckdb.connect(str(scratch / "world.duckdb")) as db:
            db.execute(f"SET memory_limit = '2GB'; SET threads = 2; SET temp_directory = '{scratch}'")
            _load(db, drawing)
            yield db
    finally:
        shutil.rmtree(scratch)


def _load(db: duckdb.DuckDBPyConnection, drawing: Drawing) -> None:
    first_shipment, done = 1, 0
    while done < drawing.delays:
        size = min(BLOCK, drawing.delays - done)
        seed = (drawing.seed, done)
        block: Block = draw_block(size, first_shipment, seed, drawing.disruptions, drawing.world)
        for name in ("shipments", "delays", "steps"):
            db.register("drawn", getattr(block, name))
            db.execute(f"CREATE TABLE IF NOT EXISTS {name} AS FROM drawn LIMIT 0; INSERT INTO {name} FROM drawn")
            db.unregister("drawn")
        done += size
        first_shipment += block.shipments.num_rows

    lists = {
        "waterways": world.WATERWAYS,
        "cargo": tuple(name.capitalize() for name in world.CARGO),
        "actions": world.ACTIONS,
        "carriers": world.CARRIERS,
        "consignees": world.CONSIGNEES,
        "deciders": world.DECIDERS,
        "notes": world.NOTES,
        "codes": tuple(cause.code for cause in world.ALL_CAUSES),
        "causes": tuple(cause.name for cause in world.ALL_CAUSES),
        "disruptions": tuple(disruption.reference for disruption in drawing.disruptions),
    }
    for name, values in lists.items():
        quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
        db.execute(f"SET VARIABLE {name} = [{quoted}]")
    db.execute("""
        CREATE MACRO at_minute(t) AS make_timestamp(t * 60000000);
        CREATE MACRO local_time(t, zone, format) AS strftime(timezone(zone, timezone('UTC', at_minute(t))), format);
        CREATE MACRO loosely(code, die) AS CASE die % 20
            WHEN 0 THEN upper(code) WHEN 1 THEN lower(code) WHEN 2 THEN code || ' '
            WHEN 3 THEN replace(code, '_', ' ') ELSE code END;
    """)
    db.execute("CREATE TABLE fleet (vessel BIGINT, imo VARCHAR, name VARCHAR, new_name VARCHAR, renamed_at BIGINT)")
    db.executemany("INSERT INTO fleet VALUES (?, ?, ?, ?, ?)", _fleet())
    db.execute("""
        CREATE VIEW numbered AS
        SELECT *, row_number() OVER (ORDER BY decided_at, number, action, cost_cents, die) AS id FROM steps
    """)


def _fleet() -> list[tuple[int, str, str, str | None, int | None]]:
    """Vessels with IMO numbers whose check digit is right; every sixth or so was renamed on a day of 2022 to 2024."""
    step = len(world.VESSEL_NAMES) // world.RENAMED_VESSELS
    first_rename, last_rename = 27_350_000, 28_500_000  # minutes: 2022-01-01 and 2024-03-09, both roughly
    fleet: list[tuple[int, str, str, str | None, int | None]] = []
    for vessel, name in enumerate(world.VESSEL_NAMES):
        digits = f"{300_000 + vessel * 137:06d}"
        check = sum(int(digit) * factor for digit, factor in zip(digits, range(7, 1, -1), strict=True)) % 10
        place = vessel // step
        if vessel % step or place >= world.RENAMED_VESSELS:
            fleet.append((vessel, f"{digits}{check}", name, None, None))
            continue
        first, second = name.split()
        at = first_rename + (last_rename - first_rename) * place // world.RENAMED_VESSELS
        fleet.append((vessel, f"{digits}{check}", name, f"{second} of {first}", at - at % 1440))
    return fleet


def _write_shipments(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Semicolons, Hamburg time, German decimals; names of renamed vessels often stay what they were."""
    db.execute(f"""
        COPY (
            WITH doubled AS (
                SELECT *, 0 AS again FROM shipments UNION ALL SELECT *, 1 FROM shipments WHERE die % 100 = 7
            )
            SELECT
                CASE WHEN number IN {NO_KEY} THEN '' ELSE printf('SHP-%06d', number) END AS booking_no,
                local_time(booked_at, 'Europe/Berlin', '%d.%m.%Y %H:%M') AS booked_local,
                getvariable('carriers')[carrier + 1] || CASE WHEN die % 50 = 0 THEN '  ' ELSE '' END AS carrier,
                getvariable('consignees')[consignee + 1] AS consignee,
                loosely(getvariable('cargo')[cargo + 1], die // 100) AS cargo,
                CASE WHEN number IN {BAD_COUNT} THEN 0 ELSE containers END AS boxes,
                translate(format('{{:,}}', value_cents // 100), ',', '.') || printf(',%02d', value_cents % 100)
                    AS value_usd,
                CASE WHEN die % 40 = 3 THEN lower(origin) ELSE origin END AS "from",
                CASE WHEN number IN {BAD_LOCATION} THEN 'ROTTERDAM 1' ELSE destination END AS "to",
                imo,
                loosely(
                    CASE WHEN booked_at >= renamed_at AND die % 10 < 6 THEN new_name ELSE name END, die // 1000
                ) AS vessel
            FROM doubled JOIN fleet USING (vessel)
            ORDER BY number, again
        ) TO '{folder / "shipments.csv"}' (FORMAT csv, HEADER, DELIMITER ';')
    """)
    db.execute(f"""
        COPY (
            SELECT imo, name AS old_name, new_name, strftime(at_minute(renamed_at), '%d.%m.%Y') AS renamed_on
            FROM fleet WHERE new_name IS NOT NULL ORDER BY renamed_at, imo
        ) TO '{folder / "vessel_renames.csv"}' (FORMAT csv, HEADER, DELIMITER ';')
    """)


def _write_events(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """One file for each year of receipt, in the order of receipt.

    `kind` tells a shipment's messages apart: 0 plan, 1 changed plan (not a delay), 2 the estimate that reports a delay,
    3 a later estimate, 4 arrival, 5 departure, 6 and 8 messages sent by mistake, 7 and 9 their retractions, 10 an
    estimate without a reason.
    """
    hour, day = 60, 24 * 60
    db.execute(f"""
        CREATE TABLE events AS
        WITH told AS (
            SELECT *, expected_hours * {hour} AS late,
                die % 100 < 10 AS changed, die // 100 % 100 < 25 AS again, die // 10000 % 100 AS error,
                planned_at + expected_hours * {hour} AS estimate
            FROM delays
        ), delay_events AS (
            SELECT number, leg, 0 AS kind, booked_at + 30 + die % 1400 AS created_at,
                planned_at - CASE WHEN changed THEN (die % 49 + 24) * {hour} ELSE 0 END AS event_at,
                'PLN' AS classifier, 'ARRI' AS type, location, {NEVER} AS cause, {NEVER} AS waterway, die
            FROM told
            UNION ALL
            SELECT number, leg, 1, detected_at - {day} - die % {4 * day}, planned_at, 'PLN', 'ARRI', location,
                {NEVER}, {NEVER}, die // 3
            FROM told WHERE changed
            UNION ALL
            SELECT number, leg, 2, detected_at, estimate, 'EST', 'ARRI', location, cause, waterway, die // 5 FROM told
            UNION ALL
            SELECT number, leg, 3, detected_at + {day} + die % {5 * day}, estimate + (die % 25 - 12) * {hour},
                'EST', 'ARRI', location, cause, waterway, die // 7
            FROM told WHERE again
            UNION ALL
            SELECT number, leg, 4, arrived_at + die % 300, arrived_at, 'ACT', 'ARRI', location,
                {NEVER}, {NEVER}, die // 11
            FROM told WHERE arrived_at <> {NEVER}
            UNION ALL
            SELECT number, leg, 6, detected_at - {hour} - die % {day}, estimate + 2 * late, 'EST', 'ARRI', location,
                cause, waterway, die // 13
            FROM told WHERE error IN (1, 2)
            UNION ALL
            SELECT number, leg, 8, detected_at + 20 * {hour} + die % {hour}, detected_at + 20 * {hour}, 'ACT', 'ARRI',
                location, {NEVER}, {NEVER}, die // 17
            FROM told WHERE error = 3
        ), all_events AS (
            FROM delay_events WHERE kind <> 3 OR created_at < event_at - {day}
            UNION ALL
            SELECT number, 0, 5, booked_at + 3 * {day} + die % {7 * day}
                    + CASE WHEN die % 20 = 5 THEN 5 * {day} + die % {9 * day} ELSE die % 240 END,
                booked_at + 3 * {day} + die % {7 * day}, 'ACT', 'DEPA', origin, {NEVER}, {NEVER}, die // 19
            FROM shipments
            UNION ALL
            SELECT number, 0, 0, booked_at + 30 + die % 1400, quiet_planned_at, 'PLN', 'ARRI', destination,
                {NEVER}, {NEVER}, die // 23
            FROM shipments WHERE quiet_planned_at <> {NEVER}
            UNION ALL
            SELECT number, 0, 10, quiet_planned_at - 3 * {day}, quiet_planned_at + (die % 9 - 4) * {hour},
                'EST', 'ARRI', destination, {NEVER}, {NEVER}, die // 29
            FROM shipments WHERE quiet_planned_at <> {NEVER} AND die % 10 < 3
            UNION ALL
            SELECT number, 0, 4, quiet_planned_at + (die % 20 - 10) * {hour} + die % 300,
                quiet_planned_at + (die % 20 - 10) * {hour}, 'ACT', 'ARRI', destination, {NEVER}, {NEVER}, die // 31
            FROM shipments WHERE quiet_planned_at <> {NEVER}
        )
        SELECT *, number * 48 + leg * 16 + kind AS id, NULL::BIGINT AS retracts FROM all_events
        UNION ALL
        SELECT number, leg, kind + 1, created_at + {hour} + die % 600, NULL, NULL, NULL, NULL, {NEVER}, {NEVER},
            die // 2, number * 48 + leg * 16 + kind + 1, number * 48 + leg * 16 + kind
        FROM all_events WHERE kind IN (6, 8)
    """)
    late = f"CASE WHEN die % 50 = 0 THEN die % {9 * day} ELSE die % 10 END"
    db.execute(f"""
        CREATE TABLE received AS
        SELECT *, created_at + {late} AS received_at, 0 AS again FROM events WHERE created_at < {EXPORTED_AT}
        UNION ALL
        SELECT *, created_at + {late} + die % 600, 1 FROM events WHERE created_at < {EXPORTED_AT} AND die % 40 = 1
    """)
    years = db.execute("SELECT DISTINCT year(at_minute(received_at)) FROM received ORDER BY ALL").fetchall()
    for (year,) in years:
        db.execute(f"""
            COPY (
                SELECT
                    printf('EVT-%08d', id) AS "eventID",
                    strftime(at_minute(created_at), '%Y-%m-%dT%H:%MZ') AS "eventCreatedDateTime",
                    CASE WHEN die % 200 = 0 THEN lower(classifier) ELSE classifier END AS "eventClassifierCode",
                    CASE WHEN die % 150 = 0 THEN lower(type) ELSE type END AS "transportEventTypeCode",
                    strftime(at_minute(event_at), '%Y-%m-%dT%H:%MZ') AS "eventDateTime",
                    CASE WHEN retracts IS NULL THEN printf('SHP-%06d', number) END AS "shipmentReference",
                    CASE WHEN die % 60 = 0 THEN location || ' ' ELSE location END AS "UNLocationCode",
                    getvariable('codes')[cause + 1] AS "delayReasonCode",
                    getvariable('causes')[cause + 1] AS "changeRemark",
                    loosely(getvariable('waterways')[waterway + 1], die) AS waterway,
                    printf('EVT-%08d', retracts) AS "retractedEventID"
                FROM received WHERE year(at_minute(received_at)) = {year}
                ORDER BY received_at, id, again
            ) TO '{folder / f"{year}.jsonl.gz"}' (FORMAT json, COMPRESSION gzip)
        """)


def _write_resolutions(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Commas, Panama time on a twelve-hour clock, amounts with thousands; costs come in once they are settled."""
    style = "%m/%d/%Y %I:%M %p"
    db.execute(f"""
        COPY (
            WITH doubled AS (
                SELECT *, 0 AS again FROM numbered UNION ALL SELECT *, 1 FROM numbered WHERE die % 100 = 9
            )
            SELECT
                printf('RES-%06d', id) AS resolution_no,
                CASE WHEN die % 30 = 0 THEN lower(printf('SHP-%06d', number)) ELSE printf('SHP-%06d', number) END
                    AS shipment,
                local_time(decided_at, 'America/Panama', '{style}') AS decided_local,
                CASE WHEN id IN {BAD_ACTION} THEN 'TO BE DEFINED'
                    ELSE loosely(getvariable('actions')[action + 1], die // 100) END AS action,
                CASE WHEN settled_at <> {NEVER}
                    THEN format('{{:,}}', cost_cents // 100) || printf('.%02d', cost_cents % 100) END AS cost_usd,
                CASE WHEN settled_at <> {NEVER} THEN local_time(settled_at, 'America/Panama', '{style}') END
                    AS settled_local,
                getvariable('deciders')[decider + 1] AS decided_by,
                getvariable('notes')[note + 1] AS note
            FROM doubled
            ORDER BY id, again
        ) TO '{folder / "resolutions.csv"}' (FORMAT csv, HEADER)
    """)


def write_truth(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    """What truly happened, as CSV or Parquet; of three files the second and third bear `.odds` and `.resolutions`.

    `path`: for each delay the disruption that held the shipment up (null: none did), the action that was taken, the
    one with the best odds, and by how many hours either way of ending comes out ahead of what was expected, on average.
    `.odds`: the share of times that each action works for each delay, 0 for what nobody would choose, as `storymesh
    evaluate --truth` reads it. `.resolutions`: the delay that each one answered.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    form = "parquet" if path.suffix == ".parquet" else "csv, HEADER"
    db.execute(f"""
        COPY (
            SELECT
                printf('DLY-%06d-%d', number, leg) AS delay_id,
                printf('SHP-%06d', number) AS shipment_id,
                getvariable('waterways')[waterway + 1] AS waterway,
                lower(getvariable('cargo')[cargo + 1]) AS cargo_type,
                CASE WHEN disruption <> {NEVER} THEN getvariable('disruptions')[disruption + 1] END AS disruption_id,
                CASE WHEN action <> {NEVER} THEN getvariable('actions')[action + 1] END AS action_taken,
                percent_taken,
                getvariable('actions')[best_action + 1] AS best_action,
                percent_best,
                round(minutes_if_worked / 60, 2) AS hours_if_worked,
                round(minutes_if_failed / 60, 2) AS hours_if_failed
            FROM delays ORDER BY number, leg
        ) TO '{path}' (FORMAT {form})
    """)
    db.execute(f"""
        COPY (
            SELECT
                printf('DLY-%06d-%d', number, leg) AS case_id,
                unnest(getvariable('actions')) AS action,
                unnest(percent::BIGINT[]) / 100 AS rate
            FROM delays ORDER BY number, leg, action
        ) TO '{path.with_suffix(".odds" + path.suffix)}' (FORMAT {form})
    """)
    db.execute(f"""
        COPY (
            SELECT printf('RES-%06d', id) AS resolution_id, printf('DLY-%06d-%d', number, leg) AS delay_id
            FROM numbered ORDER BY id
        ) TO '{path.with_suffix(".resolutions" + path.suffix)}' (FORMAT {form})
    """)
