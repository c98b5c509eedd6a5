"""The sources of this mesh: what Berka's files have for the bank, and payments, alerts and owners around them.

All that is made here is arithmetic on the numbers of rows, so that the same rows come out wherever it runs, and so
many payments as wanted: `load_clearing(address, data, payments=2_000_000)`. Half of the alerts are over what their
pattern says; the others are over something that looks like it and is not.
"""

import io
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pyarrow as pa

ALERTS = 240
OPEN_ALERTS = 12  # the latest: nobody has closed them
FILES = {
    "account": "account_id int, district_id int, opened_on date, statements text",
    "district": "district_id int, name text, region text, {rest}",
    "loan": """loan_id int, account_id int, granted_on date, amount numeric(12,2), months int, monthly numeric(12,2),
      status text""",
}
REST = ", ".join(f"a{number} text" for number in range(4, 17))  # columns of districts that no contract asks for

# Alert n is over the account of some customer, and over what its number says. Of eight payments each pattern has some
# that make it true, or that make it look true: amounts below the limit, many parties, or one party both ways.
PAYMENTS = """
create table flagged as
select n, list_extract(accounts, 1 + (n * 37) % len(accounts)) as account,
  timestamp '2013-03-01 10:00:00' + to_days((n * 8.8)::int) as raised_at,
  list_extract(['structuring', 'fan_in', 'fan_out', 'round_trip'], 1 + n % 4) as pattern,
  (n // 4) % 2 = 0 as is_true, 'Morava Trade ' || lpad(n::text, 3, '0') as party
from range($alerts) as _(n), (select list(account order by account) as accounts from account);

create table payment as
with other as (
  -- what came and went in the months before a loan
  select account, granted_on - to_days((k * 13 + loan_id % 11 + 1)::int) + interval 9 hour as booked_at,
    case when k % 3 = 2 then 'out' else 'in' end as direction,
    (120 + (loan_id * 3 + k * 17) % 900 + 0.25)::decimal(12, 2) as amount,
    'Tatra ' || lpad((loan_id % 400)::text, 5, '0') as counterparty
  from loan, range(6) as _(k) where k < loan_id % 7
  union all
  -- and all else
  select list_extract(accounts, 1 + (n * 7919) % len(accounts)),
    timestamp '2013-01-01' + to_minutes(((n * 104729) % 3153600)::int),
    case when n % 5 < 2 then 'in' else 'out' end, (5 + (n * 31337) % 200000 / 100)::decimal(12, 2),
    'Tatra ' || lpad(((n * 613) % 9000)::text, 5, '0')
  from range($payments) as _(n), (select list(account order by account) as accounts from account)
)
-- none of it where an alert looks, so that alerts are over the same at any size
select other.* from other anti join flagged on other.account = flagged.account
  and other.booked_at between raised_at - interval 14 day and raised_at
union all
select account, raised_at - to_hours((k * 31 + 2)::int) as booked_at,
  case pattern when 'fan_out' then case when k = 7 then 'in' else 'out' end
    when 'round_trip' then case when k % 2 = 0 then 'in' else 'out' end
    else case when k = 0 then 'out' else 'in' end end as direction,
  (case when pattern = 'structuring' and is_true then 9000 + (n * 13 + k * 101) % 990
    when (pattern = 'fan_out' and k = 7) or (pattern = 'fan_in' and k = 0) then 4200 + n
    else 300 + (n * 7 + k * 11) % 400 end)::decimal(12, 2) as amount,
  case when pattern = 'structuring' or k = 0 or (pattern = 'round_trip' and is_true) then party
    when is_true then 'Dunaj ' || lpad((n * 8 + k)::text, 5, '0')
    else 'Dunaj ' || lpad((n * 8 + k % 2)::text, 5, '0') end as counterparty
from flagged, range(8) as _(k);
"""
NUMBERED = """
select 'P-' || lpad(row_number() over (order by booked_at, account, counterparty, amount, direction)::text, 9, '0')
  as payment, account, strftime(booked_at, '%Y-%m-%d %H:%M:%S') as booked_at, direction, amount, counterparty
from payment
"""
CLOSED = """
select 'AL-' || lpad(n::text, 6, '0') as alert, account, party as counterparty,
  strftime(raised_at, '%Y-%m-%d %H:%M:%S') as raised_at, pattern,
  case when is_closed then strftime(raised_at + to_days((5 + n % 20)::int), '%Y-%m-%d %H:%M:%S') end as closed_at,
  case when is_closed then case when is_true <> (n % 5 = 0) then 'REPORT' else 'DISMISS' end end as decision,
  case when is_closed then n % 5 <> 0 end as was_right,
  case when is_closed then case when is_true and n % 5 <> 0 then 5000 + n * 13 else 0 end end as frozen
from flagged, lateral (select n < $closed as is_closed) order by n
"""
TABLES = {
    "payments": """payment text primary key, account text, booked_at timestamp, direction text, amount numeric(12,2),
      counterparty text""",
    "alerts": """alert text primary key, account text, counterparty text, raised_at timestamp, pattern text,
      closed_at timestamp, decision text, was_right boolean, frozen numeric(12,2)""",
}


def load_bank(address: Mapping[str, Any], data: Path) -> None:
    """Load the accounts, districts and loans of Berka's files, as they are, into a PostgreSQL."""
    with closing(psycopg2.connect(**address)) as connection, connection, connection.cursor() as cursor:
        for name, columns in FILES.items():
            cursor.execute(f"create table {name} ({columns.format(rest=REST)})")
            with (data / f"fin_{name}.tsv").open(encoding="ascii") as rows:
                cursor.copy_expert(f"copy {name} from stdin", rows)


def load_clearing(address: Mapping[str, Any], data: Path, payments: int) -> None:
    """Load alerts, what they are over, and so many other payments into a PostgreSQL."""
    with _made(data, payments) as made, closing(psycopg2.connect(**address)) as connection, connection:
        for name, columns in TABLES.items():
            with connection.cursor() as cursor:
                cursor.execute(f"create table {name} ({columns})")
                closed = {"closed": ALERTS - OPEN_ALERTS} if name == "alerts" else None
                rows = made.execute(CLOSED if closed else NUMBERED, closed)
                for batch in rows.to_arrow_reader(100_000):
                    cursor.copy_expert(f"copy {name} from stdin (format csv)", _as_csv(batch))
        with connection.cursor() as cursor:
            cursor.execute("create index on payments (account, booked_at)")
            cursor.execute("analyze payments")  # what is expected of a fetch is what PostgreSQL knows of the table


def write_customers(address: str, data: Path, options: Mapping[str, str]) -> None:
    """Write the owners of the accounts of Berka's files as a Delta table."""
    from deltalake import write_deltalake

    owners = """
      select 'KU-' || lpad(client_id::text, 8, '0') as customer, 'CZ' || lpad(account_id::text, 8, '0') as account,
        year(born_on) as born_in, born_on, sex
      from read_csv($clients, names=['client_id', 'born_on', 'sex', 'district_id'], delim='\t', header=false) as client
      join read_csv($owned, names=['disp_id', 'client_id', 'account_id', 'kind'], delim='\t', header=false) as owned
        using (client_id)
      where kind = 'O' order by customer
    """
    with duckdb.connect() as engine:
        files = {"clients": str(data / "fin_client.tsv"), "owned": str(data / "fin_disp.tsv")}
        write_deltalake(address, engine.execute(owners, files).to_arrow_table(), storage_options=dict(options))


def _made(data: Path, payments: int) -> duckdb.DuckDBPyConnection:
    engine = duckdb.connect()
    for name in ("account", "loan"):
        engine.execute(f"create table {name} ({FILES[name]})")
        engine.execute(f"copy {name} from '{data / f'fin_{name}.tsv'}' (delimiter '\t', header false)")
        engine.execute(f"alter table {name} add column account text")
        engine.execute(f"update {name} set account = 'CZ' || lpad(account_id::text, 8, '0')")
    first, second = PAYMENTS.split("\n\n", 1)
    engine.execute(first, {"alerts": ALERTS})
    engine.execute(second, {"payments": payments})
    return engine


def _as_csv(batch: pa.RecordBatch) -> io.BytesIO:
    import pyarrow.csv

    out = io.BytesIO()
    pyarrow.csv.write_csv(batch, out, pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed"))
    out.seek(0)
    return out
