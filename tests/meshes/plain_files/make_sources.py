"""The sources of this mesh, one file of each kind, from nothing but arithmetic: the same rows wherever it runs."""

import csv
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook

DOMAINS = Path(__file__).parent / "domains"
TRUCKS, BREAKDOWNS = 24, 180
CITIES = ("Arnhem", "Brno", "Coimbra")
NAMES = ("Ana", "Björn", "Chloé", "Dag", "Élise", "Faruk")
FAULTS = ("tyre", "engine", "cooling")
REMEDIES = ("tow", "fix_on_site", "swap_truck")


def main() -> None:
    begin = datetime(2024, 1, 2, 6)
    happened = [begin + timedelta(hours=37 * n) for n in range(BREAKDOWNS)]
    remedies = [REMEDIES[(n * 7 // 3) % 3] for n in range(BREAKDOWNS)]
    good = [n % 10 < {"tow": 3, "fix_on_site": 8, "swap_truck": 6}[remedies[n]] for n in range(BREAKDOWNS)]
    # The last three trucks still stand, so nobody knows yet how long they will.
    lost: list[float | None] = [(3.5 if good[n] else 11.25) + n % 4 for n in range(BREAKDOWNS)]
    lost[-3:] = [None, None, None]
    running = [
        None if hours is None else moment + timedelta(hours=hours) for moment, hours in zip(happened, lost, strict=True)
    ]

    with (DOMAINS / "fleet/sources/trucks.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["truck_id", "body", "depot_id", "driver"])
        for n in range(TRUCKS):
            out.writerow([f"T{n:02}", "reefer" if n % 2 else "box", f"D{n % 3}", f"{NAMES[n % 6]} {n}"])

    book = Workbook()
    book.active.append(["depot_id", "city", "opened_on"])
    for n, city in enumerate(CITIES):
        book.active.append([f"D{n}", city, date(2001 + n, 5, 1)])
    book.save(DOMAINS / "fleet/sources/depots.xlsx")

    table = pa.table(
        {
            "breakdown_id": [f"B{n:03}" for n in range(BREAKDOWNS)],
            "truck_id": [f"T{(n * 5) % TRUCKS:02}" for n in range(BREAKDOWNS)],
            "happened_at": pa.array(happened, pa.timestamp("us")),
            "fault": [FAULTS[n % 3] for n in range(BREAKDOWNS)],
            "expected_hours": pa.array([10.0 + n % 4 for n in range(BREAKDOWNS)], pa.float64()),
            "running_at": pa.array(running, pa.timestamp("us")),
            "lost_hours": pa.array(lost, pa.float64()),
        }
    )
    pq.write_table(table, DOMAINS / "road/sources/breakdowns.parquet")

    with (DOMAINS / "road/sources/repairs.jsonl").open("w", encoding="utf-8") as file:
        for n in range(BREAKDOWNS):
            if n % 20 != 19:  # for some nobody wrote down what was done
                decided = happened[n] + timedelta(minutes=40)
                row = {
                    "repair_id": f"R{n:03}",
                    "breakdown_id": f"B{n:03}",
                    "decided_at": decided.isoformat(),
                    "remedy": remedies[n],
                }
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
