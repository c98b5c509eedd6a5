"""The soaks in their short form: some faults, always the same ones, and nothing is lost."""

import os
import subprocess
import sys

from tests.support.paths import ROOT, importable

ROUNDS = os.environ.get("STORYMESH_SOAK", "2")  # of each soak
BOTH = """
import sys
from benchmarks import kills, soak
rounds = sys.argv[1]
sys.argv[1:] = ["--rounds", rounds, "--seed", "5"]
soak.main()
sys.argv[1:] = ["--kills", rounds, "--seed", "3"]
kills.main()
"""


def test_faults_at_random_moments_and_kills_at_the_writes_of_operations_lose_nothing() -> None:
    """In one process, since what they import takes as long as a run."""
    done = subprocess.run(
        [sys.executable, "-c", BOTH, ROUNDS],
        cwd=ROOT,
        env=importable(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout
    faults, kills = [line for line in done.stdout.splitlines() if "nothing lost" in line]
    assert faults.startswith(f"{ROUNDS} faults (")
    assert kills.startswith(f"{ROUNDS} kills, nothing lost")
