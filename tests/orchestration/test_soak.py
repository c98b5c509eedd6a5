"""The soak in its short form: some faults at random moments, always the same ones, and nothing is lost."""

import subprocess
import sys

from tests.support.paths import ROOT, importable


def test_faults_at_random_moments_lose_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/soak.py"), "--rounds", "3", "--seed", "5"],
        env=importable(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 faults ("), done.stdout
    assert "nothing lost" in done.stdout


def test_kills_at_the_writes_of_operations_lose_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kills", "--kills", "3", "--seed", "3"],
        cwd=ROOT,
        env=importable(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    assert "3 kills, nothing lost" in done.stdout.splitlines()[-1]
