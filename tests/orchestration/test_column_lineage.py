"""Where the columns of a dbt model come from."""

import dagster as dg

from storymesh.orchestration.assets.column_lineage import column_origins, table_resolver
from storymesh.orchestration.assets.keys import source_key

SQL = """
with events as (
    select trim(e.ref) as ref, count(*) as events, max(e.at) as last_at
    from read_json('sources/events/*.jsonl.gz', columns = {ref: 'VARCHAR', at: 'VARCHAR'}) as e
    group by all
), ships as (select * from "desk"."main"."stg_ships")
select ships.ship_id, ships.length * 2 as twice, events.last_at, canal.waterway, 1 as one
from ships
left join events on events.ref = ships.ship_id
left join (select * from read_parquet(['/store/canal/0.parquet'])) as canal on canal.ship = ships.ship_id
"""


def test_columns_lead_to_models_products_and_raw_files() -> None:
    found = column_origins(SQL, table_resolver("desk", {"stg_ships"}, {"/store/canal/0.parquet": "canal.disruptions"}))
    ships = dg.AssetKey(["desk", "models", "stg_ships"])
    assert found == {
        "ship_id": [(ships, "ship_id")],
        "twice": [(ships, "length")],
        "last_at": [(source_key("desk", "sources/events/*.jsonl.gz"), "at")],
        "waterway": [(dg.AssetKey(["canal", "disruptions"]), "waterway")],
    }


def test_what_cannot_be_parsed_has_no_lineage() -> None:
    assert column_origins("select from where", table_resolver("desk", set(), {})) == {}
    assert column_origins("select * from read_csv('sources/x.csv')", table_resolver("desk", set(), {})) == {}
