"""`kill -9` at any moment, again and again, then `run`: it completes, and nothing is lost or doubled."""

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.whole_mesh import Elsewhere, Preloaded, Ran, locks, products, rows_of, statuses, timed, unswept

KILLS = int(os.environ.get("STORYMESH_KILLS", "1"))  # of each mesh


# What kills do to a run after a change, test_soak tries in the short form too.
@pytest.fixture(params=["a first run", "a change"] if KILLS > 1 else ["a first run"])
def undisturbed(
    request: pytest.FixtureRequest,
    plain_files: Ran,
    plain_files_elsewhere: Elsewhere,
    preloaded: Preloaded,
    tmp_path: Path,
) -> Elsewhere:
    """What a run gives that nobody kills: on a fresh mesh, or on one with a release after a source has changed."""
    if request.param == "a first run":
        return plain_files_elsewhere
    start = Path(shutil.copytree(plain_files.mesh, tmp_path / "start"))
    trucks = start / "domains/fleet/sources/trucks.csv"
    trucks.write_text(trucks.read_text(encoding="utf-8").replace("T03,reefer", "T03,box"), encoding="utf-8")
    return timed(start, tmp_path / "undisturbed", preloaded)


def test_after_kills_the_next_run_completes(undisturbed: Elsewhere, tmp_path: Path, preloaded: Preloaded) -> None:
    mesh = Path(shutil.copytree(undisturbed.start, tmp_path / "mesh"))
    wanted = products(undisturbed.ran.mesh)
    releases = [lock["digest"] for lock in locks(undisturbed.ran.mesh, "roadside")]
    moments = [(part + random.random()) / KILLS * undisturbed.seconds for part in range(KILLS)]
    random.shuffle(moments)
    for moment in moments:
        process = preloaded.start("run", mesh=mesh)
        time.sleep(moment)
        with suppress(ProcessLookupError):  # it may have come to its end
            os.kill(process, signal.SIGKILL)
        killed = preloaded.ended()
        assert killed.code in (-signal.SIGKILL, 0), f"killed after {moment:.1f} s:\n{killed.output}"
        seen = products(mesh)
        assert all(versions == wanted[product][: len(versions)] for product, versions in seen.items())
        for product in (product for product, versions in seen.items() if versions):
            rows_of(mesh, product)  # whoever reads now reads a whole snapshot
        if (mesh / "releases/roadside").is_dir():
            left = list((mesh / "releases/roadside").glob("1.0.0-*"))
            assert all((folder / "release.json").is_file() for folder in left)

    ran = preloaded.run("run", mesh=mesh)
    assert ran.code == 0, f"killed after {moments} s, then:\n{ran.output}"
    assert products(mesh) == wanted
    assert [lock["digest"] for lock in locks(mesh, "roadside")] == releases
    assert [lock["version"] for lock in locks(mesh, "roadside")][-1] == f"1.0.0-r{len(releases)}"
    for product, key in (("fleet.trucks", "truck_id"), ("road.breakdowns", "breakdown_id")):
        rows = rows_of(mesh, product)
        assert len({row[key] for row in rows}) == len(rows)
    assert not list(unswept(mesh)), "files that nobody can read are left behind"
    assert statuses(mesh) <= {"SUCCESS", "FAILURE"}, "a run that was killed still counts as running"
