"""Leaves come back sorted, of any parts, from memory and from the file."""

import hashlib
from pathlib import Path

import pytest

from storymesh.engine.duckdb import leaf_spool
from storymesh.engine.duckdb.leaf_spool import LeafSpool


def leaves_of(part: int, count: int) -> list[bytes]:
    """Return leaves, some of them twice, some with zeros at their end or beginning."""
    leaves = [hashlib.sha256(f"{part} {number // 2}".encode()).digest() for number in range(count)]
    return [*leaves, bytes(32), bytes(31) + b"\1", leaves[0][:30] + bytes(2), b"\xff" * 32]


@pytest.mark.parametrize(("in_memory", "at_once"), [(1 << 20, 1 << 20), (64, 1 << 20), (64, 3), (1 << 20, 40)])
def test_leaves_come_back_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int, at_once: int) -> None:
    monkeypatch.setattr(leaf_spool, "_IN_MEMORY", in_memory)
    monkeypatch.setattr(leaf_spool, "_SORTED", at_once)
    spool = LeafSpool(tmp_path)
    runs = [(part, leaves_of(part, count)) for part, count in ((0, 300), (1, 1), (0, 40), (2, 700))]
    for part, leaves in runs:
        spool.add(b"".join(leaves), part)
    for parts in (None, {0}, {1, 2}, {0, 1, 2}, set[int]()):
        wanted = sorted(leaf for part, leaves in runs if parts is None or part in parts for leaf in leaves)
        assert b"".join(spool.sorted(parts)) == b"".join(wanted)
    assert list(tmp_path.iterdir()) == []  # the file has no name
