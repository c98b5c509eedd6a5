"""The peer in pandas: a careful program for the same cases and precedents, without a loop over rows.

pandas and NumPy find which rows belong together; Arrow carries what they hold and makes rows and lists of them.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from benchmarks.cases.compare import ROLES
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Times = NDArray[np.datetime64]
Holds = Callable[[Ints, Ints], NDArray[np.bool_]]
"""Positions of cases and of rows -> whether they belong together."""
DAY = np.timedelta64(1, "D")
CUTS = (np.datetime64("2024-01-01", "us"), np.datetime64("2024-07-01", "us"))
EMBARGO = 14 * DAY
LEAST, QUOTES, Z95 = 5, 3, 1.959963984540054
ROW_GROUP = 20_480


def cases(products: Path, out: Path) -> int:
    """Writes cases.parquet and splits.parquet under `out`; returns the number of cases."""
    pa.set_cpu_count(int(os.environ["STORYMESH_THREADS"]))
    delays = pq.read_table(products / "shipment_delays.parquet")
    shipments = pq.read_table(products / "shipments.parquet")
    ports = pq.read_table(products / "ports.parquet")
    disruptions = pq.read_table(products / "disruptions.parquet").sort_by(
        [("started_at", "ascending"), ("disruption_id", "ascending")]
    )
    resolutions = pq.read_table(products / "resolutions.parquet").sort_by(
        [("decided_at", "ascending"), ("resolution_id", "ascending")]
    )
    size: int = delays.num_rows
    at, closes = _times(delays["detected_at"]), _times(delays["arrived_at"])

    shipment = _positions(shipments["shipment_id"], delays["shipment_id"])
    place = _positions(ports["un_locode"], delays["location"])
    disruption = _linked(
        disruptions["waterway"],
        delays["waterway"],
        lambda case, row: (
            (_times(disruptions["started_at"])[row] <= at[case] + 2 * DAY)
            & ~(_times(disruptions["ended_at"])[row] < at[case] - 2 * DAY)
        ),
    )
    decided = _times(resolutions["decided_at"])
    resolution = _linked(
        resolutions["shipment_id"],
        delays["shipment_id"],
        lambda case, row: (decided[row] >= at[case]) & (decided[row] <= at[case] + 30 * DAY),
    )
    last = _last(resolution, np.ones(len(resolution[1]), dtype=bool), size)
    asked = _last(resolution, decided[resolution[1]] <= at[resolution[0]], size)

    consignee = shipments["consignee"].combine_chunks().dictionary_encode()
    shipments = shipments.set_column(
        shipments.column_names.index("consignee"),
        "consignee",
        _pseudonyms(consignee.dictionary).take(consignee.indices),
    )
    recovered = pc.subtract(delays["expected_delay_hours"], delays["final_delay_hours"]).combine_chunks()
    action = _take(resolutions["action_code"], last)
    judged = ~np.isnat(closes) & (last >= 0) & recovered.is_valid().to_numpy(zero_copy_only=False)
    known = np.maximum(np.maximum(at, closes), np.where(last >= 0, decided[last], at))
    cargo = _take(shipments["cargo_type"], np.where(_take_times(shipments["booked_at"], shipment) <= at, shipment, -1))
    unsettled = pa.array(~(_take_times(resolutions["settled_at"], asked) <= at))
    asked_step = _rows("resolution", resolutions, asked, masked={"cost_usd": unsettled, "settled_at": unsettled})

    nothing = pa.nulls(size, pa.string())
    table = pa.table(
        {
            "case_id": delays["delay_id"],
            "at": delays["detected_at"],
            "closes": delays["arrived_at"],
            "delay": _rows("delay", delays, np.arange(size)),
            "shipment": _rows("shipment", shipments, shipment),
            "place": _rows("place", ports, place),
            "disruption": _lists("disruption", disruptions, disruption, size),
            "resolution": _lists("resolution", resolutions, resolution, size),
            "dropped": pc.if_else(pa.array(shipment < 0), "shipment: none", nothing),
            "question_dropped": nothing,
            "hindsight": _struct(recovered_hours=recovered, last_step=_rows("resolution", resolutions, last)),
            "question": _struct(last_step=asked_step),
            "match": _struct(waterway=delays["waterway"].combine_chunks(), cargo_type=cargo),
            "outcome": _struct(
                ~judged,
                action=action,
                score=recovered,
                worked=pc.greater_equal(recovered, pa.scalar(Decimal("24.00"), recovered.type)),
            ),
            "status": pa.array(np.select([np.isnat(closes), judged], ["open", "judged"], "unjudged")),
            "known": pa.array(np.where(judged, known, np.datetime64("NaT"))),
        }
    )
    _write(out / "cases.parquet", [table])
    _write(out / "splits.parquet", [_splits(table, shipment)])
    return size


def precedents(out: Path) -> int:
    """Writes precedents.parquet under `out`, from the files of `cases`; returns the number of its rows."""
    table = pq.read_table(out / "cases.parquet", columns=["case_id", "at", "closes", "match", "outcome", "known"])
    splits = pq.read_table(out / "splits.parquet", columns=["case_id", "split"])
    ranks = pd.Series({"train": 0, "validation": 1, "test": 2})
    placed = pd.DataFrame(
        {
            "row": _positions(table["case_id"], splits["case_id"]),
            "rank": splits["split"].to_pandas().map(ranks),
        }
    )
    match, outcome = table["match"].combine_chunks(), table["outcome"].combine_chunks()
    row, at = placed["row"].to_numpy(), _times(table["at"])
    frame = pd.DataFrame(
        {
            "row": row,
            "rank": placed["rank"].to_numpy(),
            "day": at[row].astype("datetime64[D]").astype(np.int64),
            "waterway": _codes(match.field("waterway"))[row],
            "cargo": _codes(match.field("cargo_type"))[row],
            "action": _codes(outcome.field("action"), sort=True)[row],
            "judged": outcome.is_valid().to_numpy(zero_copy_only=False)[row],
        }
    )
    actions = pa.array(sorted(pc.unique(outcome.field("action")).drop_null().to_pylist()))
    # What is not kept asks nothing, and counts in the time of its own split all the same.
    happened = frame.assign(rank=np.select([at[row] < CUTS[0], at[row] < CUTS[1]], [0, 1], 2))
    frame = frame.dropna(subset="rank").astype({"rank": np.int64})
    probes = frame[["rank", "day", "waterway", "cargo"]].drop_duplicates(ignore_index=True)
    events = _events(happened, sorted(frame["rank"].unique()), table, outcome)

    strict = _counted(events[events["cargo"] >= 0], probes, ["rank", "waterway", "cargo"])
    loose = _counted(events, probes, ["rank", "waterway"])
    reached = [level.groupby("probe")["tried"].sum() for level in (strict, loose)]
    enough = [total.index[total >= LEAST] for total in reached]
    strict = strict[strict["probe"].isin(enough[0])].assign(level=1)
    loose = loose[loose["probe"].isin(enough[1].difference(enough[0]))].assign(level=2)
    options = pd.concat([strict, loose], ignore_index=True)
    p, n = options["worked"] / options["tried"], options["tried"]
    low = (p + Z95**2 / (2 * n) - Z95 * np.sqrt((p * (1 - p) + Z95**2 / (4 * n)) / n)) / (1 + Z95**2 / n)
    options["low"] = np.where(options["worked"] == 0, 0.0, low)
    order = np.lexsort((options["action"], -options["tried"], -options["low"], options["probe"]))
    options = options.iloc[order].reset_index(drop=True)

    told = _option_rows(options, actions, table, outcome)
    answers = _answers(options, told, len(probes))
    probe = probes.reset_index(names="probe").merge(frame, on=["rank", "day", "waterway", "cargo"], how="right")
    ids = table["case_id"].combine_chunks().take(pa.array(probe["row"].to_numpy()))
    which = probe["probe"].to_numpy()
    step = 5 * ROW_GROUP  # a nested copy for each case is the bulk of it, so it is made some at a time
    chunks = (
        pa.table(
            {"case_id": ids[start : start + step], "precedents": answers.take(pa.array(which[start : start + step]))}
        )
        for start in range(0, len(which), step)
    )
    _write(out / "precedents.parquet", chunks)
    return len(which)


def _splits(table: pa.Table, shipment: Ints) -> pa.Table:
    ids = table["case_id"].to_pandas()
    at, closes = _times(table["at"]), _times(table["closes"])
    rank = np.select([at < CUTS[0], at < CUTS[1]], [0, 1], 2)
    together = np.where(shipment >= 0, shipment, -1 - np.arange(len(shipment)))
    grouped = pd.DataFrame({"id": ids, "rank": rank}).groupby(together)
    limit = np.select([rank == 0, rank == 1], [cut - EMBARGO for cut in CUTS], np.datetime64("NaT"))
    late = (rank < 2) & (np.isnat(closes) | (closes > limit))
    dropped = np.select([rank < grouped["rank"].transform("max"), late], ["straddles", "embargo"], "")
    split = np.where(dropped == "", np.array(["train", "validation", "test"])[rank], "")
    return pa.table(
        {
            "case_id": table["case_id"],
            "split": pa.array(split, mask=split == ""),
            "dropped": pa.array(dropped, mask=dropped == ""),
            "component": pa.array(grouped["id"].transform("min")),
        }
    )


def _events(happened: pd.DataFrame, asked: list[int], table: pa.Table, outcome: pa.StructArray) -> pd.DataFrame:
    """What can be a precedent, once for each split that may ask for it."""
    judged = happened[happened["judged"]].drop(columns=["judged", "day"])
    row = judged["row"].to_numpy()
    known = _times(table["known"])[row]
    # Ids sort as numbers do once each has its place among all.
    place = np.empty(table.num_rows, dtype=np.int64)
    place[pc.sort_indices(table["case_id"]).to_numpy()] = np.arange(table.num_rows)
    judged = judged.assign(
        known=known.astype(np.int64),
        known_day=known.astype("datetime64[D]").astype(np.int64),
        id_place=place[row],
        worked=outcome.field("worked").take(pa.array(row)).to_numpy(zero_copy_only=False).astype(np.int64),
        score=_hundredths(outcome.field("score")).take(pa.array(row)).to_numpy(zero_copy_only=False),
    )
    copies = [judged[judged["rank"] <= rank].assign(rank=rank) for rank in asked]
    asking: pd.DataFrame = pd.concat(copies, ignore_index=True)
    return asking


def _counted(events: pd.DataFrame, probes: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """For each probe and action: how many were tried before its day, and the rows of the latest known of them.

    The events of a cell lie together in the order in which they came to be known, so that a search finds both."""
    cells = events.groupby([*keys, "action"], sort=True).ngroup().to_numpy()
    order = np.lexsort((-events["id_place"].to_numpy(), events["known"].to_numpy(), cells))
    sorted_cells, days = cells[order], events["known_day"].to_numpy()[order]
    first = np.searchsorted(sorted_cells, np.arange(cells.max() + 1)) if len(cells) else np.empty(0, dtype=np.int64)
    named = events.iloc[order[first]][[*keys, "action"]].assign(cell=np.arange(len(first)))
    wanted = probes.reset_index(names="probe").merge(named, on=keys)
    span = 1_000_000  # more days than any date has
    before = np.searchsorted(sorted_cells * span + days, wanted["cell"].to_numpy() * span + wanted["day"].to_numpy())
    start = first[wanted["cell"].to_numpy()]
    sums = {name: np.concatenate([[0], np.cumsum(events[name].to_numpy()[order])]) for name in ("worked", "score")}
    rows = events["row"].to_numpy()[order]
    counted = wanted[["probe", "action"]].assign(
        tried=before - start,
        **{name: total[before] - total[start] for name, total in sums.items()},
        **{f"row_{back}": rows[np.maximum(before - 1 - back, 0)] for back in range(QUOTES)},
    )
    return counted[counted["tried"] > 0]


def _option_rows(options: pd.DataFrame, actions: pa.Array, table: pa.Table, outcome: pa.StructArray) -> pa.StructArray:
    tried = options["tried"].to_numpy()
    quoted = np.minimum(tried, QUOTES)
    rows = np.stack([options[f"row_{back}"].to_numpy() for back in range(QUOTES)], axis=1)
    rows = pa.array(rows[np.arange(QUOTES) < quoted[:, None]])
    quotes = _struct(
        id=table["case_id"].combine_chunks().take(rows),
        at=table["at"].combine_chunks().take(rows),
        closes=table["closes"].combine_chunks().take(rows),
        score=outcome.field("score").take(rows),
        worked=outcome.field("worked").take(rows),
    )
    return _struct(
        action=actions.take(pa.array(options["action"].to_numpy())),
        tried=pa.array(tried),
        worked=pa.array(options["worked"].to_numpy()),
        rate=pa.array((options["worked"] / options["tried"]).to_numpy()),
        mean_score=pa.array((options["score"] / 100 / options["tried"]).to_numpy()),
        quoted=pa.ListArray.from_arrays(_offsets(quoted), quotes),
    )


def _answers(options: pd.DataFrame, told: pa.StructArray, probes: int) -> pa.StructArray:
    probe = options["probe"].to_numpy()
    able = options["tried"].to_numpy() >= LEAST
    good = able & (options["worked"].to_numpy() > 0)
    place = np.arange(len(options))
    best = np.full(probes, -1)
    best[probe[good][::-1]] = place[good][::-1]  # of several, what is written last stays
    worst = np.full(probes, -1)
    worst[probe[able]] = place[able]
    level, tried = np.zeros(probes, dtype=np.int64), np.zeros(probes, dtype=np.int64)
    level[probe] = options["level"]
    np.add.at(tried, probe, options["tried"].to_numpy())
    return _struct(
        enough=pa.array(level > 0),
        level=pa.array(level, mask=level == 0),
        tried=pa.array(tried),
        best=_take(told, best),
        worst=_take(told, worst),
        options=pa.ListArray.from_arrays(_offsets(np.bincount(probe, minlength=probes)), told),
    )


def _positions(among: pa.ChunkedArray, wanted: pa.ChunkedArray) -> Ints:
    """Where each wanted value stands among unique ones; -1 where it does not."""
    found: Ints = pd.Index(among.to_pandas()).get_indexer(pd.Index(wanted.to_pandas())).astype(np.int64)
    return found


def _linked(theirs: pa.ChunkedArray, ours: pa.ChunkedArray, holds: Holds) -> tuple[Ints, Ints]:
    """Positions of cases and of their rows, by case, rows in their own order."""
    left = pd.DataFrame({"key": ours.to_pandas(), "case": np.arange(len(ours))})
    right = pd.DataFrame({"key": theirs.to_pandas(), "row": np.arange(len(theirs))})
    pairs = left.merge(right, on="key")
    case, row = pairs["case"].to_numpy(), pairs["row"].to_numpy()
    met = holds(case, row)
    case, row = case[met], row[met]
    order = np.lexsort((row, case))
    return case[order], row[order]


def _last(linked: tuple[Ints, Ints], met: NDArray[np.bool_], size: int) -> Ints:
    found = np.full(size, -1)
    found[linked[0][met]] = linked[1][met]
    return found


def _rows(role: str, table: pa.Table, positions: Ints, masked: dict[str, pa.Array] | None = None) -> pa.StructArray:
    taken = {name: _take(table[name], positions) for name in ROLES[role]}
    for name, mask in (masked or {}).items():
        taken[name] = pc.if_else(mask, pa.scalar(None, taken[name].type), taken[name])
    return _struct(positions < 0, **taken)


def _lists(role: str, table: pa.Table, linked: tuple[Ints, Ints], size: int) -> pa.ListArray:
    counts = np.bincount(linked[0], minlength=size)
    return pa.ListArray.from_arrays(_offsets(counts), _rows(role, table, linked[1]))


def _struct(absent: NDArray[np.bool_] | None = None, /, **fields: pa.Array) -> pa.StructArray:
    mask = None if absent is None else pa.array(absent)
    arrays = [value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value for value in fields.values()]
    return pa.StructArray.from_arrays(arrays, names=list(fields), mask=mask)


def _take(values: pa.Array | pa.ChunkedArray, positions: Ints) -> pa.Array:
    """The values at the positions, null for -1."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return whole.take(pa.array(positions, mask=positions < 0))


def _take_times(values: pa.ChunkedArray, positions: Ints) -> Times:
    return np.where(positions >= 0, _times(values)[positions], np.datetime64("NaT"))


def _times(values: pa.ChunkedArray) -> Times:
    times: Times = values.to_numpy().astype("datetime64[us]")
    return times


def _codes(values: pa.Array, *, sort: bool = False) -> Ints:
    codes: Ints = pd.factorize(values.to_pandas(), sort=sort)[0].astype(np.int64)
    return codes


def _hundredths(values: pa.Array) -> pa.Array:
    return pc.multiply(values, pa.scalar(Decimal(100), pa.decimal128(3, 0))).cast(pa.int64())


def _pseudonyms(names: pa.Array) -> pa.Array:
    import hashlib

    key = os.environ["STORYMESH_PSEUDONYM_KEY"]
    return pa.array([f"p-{hashlib.sha256(f'{key}|{name}'.encode()).hexdigest()[:12]}" for name in names.to_pylist()])


def _offsets(counts: Sequence[int] | Ints) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    writer = None
    for table in tables:
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=ROW_GROUP)
    if writer:
        writer.close()
