"""Small waterways, hundreds of them with a few delays each: names of which a release withholds what it knows.

The reference mesh knows six waterways, too few to learn from, and to be asked, of which names nothing is known. Here a
share of the delays happen at others. Their names are made up, and half of them come in no text for training.
"""

import shutil
from collections.abc import Iterator, Mapping
from itertools import count, islice, product
from pathlib import Path

import duckdb
from benchmarks.reference import ROOT

SHARE = 20  # one delay in so many parts of a hundred is elsewhere
COUNT = 1200
_FIRST = (
    *("Alder", "Amber", "Birch", "Brant", "Cedar", "Copper", "Dorn", "Drake", "Elder", "Ember"),
    *("Falken", "Glen", "Hazel", "Inver", "Juno", "Kestrel", "Lark", "Maple", "Norden", "Otter"),
    *("Pine", "Quill", "Raven", "Silver", "Thorn", "Ulster", "Vane", "Willow", "Yarrow", "Zeal"),
)
_SECOND = ("bury", "ford", "gate", "haven", "holm", "mouth", "ness", "port", "sund", "wick")
_KINDS = ("Canal", "Channel", "Locks", "Narrows", "Passage", "River", "Sound", "Strait")


def _names() -> Iterator[str]:
    """Yield names; every second one, which a release holds out, has a first part that no other has."""
    places = list(product(_SECOND, _KINDS))
    for turn in count():
        for half in (_FIRST[::2], _FIRST[1::2]):
            second, kind = places[(turn // len(half) * 37 + turn % len(half) * 7) % len(places)]
            yield f"{half[turn % len(half)]}{second} {kind}"


# Codes -> names.
WATERWAYS: Mapping[str, str] = {name.lower().replace(" ", "_"): name for name in islice(_names(), COUNT)}


def mesh_with_waterways(root: Path) -> Path:
    """Make a copy of the reference mesh in `root` whose delays may be at these waterways too."""
    for part in ("contracts", "domains"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("target", "logs", "*.duckdb"))
    contract = root / "contracts" / "shipping" / "shipment_delays.odcs.yaml"
    last = "          - {value: baltimore_channel, label: Fort McHenry Channel (Baltimore)}\n"
    text = contract.read_text(encoding="utf-8")
    if text.count(last) != 1:
        raise SystemExit(f"{contract} does not list the waterways as it did: one line {last.strip()!r} is wanted")
    more = "".join(f"          - {{value: {code}, label: {name}}}\n" for code, name in WATERWAYS.items())
    contract.write_text(text.replace(last, last + more), encoding="utf-8")
    return root


def move_delays(products: Path, into: Path) -> Path:
    """Copy products to `into`, with a share of the delays, drawn by their ids, elsewhere. What was done and how it went
    stays as it was."""
    shutil.copytree(products, into)
    delays = into / "shipment_delays.parquet"
    codes = list(WATERWAYS)
    with duckdb.connect() as db:
        db.execute("SET enable_progress_bar = false")
        drawn = "(md5_number_lower(delay_id) >> 1)::BIGINT"
        db.execute(
            f"""COPY (SELECT * REPLACE (
                CASE WHEN {drawn} % 100 < {SHARE} THEN ?[1 + {drawn} // 100 % {len(codes)}] ELSE waterway END
                AS waterway) FROM '{products / delays.name}') TO '{delays}' (FORMAT parquet)""",
            [codes],
        )
    return into
