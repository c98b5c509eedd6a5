"""Private files: what holds rows, messages or secrets can be read by its owner alone, also with a loose umask."""

import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from storymesh.atomic_write import open_private
from storymesh.cli.logs import new_log, write_traceback
from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration.instance import prepare_dagster_home
from storymesh.product.warehouse import Warehouse
from storymesh.redaction import HIDDEN, redact
from storymesh.temporary_folder import temporary_folder
from tests.product.conftest import Desk, a_row, good_rows
from tests.support.built_once import built_once
from tests.support.harbour import make_harbour

Command = Callable[..., Any]
UMASKS = (0o000, 0o002, 0o022)


@pytest.fixture(params=UMASKS, ids=oct)
def loose(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def readable_by_others(folder: Path) -> list[Path]:
    """What somebody else can read below a folder: nothing below one that they cannot enter."""
    found: list[Path] = []
    for path in [folder, *folder.iterdir()] if folder.is_dir() else [folder]:
        if path != folder and path.is_dir():
            found += readable_by_others(path) if mode(folder) & 0o011 else []
        elif mode(path) & 0o077 and (path == folder or mode(folder) & 0o011):
            found.append(path)
    return found


def run_with_loose_umask(root: Path) -> None:
    """Run a mesh whose people have the loosest umask, and quarantine a row."""
    from storymesh.cli.logs import new_log
    from storymesh.orchestration.run.execute import execute_run

    make_harbour(root, boats=20)
    with (root / "domains/fleet/sources/boats.csv").open("a", encoding="utf-8") as file:
        file.write("boat-x,raft,10,Nobody\n")
    before = os.umask(0)
    try:
        mesh = load_mesh(root)
        outcome = execute_run(mesh, [], lambda event: None, new_log(mesh, "run"))
    finally:
        os.umask(before)
    assert outcome.success, outcome.failures


@pytest.fixture(scope="module")
def loose_harbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    finished = built_once(tmp_path_factory, "loose-harbour", run_with_loose_umask)
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("loose") / "harbour"))


def test_nothing_that_a_run_leaves_in_the_store_can_be_read_by_others(loose_harbour: Path) -> None:
    assert mode(loose_harbour / ".storymesh") == 0o700
    assert readable_by_others(loose_harbour / ".storymesh") == []


@pytest.mark.parametrize("pattern", ["logs/run-*.log", "*/quarantine/*/*.parquet", "pseudonym.key"])
def test_logs_quarantined_rows_and_keys_are_private_themselves(pattern: str, loose_harbour: Path) -> None:
    found = list((loose_harbour / ".storymesh").glob(pattern))
    assert found or pattern == "pseudonym.key"
    assert {path: oct(mode(path)) for path in found if mode(path) != 0o600} == {}


def test_the_store_is_private_whoever_makes_it_first(tmp_path: Path, loose: None) -> None:
    desk = Desk(tmp_path, limit=0.9)
    done = desk.publish([*good_rows(1), a_row(3, code="X")])
    assert mode(tmp_path / ".storymesh") == 0o700
    assert done.quarantine_path is not None
    assert mode(done.quarantine_path) == 0o600
    assert readable_by_others(tmp_path / ".storymesh") == []


@pytest.mark.parametrize("before", [0o777, 0o755, 0o750, 0o711])
def test_a_store_that_others_could_look_into_is_closed(before: int, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "store")
    warehouse.prepare_folder().chmod(before)
    warehouse.prepare_folder()
    assert mode(warehouse.folder) == 0o700


def test_a_store_that_a_group_shares_on_purpose_stays_theirs(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "store")
    warehouse.prepare_folder().chmod(0o2775)
    warehouse.prepare_folder()
    assert mode(warehouse.folder) == 0o2770


def test_a_log_is_private_before_anything_stands_in_it(tmp_path: Path, loose: None) -> None:
    with open_private(tmp_path / "new/log") as file:
        assert mode(tmp_path / "new/log") == 0o600
        file.write("x")
    old = tmp_path / "old"
    old.write_text("x", encoding="utf-8")
    old.chmod(0o666)
    open_private(old, "a").close()
    assert mode(old) == 0o600


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious", encoding="utf-8")
    (tmp_path / "log").symlink_to(target)
    for how in ("w", "a", "x"):
        with pytest.raises(OSError, match="log"):
            open_private(tmp_path / "log", how)
    assert target.read_text(encoding="utf-8") == "precious"


def test_the_logs_of_runs_and_errors_are_private(harbour: Path, loose: None) -> None:
    from storymesh.orchestration.run.execute import SafeFormatter

    mesh = load_mesh(harbour)
    log = new_log(mesh, "run")
    open_private(log).close()
    handler = logging.FileHandler(log)
    handler.setFormatter(SafeFormatter())
    handler.close()
    assert mode(log) == 0o600
    try:
        raise RuntimeError("a value")
    except RuntimeError:
        error = write_traceback(harbour)
    assert mode(error) == 0o600
    assert mode(error.parent.parent) == 0o700


def test_an_error_outside_of_a_mesh_is_written_privately_and_under_no_name_that_exists(
    tmp_path: Path, loose: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("storymesh.cli.logs._stamp", lambda: "now")
    target = tmp_path / "target"
    (tmp_path / "error-now.log").symlink_to(target)
    assert write_traceback(tmp_path / "no mesh") == Path(os.devnull)
    assert not target.exists()
    (tmp_path / "error-now.log").unlink()
    assert mode(write_traceback(tmp_path / "no mesh")) == 0o600


def test_the_folder_of_dagster_is_private_also_where_somebody_else_keeps_it(
    harbour: Path, tmp_path: Path, loose: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mode(prepare_dagster_home(load_mesh(harbour))) == 0o700
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    assert mode(prepare_dagster_home(load_mesh(harbour))) == 0o700


def test_what_is_spilled_is_private(tmp_path: Path, loose: None) -> None:
    with temporary_folder("spill", tmp_path) as folder:
        assert mode(folder) == 0o700


def test_a_release_is_for_others_to_read(loose_harbour: Path) -> None:
    (release,) = (loose_harbour / "releases/late-repairs").glob("1.0.0-*")
    assert mode(release / "release.json") & 0o044


def test_the_webhook_of_alerts_is_told_no_secret_and_its_address_is_in_no_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from storymesh.orchestration.alerts import Alert, AlertItem, AlertNotSent, send_to_webhook

    sent: list[bytes] = []

    def refuse(request: Any, timeout: float) -> None:
        sent.append(request.data)
        raise OSError("https://hooks.example/T0PSECRET refused")

    monkeypatch.setenv("STORYMESH_ALERT_WEBHOOK", "https://hooks.example/T0PSECRET")
    monkeypatch.setenv("PGPASSWORD", "hunter2hunter2")
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    words = "postgresql://mesh:hunter2hunter2@db did not answer, nor https://hooks.example/T0PSECRET"
    with pytest.raises(AlertNotSent) as told:
        send_to_webhook(Alert("failed", "job", "run", (AlertItem("step", words),)))
    assert "T0PSECRET" not in str(told.value)
    assert b"hunter2" not in sent[0]
    assert b"T0PSECRET" not in sent[0]


def test_the_collector_of_lineage_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    from storymesh.orchestration import openlineage

    told: list[str] = []

    class Emitter(openlineage._LineageEmitter):
        def __init__(self) -> None:
            self._unfinished = {"step": {dg.AssetKey("boats")}}

        def _emit(self, *_: Any, message: str = "", **__: Any) -> None:
            told.append(message)

    monkeypatch.setenv("PGPASSWORD", "hunter2hunter2")
    error = SimpleNamespace(message="postgresql://mesh:pw9@db said\n \x1b[31mhunter2hunter2")
    failure = SimpleNamespace(user_failure_data=None, error=error)
    failed: Any = SimpleNamespace(
        step_key="step", event_type=dg.DagsterEventType.STEP_FAILURE, step_failure_data=failure
    )
    Emitter().on_event(failed)
    assert len(told) == 1 and "db said" in told[0]
    assert not any(part in told[0] for part in ("hunter2", "pw9", "\x1b"))


@pytest.mark.parametrize(
    "name",
    [
        "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "GITHUB_PAT", "BLOB_SAS",
        "BLOB_SAS_TOKEN_OF_TODAY", "MYSQL_PWD", "REDIS_PASS", "GPG_PASSPHRASE", "STORYMESH_NARRATOR_KEY",
        "MASTER_KEY", "SESSION_COOKIE", "ODBC_CONN_STR", "SNOWFLAKE_PRIVATE_KEY", "token_of_mine",
    ],
)  # fmt: skip
def test_a_secret_is_known_by_the_name_of_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "AccountKey=v4lue+of/the==")
    assert "v4lue" not in redact("it said: AccountKey=v4lue+of/the== is wrong")


@pytest.mark.parametrize(("value", "shown"), [("door12", HIDDEN), ("door1", "door1")])
def test_a_value_of_a_few_letters_is_left_in_the_words_that_have_it(
    value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", value)
    assert redact(f"it said: {value}") == f"it said: {shown}"


@pytest.mark.parametrize(
    "name", ["PWD", "OLDPWD", "HOME", "KEYBOARD", "SSH_AUTH_SOCK", "LOGNAME", "MONKEYS", "STORYMESH_SIGNING_KEY_FILE"]
)
def test_an_ordinary_variable_is_no_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/a-folder/of-mine")
    assert redact("in /a-folder/of-mine") == "in /a-folder/of-mine"
