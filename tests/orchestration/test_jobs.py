"""What operators start: jobs with their launchpad, and schedules."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob

from storymesh.errors import DefinitionErrors
from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration import definitions
from storymesh.orchestration.instance import open_instance
from storymesh.release.catalog import list_releases

NARRATIVES = "narratives/definitions.py"


def repository(root: Path, file: str = NARRATIVES) -> dg.RepositoryDefinition:
    return definitions(str(root / file)).get_repository_def()


def execute(root: Path, job: str, **config: Any) -> tuple[bool, dict[str, Any], str]:
    """Whether the job went through, what its only op left beside its result, and what it failed with."""
    found = repository(root).get_job(job)
    (op,) = found.nodes
    with open_instance(load_mesh(root)) as instance:
        done = found.execute_in_process(
            instance=instance, run_config={"ops": {op.name: {"config": config}}}, raise_on_error=False
        )
    outputs = [event.step_output_data.metadata for event in done.all_events if event.is_successful_output]
    failed = [event.step_failure_data.user_failure_data for event in done.all_events if event.is_step_failure]
    words = str(failed[0].description) if failed and failed[0] is not None else ""
    return done.success, {name: value.value for name, value in outputs[0].items()} if outputs else {}, words


def test_launchpad_refreshes_rebuilds_and_forgets(harbour: Path) -> None:
    done, metadata, _ = execute(harbour, "refresh_all")
    assert done
    assert metadata["new"] == 3, "two products and a narrative"
    assert (harbour / metadata["log"]).is_file()
    done, metadata, _ = execute(harbour, "refresh_all", narratives=["late-repairs"], only=True)
    assert (done, metadata["unchanged"]) == (True, 1)
    done, _, words = execute(harbour, "refresh_all", only=True)
    assert not done
    assert "names of narratives" in words

    done, metadata, _ = execute(harbour, "rebuild", release="late-repairs", into="again")
    assert (done, metadata["release"], metadata["same"]) == (True, "late-repairs 1.0.0-r1", True)
    assert (harbour / "again/release.json").is_file()
    done, _, words = execute(harbour, "rebuild", release="late-repairs", into="../outside")
    assert not done
    assert "does not lie below" in words

    listed = harbour / ".storymesh/forget.csv"
    listed.write_text("product,key\nyard.repairs,no such repair\n", encoding="utf-8")
    done, _, words = execute(harbour, "forget", really=True)
    assert not done
    assert "no such repair" not in words, "Dagster keeps what is said here"
    listed.write_text("product,key\nyard.repairs,R003\nyard.repairs,R004\n", encoding="utf-8")
    done, metadata, _ = execute(harbour, "forget")
    assert (done, metadata["releases_that_used_them"], metadata["successors"]) == (True, 1, "")
    done, metadata, _ = execute(harbour, "forget", really=True, remove_old=True)
    assert (done, metadata["successors"], metadata["removed"]) == (
        True,
        "late-repairs 1.0.0-r2",
        "late-repairs 1.0.0-r1",
    )
    assert not listed.exists()
    assert [release.version for release in list_releases(harbour / "releases")] == ["1.0.0-r2"]


def test_failed_run_continues_from_its_failed_step(harbour: Path) -> None:
    """As *Re-execute from failure* of the user interface does it, in its executor."""
    in_the_way = harbour / "releases/late-repairs"
    in_the_way.parent.mkdir()
    in_the_way.write_text("a release cannot be written here", encoding="utf-8")
    assert not execute(harbour, "refresh_all")[0]
    file = harbour / "job.py"
    lines = ("from storymesh.orchestration import definitions", f"defs = definitions({str(harbour / NARRATIVES)!r})")
    file.write_text("\n".join([*lines, "job = defs.resolve_job_def('release_late_repairs')\n"]), encoding="utf-8")
    job = ReconstructableJob.for_file(str(file), "job")
    with open_instance(load_mesh(harbour)) as instance:
        with dg.execute_job(job, instance, raise_on_error=False) as failed:
            assert not failed.success
        in_the_way.unlink()
        options = dg.ReexecutionOptions.from_failure(failed.run_id, instance)
        config = {"ops": {"late_repairs__release": {"config": {"shard_rows": 20}}}}
        with dg.execute_job(job, instance, run_config=config, reexecution_options=options) as again:
            assert again.success
            begun = [event.step_key for event in again.all_events if event.is_step_start]
    assert begun == ["late_repairs__release"], "what went through is not run again"
    shards = list(harbour.glob("releases/late-repairs/1.0.0-r1/data/report/train-*.parquet"))
    assert len(shards) > 1, "the launchpad's setting holds"


def test_launchpad_describes_every_field(harbour: Path) -> None:
    for name in ("refresh_all", "rebuild", "forget"):
        (op,) = repository(harbour).get_job(name).nodes
        for field in op.definition.config_schema.config_type.fields.values():
            assert field.description, f"{name} says nothing of a field"


def test_schedule_in_a_file_is_a_schedule_in_dagster(harbour: Path, edit: Callable[[str, str, str], None]) -> None:
    assert repository(harbour).schedule_defs == []
    edit("domains/fleet/domain.yaml", "id: fleet", "id: fleet\nschedule: 0 6 * * 1-5")
    (harbour / "mesh.yaml").write_text("schedule: 30 7 * * *\n", encoding="utf-8")
    (ours,) = repository(harbour, "domains/fleet/definitions.py").schedule_defs
    (whole,) = repository(harbour).schedule_defs
    assert (ours.job_name, ours.cron_schedule) == ("refresh_fleet", "0 6 * * 1-5")
    assert (whole.job_name, whole.cron_schedule) == ("refresh_all", "30 7 * * *")
    edit("domains/fleet/domain.yaml", "0 6 * * 1-5", "every morning")
    with pytest.raises(DefinitionErrors, match=r"domains/fleet/domain\.yaml:\d+:11: .*'every morning' is no schedule"):
        load_mesh(harbour)
