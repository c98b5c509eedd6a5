"""What crosses between a PostgreSQL and a narrative whose table stays there, by the way in which it is fetched.

    python -m benchmarks.in_place --rows 1000000

A PostgreSQL is started in a folder of its own and reached through a proxy that counts bytes. For so many keys of cases
and such a time, every way is estimated and then taken: `chosen` is what the plan would take, `best` what moved least.
At the end of a line stand the seconds of planning and, for each way, what was expected as a share of what crossed.
"""

import argparse
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import pyarrow as pa

from storymesh.federation.access import ServerAccess
from storymesh.federation.plan import FetchStrategies
from storymesh.federation.postgres import PostgresTable
from storymesh.federation.relation import Relation
from storymesh.federation.selection import KeySet, RowSelection, TimeBounds
from storymesh.federation.server import Server
from tests.support.servers import postgres

CUSTOMERS = 200_000
COLUMNS = ("tx_id", "customer_id", "booked_at", "amount")
TABLE = """
create table tx as select g::bigint as tx_id,
  'C' || lpad(((g::bigint * 7919) % {customers})::text, 6, '0') as customer_id,
  timestamptz '2021-01-01Z' + ((g::bigint * 104729) % 1096) * interval '1 day' as booked_at,
  ((g::bigint * 31) % 1000000)::numeric(12,2) / 100 as amount, 'CH' || (g % 5) as channel, 'DE' || (g % 90) as country,
  md5(g::text) as iban, repeat('note ', 5) as note from generate_series(1, {rows}) g;
alter table tx add primary key (tx_id); create index on tx (customer_id); create index on tx (booked_at); analyze tx"""
END = datetime(2023, 12, 31)
KEYS = (50, 5_000, 10_000, 50_000, 200_000)
DAYS = (None, 90, 500)


class CountingProxy:
    """Hands bytes on between clients and a server, and counts them: `down` from the server, `up` to it."""

    def __init__(self, host: str, port: int) -> None:
        self.down = self.up = 0
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for source, target, counter in ((client, server, "up"), (server, client, "down")):
                    threading.Thread(target=self._pump, args=(source, target, counter), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counter: str) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                setattr(self, counter, getattr(self, counter) + len(data))
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()


@contextmanager
def served_table(rows: int) -> Iterator[tuple[Relation, CountingProxy]]:
    """Yield a table of a PostgreSQL, and the proxy through which it is reached."""
    import psycopg2

    with postgres() as server:
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
        connection = psycopg2.connect(
            **{name: server[variable] for variable, name in names.items()}, dbname=server["PGDATABASE"]
        )
        connection.autocommit = True
        connection.cursor().execute(TABLE.format(customers=CUSTOMERS, rows=rows))
        connection.close()
        proxy = CountingProxy(server["PGHOST"], int(server["PGPORT"]))
        os.environ |= {"LEDGER_USER": server["PGUSER"], "LEDGER_PASSWORD": server["PGPASSWORD"]}
        fields = {"host": "127.0.0.1", "port": str(proxy.port), "database": server["PGDATABASE"], "sslmode": "disable"}
        try:
            yield Relation(Server("ledger", "postgresql", fields), "tx"), proxy
        finally:
            proxy.close()


def choose(_: Sequence[str]) -> Sequence[str]:
    """Return the columns that a narrative carries."""
    return COLUMNS


def selection_of(keys: int, days: int | None) -> RowSelection:
    """Return the selection by so many customers, and by so many days before the end."""
    names = pa.table({"k0": pa.array([f"C{number * CUSTOMERS // keys:06}" for number in range(keys)])})
    bounds = (TimeBounds(2, END - timedelta(days=days), END),) if days is not None else ()
    return RowSelection(bounds, (KeySet((1,), names, ("raw",)),))


def measure(relation: Relation, proxy: CountingProxy, wanted: RowSelection) -> Mapping[str, tuple[int, int, int]]:
    """Return for each way its rows, the bytes that crossed, and those that were expected to."""
    ways = FetchStrategies.of(wanted)
    estimates = PostgresTable(relation, ServerAccess(Path())).estimate(choose, ways.selections)
    found = {}
    for way, selection in ways.selections.items():
        before = proxy.down + proxy.up
        reader = PostgresTable(relation, ServerAccess(Path())).open_selected(choose, selection)
        rows = sum(batch.num_rows for batch in reader)
        time.sleep(0.05)  # what the proxy has still to count
        found[way] = rows, proxy.down + proxy.up - before, estimates[way].bytes + estimates[way].sent
    return found


def main() -> None:
    """Print a line for each set-up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    print(f"{'keys':>8} {'days':>5} {'chosen':<14} {'rows':>9} {'MB':>8} {'expected':>9} {'of all':>7} {'of best':>7}")
    with served_table(arguments.rows) as (relation, proxy):
        for keys, days in product(KEYS, DAYS):
            wanted = selection_of(keys, days)
            planning = time.monotonic()
            strategies = FetchStrategies.of(wanted)
            estimates = PostgresTable(relation, ServerAccess(Path())).estimate(choose, strategies.selections)
            planning = time.monotonic() - planning
            chosen, found = strategies.choose(estimates), measure(relation, proxy, wanted)
            rows, moved, expected = found[chosen]
            best = min(size for _, size, _ in found.values())
            shares = f"{moved / found['all rows'][1]:>7.1%} {moved / best:>7.2f} {planning:>6.2f} s"
            errors = " ".join(f"{expected / size:.2f}" for _, size, expected in found.values())
            line = f"{keys:>8,} {days or '':>5} {chosen:<14} {rows:>9,} {moved / 1e6:>8.2f} {expected / 1e6:>9.2f}"
            print(f"{line} {shares}  {errors}", flush=True)


if __name__ == "__main__":
    main()
