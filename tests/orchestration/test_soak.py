"""The soaks in their short form: some faults, always the same ones, and nothing is lost."""

import os
import subprocess
import sys

from tests.support.paths import ROOT, importable

ROUNDS = os.environ.get("STORYMESH_SOAK", "2")  # of each soak


def last_line_of(*command: str) -> str:
    """Run a soak to its end and return the last line that it prints. It has to succeed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=importable(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    assert "nothing lost" in done.stdout
    return done.stdout.splitlines()[-1]


def test_faults_at_random_moments_lose_nothing() -> None:
    assert last_line_of("-m", "benchmarks.soak", "--rounds", ROUNDS, "--seed", "5").startswith(f"{ROUNDS} faults (")


def test_kills_at_the_writes_of_operations_lose_nothing() -> None:
    last = last_line_of("-m", "benchmarks.kills", "--kills", ROUNDS, "--seed", "3")
    assert f"{ROUNDS} kills, nothing lost" in last
