"""The files of a product read in shards by Dagster and by the command, and published once all are there."""

import json
import warnings
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from storymesh.cli.app import app
from storymesh.errors import WrongUsage
from storymesh.files.shard import Shard, parse_shard
from storymesh.orchestration import definitions
from storymesh.orchestration.assets.keys import product_key, shards_key
from storymesh.orchestration.run.execute import execute_run
from storymesh.orchestration.run.selection import read_terms
from tests.files.conftest import FilesDesk
from tests.files.test_extraction import CONTRACT, FILES, PROMPT, PROMPT_PATH, row, told
from tests.support.model_server import Call, Raw, Server

PRODUCT, SHARDS = product_key("carrier.mails"), shards_key("carrier.mails")


class Location:
    """The code location of a desk, as Dagster has it, and its automation sensor, asked tick after tick."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor = instance, None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.repository = definitions(str(root / "domains/carrier/definitions.py")).get_repository_def()

    def look_at_files(self) -> None:
        [sensor] = [sensor for sensor in self.repository.sensor_defs if sensor.name == "new_files_carrier"]
        result = sensor.evaluate_tick(dg.build_sensor_context(self.instance, repository_def=self.repository))
        for seen in result.asset_events:
            self.instance.report_runless_asset_event(seen)

    def asked(self) -> dict[dg.AssetKey, set[str | None]]:
        """Return what the next tick asks for: assets, with their partitions."""
        [sensor] = [sensor for sensor in self.repository.sensor_defs if sensor.name == "new_snapshots_carrier"]
        tick = sensor.evaluate_tick(dg.build_sensor_context(self.instance, self.cursor, repository_def=self.repository))
        self.cursor = tick.cursor
        found: dict[dg.AssetKey, set[str | None]] = {}
        for request in tick.run_requests or []:
            for key in request.asset_selection or []:
                found.setdefault(key, set()).add(request.partition_key)
            for part in request.asset_graph_subset.iterate_asset_partitions() if request.asset_graph_subset else ():
                found.setdefault(part.asset_key, set()).add(part.partition_key)
        return found

    def make(self, key: dg.AssetKey, partition: str | None = None) -> dict[str, Any]:
        """Make an asset in a run of its own, and return the metadata of it."""
        assets = [item for item in self.repository.assets_defs_by_key.values() if item.is_executable]
        result = dg.materialize(assets, selection=[key], partition_key=partition, instance=self.instance)
        events = [event.materialization for event in result.get_asset_materialization_events()]
        [made] = [event for event in events if event.asset_key == key]
        return {name: value.value for name, value in made.metadata.items()}


def test_shards_are_partitions_that_are_read_before_the_product_is_published(desk: FilesDesk) -> None:
    desk.files = desk.files.replace("take:", "shards: 3\ntake:")
    for number in range(12):
        desk.mail(f"m{number}.eml", f"subject {number}")
    desk.mesh()
    with dg.DagsterInstance.ephemeral() as instance:
        location = Location(desk.root, instance)
        location.look_at_files()
        read = [location.make(SHARDS, f"{number}-of-3") for number in (1, 2, 3)]
        assert sum(found["read"] for found in read) == 12
        published = location.make(PRODUCT)
        assert published["dagster/row_count"] == 12
        assert desk.gather().opened == 0, "the product took over what its shards had read"
        assert location.asked() == {}
        desk.mail("new.eml", "is new")
        location.look_at_files()
        assert location.asked() == {SHARDS: {f"{number}-of-3" for number in (1, 2, 3)}}
        read = [location.make(SHARDS, f"{number}-of-3") for number in (1, 2, 3)]
        assert sum(found["read"] for found in read) == 1
        assert location.asked() == {PRODUCT: {None}}
        assert location.make(PRODUCT)["dagster/row_count"] == 13
        assert location.asked() == {}


def test_a_shard_is_read_by_a_command_and_its_answers_are_paid_once(
    desk: FilesDesk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STORYMESH_NARRATOR_KEY", "none-needed")

    def answer(call: Call) -> Raw:
        number = int(call.prompt.split("SHP-")[1][:6])
        return told(row(f"SHP-{number:06}", number + 10, f"{number + 10} hours late", None))

    with Server(answer) as server:
        desk.contract, desk.files, desk.more[PROMPT_PATH] = CONTRACT, FILES.replace("URL", server.url), PROMPT
        for number in range(10):
            desk.mail(f"{number}.eml", body=f"SHP-{number:06} is {number + 10} hours late.")
        mesh = desk.mesh()
        found = [
            CliRunner().invoke(
                app, ["run", "carrier", "--shard", f"{n}/2", "--mesh", str(desk.root), "--format", "json"]
            )
            for n in (1, 2)
        ]
        assert [item.exit_code for item in found] == [0, 0], found[0].output
        shards = [json.loads(item.stdout)["shards"][0] for item in found]
        assert (sum(item["listed"] for item in shards), sum(item["calls"] for item in shards)) == (10, 10)
        # A run makes the product of what the shards have, and reads no partition itself.
        outcome = execute_run(mesh, read_terms(mesh, ["carrier"]), lambda _: None, tmp_path / "log")
        assert outcome.success
        assert len(server.calls) == 10
        assert [shard.has("a") for shard in (Shard(1, 2), Shard(2, 2))].count(True) == 1


@pytest.mark.parametrize("written", ["0/3", "4/3", "1/65", "x", "1-of-3"])
def test_what_is_no_shard_is_refused(written: str) -> None:
    with pytest.raises(WrongUsage, match="is no shard"):
        parse_shard(written)
