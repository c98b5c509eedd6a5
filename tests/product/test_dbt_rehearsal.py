"""The process that dbt's processes are forked from: what it does beforehand has to work with the dbt that there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REHEARSE = """\
import sys
from pathlib import Path
from storymesh.product.dbt_warmup import warm_up, fork_unsafe_state
before = fork_unsafe_state()
result = warm_up(Path(sys.argv[1]))
print()
print(result.success, fork_unsafe_state() == before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_dbt_parses_the_rehearsed_project_and_leaves_a_process_that_may_be_forked(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", REHEARSE, str(tmp_path / "rehearsal")]
    done = subprocess.run(
        command, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "True True"
    assert "warn" not in done.stdout.lower() and "deprecat" not in done.stdout.lower()
    assert [path.name for path in tmp_path.iterdir()] == ["rehearsal"]
