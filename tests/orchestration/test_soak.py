"""The soaks in their short form: some faults, always the same ones, and nothing is lost."""

import json
import os
import subprocess
import sys

from tests.support.paths import ROOT, importable

ROUNDS = os.environ.get("STORYMESH_SOAK", "")  # of each soak, with faults that are drawn
FAULTS = ["--rounds", ROUNDS] if ROUNDS else ["--rounds", "2", "--faults", "write", "full"]
BOTH = """
import json, sys
from benchmarks import kills, soak
for program, words in zip((soak, kills), json.loads(sys.argv[1])):
    sys.argv[1:] = words
    program.main()
"""


def test_faults_at_random_moments_and_kills_at_the_writes_of_operations_lose_nothing() -> None:
    """In one process, since what they import takes as long as a run."""
    done = subprocess.run(
        [sys.executable, "-c", BOTH, json.dumps([[*FAULTS, "--seed", "5"], ["--kills", ROUNDS or "2", "--seed", "3"]])],
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
    assert ROUNDS or faults.startswith("2 faults (full 1, write 1), ")
    assert kills.startswith(f"{ROUNDS or 2} kills, ")
