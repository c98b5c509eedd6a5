"""The page of benchmarks says what was measured: medians and worst cases, who was left out, and how to run it again."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def narrative(seed: int, told: float, ours: float) -> dict[str, Any]:
    figures = {"seed": seed, "configs": ["report"], "records": 1_000, "told": told, "ours": ours, "bare": 2.0}
    return {**figures, "peaks": [300.0, 200.0], "differing": []}


def run(program: str, cpu: float) -> dict[str, Any]:
    return {
        "program": program,
        "cpu": cpu,
        "wall": 1.0,
        "peak": 2**20,
        "records": {"a": 50, "b": 50},
        "differences": [],
    }


def test_the_page_has_the_distribution_and_how_to_measure_it_again(tmp_path: Path) -> None:
    from benchmarks.page.__main__ import render_page

    (tmp_path / "datatrove" / "bin").mkdir(parents=True)
    (tmp_path / "datatrove" / "bin" / "python").write_text("#!/bin/sh\necho 0.10.1\n")
    (tmp_path / "datatrove" / "bin" / "python").chmod(0o755)
    wanted = argparse.Namespace(seeds=3, first=5, cases=4_000, delays=2_000, threads=2)
    narratives = [narrative(5, 2.0, 3.0), narrative(6, 8.0, 9.0), narrative(7, 3.0, 5.0)]
    page = render_page(wanted, tmp_path, narratives, [run("storymesh", 10.0), run("sql", 5.0)], 1.5, "abc1234")
    lines = page.splitlines()
    assert "| told | 1.50 | 4.00 | 1.00 |" in lines
    assert "| released | 2.50 | 4.50 | 1.50 |" in lines
    assert "| SQL by hand (DuckDB) | 5.0 | 1.0 | 1 | 100 | 20 | 0.50 | 0 |" in lines
    assert ", at abc1234." in page
    assert "make bench BENCH='--first 5 --seeds 3 --cases 4000 --delays 2000'" in lines
    assert "Left out, as they are not installed here: DataChain, distilabel, Data Designer." in lines
    assert "datatrove 0.10.1." in page
    assert page.endswith(".\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--peers", "nowhere"], r"nowhere/draw/bin/python is not there, and it draws the plot: make bench makes it"),
        (["--seeds", "0"], "--seeds is 0, at least 1 is wanted"),
        (["--delays", "-4"], "--delays is -4, at least 1 is wanted"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.page.__main__ import main

    monkeypatch.setattr("sys.argv", ["page", *arguments])
    monkeypatch.setattr("benchmarks.page.__main__._run", lambda *_: pytest.fail("it measures"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert words in f"{ended.value}{capsys.readouterr().err}"
