"""Writes the drawn world as the products of the reference mesh, in their contracts' types: what the domains' dbt
projects make of the raw exports, without the rows that no contract lets through. The short way to a mesh of millions.
"""

import shutil
from pathlib import Path

from generator.cases import NEVER
from generator.exports import BAD_ACTION, BAD_COUNT, BAD_LOCATION, NO_KEY, Drawing, drawn, write_truth
from generator.notices import CUT_LETTER, CUT_NUMBER, NO_MAIL, drawn_notices

NAMES = ("shipments", "shipment_delays", "ports", "disruptions", "resolutions", "carrier_notices")


def write_products(out: Path, facts: Path, drawing: Drawing, truth: Path | None) -> None:
    """Writes `<product>.parquet` under `out` for each of NAMES; the public facts are read from the mesh `facts`."""
    out.mkdir(parents=True, exist_ok=True)
    with drawn(out / ".generator", drawing) as db:
        db.execute("SET preserve_insertion_order = false")
        for name, query in {**_queries(facts), "carrier_notices": _notices(drawn_notices(db))}.items():
            staged = out / f".{name}.parquet"
            db.execute(f"COPY ({query}) TO '{staged}' (FORMAT parquet, COMPRESSION zstd)")
            shutil.move(staged, out / f"{name}.parquet")
        if truth is not None:
            write_truth(db, truth)


def _queries(facts: Path) -> dict[str, str]:
    sources = {name: facts / "domains" / name / "sources" for name in ("canal", "shipping")}
    return {
        "shipments": f"""
            SELECT
                printf('SHP-%06d', number) AS shipment_id,
                at_minute(booked_at)::TIMESTAMP AS booked_at,
                getvariable('carriers')[carrier + 1] AS carrier,
                getvariable('consignees')[consignee + 1] AS consignee,
                lower(getvariable('cargo')[cargo + 1]) AS cargo_type,
                containers AS container_count,
                (value_cents / 100)::DECIMAL(14, 2) AS cargo_value_usd,
                origin,
                destination,
                imo AS vessel_imo,
                upper(CASE WHEN booked_at >= renamed_at THEN new_name ELSE name END) AS vessel_name
            FROM shipments JOIN fleet USING (vessel)
            WHERE number NOT IN {(*NO_KEY, *BAD_COUNT, *BAD_LOCATION)}
        """,
        "shipment_delays": f"""
            SELECT
                printf('DLY-%06d-%d', number, leg) AS delay_id,
                printf('SHP-%06d', number) AS shipment_id,
                getvariable('waterways')[waterway + 1] AS waterway,
                location,
                at_minute(detected_at)::TIMESTAMP AS detected_at,
                at_minute(planned_at)::TIMESTAMP AS planned_at,
                expected_hours::DECIMAL(8, 2) AS expected_delay_hours,
                getvariable('codes')[cause + 1] AS delay_code,
                getvariable('causes')[cause + 1] AS cause,
                CASE WHEN arrived_at <> {NEVER} THEN at_minute(arrived_at)::TIMESTAMP END AS arrived_at,
                CASE WHEN arrived_at <> {NEVER} THEN ((arrived_at - planned_at) / 60)::DECIMAL(8, 2) END
                    AS final_delay_hours
            FROM delays WHERE number NOT IN {NO_KEY}
        """,
        "resolutions": f"""
            SELECT
                printf('RES-%06d', id) AS resolution_id,
                printf('SHP-%06d', number) AS shipment_id,
                at_minute(decided_at)::TIMESTAMP AS decided_at,
                getvariable('actions')[action + 1] AS action_code,
                CASE WHEN settled_at <> {NEVER} THEN (cost_cents / 100)::DECIMAL(12, 2) END AS cost_usd,
                CASE WHEN settled_at <> {NEVER} THEN at_minute(settled_at)::TIMESTAMP END AS settled_at,
                getvariable('deciders')[decider + 1] AS decided_by,
                getvariable('notes')[note + 1] AS note
            FROM numbered WHERE id NOT IN {BAD_ACTION}
        """,
        "ports": f"""
            SELECT un_locode, name, country, country_name, kind, also_known_as
            FROM read_csv('{sources["shipping"] / "ports.csv"}', header = true, all_varchar = true)
        """,
        "disruptions": f"""
            SELECT DISTINCT
                upper(trim(ref)) AS disruption_id,
                {_code("waterway")} AS waterway,
                {_utc("from_local")} AS started_at,
                {_utc("to_local")} AS ended_at,
                {_code("kind")} AS kind,
                {_code("severity")} AS severity,
                nullif(trim(capacity_percent), '')::BIGINT AS transit_capacity_percent,
                trim(title) AS title,
                trim(citation_title) AS citation_title,
                trim(citation_url) AS citation_url,
                trim(citation_publisher) AS citation_publisher,
                {_utc("cited_local")} AS cited_at
            FROM read_csv('{sources["canal"] / "disruptions.csv"}', header = true, all_varchar = true)
        """,
    }


def _notices(drawn_mails: str) -> str:
    return f"""
        SELECT
            'sources/mail/' || year(received_at) || '/' || name || '.eml' AS file,
            shipment_id,
            'notices@' || host AS sender,
            written_at,
            received_at,
            body,
            CASE WHEN letter_number <> {CUT_LETTER} THEN letter END AS letter
        FROM ({drawn_mails}) WHERE place NOT IN {(CUT_NUMBER, NO_MAIL)}
    """


def _code(column: str) -> str:
    return f"replace(replace(lower(trim({column})), ' ', '_'), '-', '_')"


def _utc(column: str) -> str:
    return f"timezone('UTC', timezone(trim(zone), nullif(trim({column}), '')::TIMESTAMP))"
