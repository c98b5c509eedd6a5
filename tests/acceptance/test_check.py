"""`storymesh check` answers at once, without the libraries that take seconds to import."""

import os
import subprocess
import sys

from whole_mesh import ROOT, environment

HEAVY = ("dagster", "datasets", "great_expectations", "dbt")
SECONDS = 2.0
PROGRAM = """
import sys
from storymesh.cli import main
try:
    main()
except SystemExit as end:
    print("code", end.code)
print("heavy", sorted(name for name in sys.modules if name.split(".")[0] in {heavy!r}))
"""


def test_check_is_quick_and_light() -> None:
    """In seconds of the processor: what else the machine does meanwhile is not ours to measure."""
    arguments = [sys.executable, "-c", PROGRAM.format(heavy=HEAVY), "check", "--mesh", str(ROOT)]
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, process.returncode, used = os.wait4(process.pid, 0)
    assert said.splitlines()[-2:] == ["code 0", "heavy []"], said
    assert used.ru_utime + used.ru_stime < SECONDS
