"""The commands that make, show and list: what they print and how they end."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from storymesh.cli.dagster_ui import serve_dagster, workspace_of
from storymesh.cli.error_reporting import reporting_errors
from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration.instance import prepare_dagster_home
from storymesh.outage import ResourceUnavailable
from tests.support.servers import free_port
from tests.support.whole_mesh import LIMIT_S, Preloaded

Edit = Callable[[str, str, str], None]
Command = Callable[..., Any]


def test_run_preview_and_releases(storymesh: Command, harbour: Path) -> None:
    done = storymesh(harbour, "releases")
    assert (done.code, done.out) == (0, "")
    assert "no release yet" in done.err

    done = storymesh(harbour, "run")
    assert done.code == 0, done.out + done.err
    lines = done.out.splitlines()
    assert lines[0] == "7 steps"
    assert lines[1].startswith("✓ fleet.boats")
    assert "late-repairs 1.0.0-r1 in releases/late-repairs/1.0.0-r1, 60 cases, new" in lines
    assert lines[-1].startswith("done in ")
    assert "\x1b" not in done.out, "no colours and no cursor moves in CI"
    assert "dagster" not in done.out.lower().replace("/dagster", ""), "Dagster's own log is in the file"
    log = harbour / lines[-1].rpartition("log: ")[2]
    assert "publish_fleet__boats" in log.read_text(encoding="utf-8")
    configuration = yaml.safe_load((harbour / ".storymesh/dagster/dagster.yaml").read_text(encoding="utf-8"))
    assert configuration["telemetry"] == {"enabled": False}

    done = storymesh(harbour, "releases", "late-repairs", "--format", "json")
    (release,) = json.loads(done.out)
    assert release["path"] == "releases/late-repairs/1.0.0-r1"
    assert set(release["configs"]) == {"report", "advice"}
    done = storymesh(harbour, "releases")
    assert "late-repairs" in done.out
    assert "1.0.0-r1" in done.out

    done = storymesh(harbour, "preview", "late-repairs", "report", "--case", "R003")
    assert done.code == 0, done.err
    assert "boat-3 is a tug boat of 13 metres. It was reported on 2024-01-08." in done.out
    done = storymesh(harbour, "preview", "late-repairs", "report", "--case", "R999")
    assert done.code == 2
    assert "has no case R999" in done.err
    done = storymesh(harbour, "preview", "late-repairs", "reprot")
    assert done.code == 2
    assert "did you mean 'report'?" in done.err


def test_findings_come_before_anything_runs(storymesh: Command, harbour: Path, edit: Edit) -> None:
    edit("domains/fleet/domain.yaml", "owner: fleet@example.com", "owner: fleet@example.com\nowners: []")
    done = storymesh(harbour, "run")
    assert done.code == 1
    words = "domains/fleet/domain.yaml:4:1: error[unknown-field]: unknown field 'owners' (did you mean 'owner'?)\n"
    assert done.out == words
    assert "nothing was run" in done.err
    assert not (harbour / ".storymesh").exists()


def test_an_unknown_narrative_is_wrong_usage(storymesh: Command, harbour: Path) -> None:
    for words in (["run", "late-repair"], ["preview", "late-repair"], ["releases", "late-repair"]):
        done = storymesh(harbour, *words)
        assert done.code == 2
        kind = "domain, product or narrative" if words[0] == "run" else "narrative"
        assert done.err.splitlines() == [
            f"storymesh: there is no {kind} 'late-repair'",
            "  did you mean 'late-repairs'?",
        ]


def test_preview_before_any_run_says_what_to_do(storymesh: Command, harbour: Path) -> None:
    done = storymesh(harbour, "preview", "late-repairs")
    assert done.code == 1
    assert "which nobody has published yet" in done.err
    assert "storymesh run" in done.err


def test_refused_product_is_explained_and_exits_with_one(storymesh: Command, harbour: Path) -> None:
    lines = [f"boat-{n},raft,-1," for n in range(6)]
    (harbour / "domains/fleet/sources/boats.csv").write_text("\n".join(["boat,kind,length,skipper", *lines]) + "\n")
    done = storymesh(harbour, "run")
    assert done.code == 1
    assert "✗ fleet.boats" in done.out
    assert "break the contract" in done.out
    assert "yard.repairs" in done.out
    assert "left out" in done.out
    assert "Traceback" not in done.out + done.err


def test_run_can_be_interrupted(harbour: Path, preloaded: Preloaded) -> None:
    process = preloaded.start("run", mesh=harbour)
    ends = time.monotonic() + LIMIT_S
    while "fleet.boats" not in preloaded.output():
        assert time.monotonic() < ends, preloaded.output()
        time.sleep(0.02)
    os.kill(process, signal.SIGINT)
    ran = preloaded.ended()
    assert ran.code == 130, ran.output
    assert ran.output.splitlines()[-1] == "stopped"
    assert "Traceback" not in ran.output


def test_a_template_is_mended_before_data_is_asked_for(storymesh: Command, harbour: Path) -> None:
    template = next((harbour / "narratives/late_repairs").glob("*.jinja"))
    template.write_text(template.read_text() + "{{ nothing }}\n")
    for command in (["preview", "late-repairs"], ["explain", "late-repairs"], ["explain", "late-repairs", "--profile"]):
        done = storymesh(harbour, *command)
        assert done.code == 1
        assert "unknown name 'nothing'" in done.out
        assert "published" not in done.out + done.err


def test_run_asks_for_settings_of_the_machine_before_its_steps_do(
    storymesh: Command, harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYMESH_MEMORY", "4,5GB")
    done = storymesh(harbour, "run")
    assert (done.code, done.out) == (2, "")
    assert done.err == "storymesh: STORYMESH_MEMORY is '4,5GB'\n  say how much, such as 4GB or 512MiB\n"


def test_what_a_library_makes_of_ctrl_c_is_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    @reporting_errors
    def command() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise RuntimeError("Query interrupted") from interrupt

    with pytest.raises(typer.Exit) as ended:
        command()
    assert (ended.value.exit_code, capsys.readouterr().err) == (130, "stopped\n")


def test_ctrl_c_while_commands_are_imported_leaves_no_traceback(
    storymesh: Command, harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("storymesh.cli.app.run_command", interrupted)
    done = storymesh(harbour, "check")
    assert (done.code, done.out, done.err) == (130, "", "stopped\n")


def test_preview_says_that_there_is_no_case(
    storymesh: Command, released_harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storymesh.dataset.preview.preview_records", lambda *_: [])
    done = storymesh(released_harbour, "preview", "late-repairs", "report")
    assert (done.code, done.out) == (0, "")
    assert "report: there is no case to tell (storymesh explain late-repairs says how many cases" in done.err


def test_defect_prints_one_line_and_writes_its_traceback(
    storymesh: Command, harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (harbour / "narratives/definitions.py").write_text("raise RuntimeError('a pebble in the gears')\n")
    done = storymesh(harbour, "run")
    assert done.code == 3
    assert "a pebble in the gears" in done.err
    assert "Traceback" not in done.err
    (log,) = (harbour / ".storymesh/logs").glob("error-*.log")
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert str(log) in done.err
    monkeypatch.setenv("STORYMESH_DEBUG", "1")
    done = storymesh(harbour, "run")
    assert done.code == 3
    assert "Traceback" in done.err
    assert "a pebble in the gears" in done.err


def test_a_mesh_without_a_workspace_gets_one(harbour: Path) -> None:
    mesh = load_mesh(harbour)
    assert workspace_of(mesh, harbour) == harbour / "workspace.yaml"
    (harbour / "workspace.yaml").unlink()
    home = prepare_dagster_home(mesh)
    made = yaml.safe_load(workspace_of(mesh, home).read_text(encoding="utf-8"))
    files = [Path(entry["python_file"]["relative_path"]) for entry in made["load_from"]]
    assert [file.parent.name for file in files] == ["fleet", "yard", "narratives"]
    assert all(file.is_file() for file in files)


def test_taken_port_is_an_error(storymesh: Command, harbour: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = storymesh(harbour, "ui", "--port", str(taken.getsockname()[1]))
    assert done.code == 2
    assert "is not free" in done.err


def test_servers_that_end_by_themselves_are_no_success(
    harbour: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = harbour / "servers"
    program.write_text(
        "#!/bin/sh\nprintf 'dagster - ERROR - \\033[31mAn unexpected exception has occurred\\033[0m\\n'\n"
        "printf 'Traceback (most recent call last):\\n  File x\\nException: the daemon shut down\\n'\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("storymesh.cli.dagster_ui.sys.executable", str(program))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(ResourceUnavailable, match="nobody asked"):
            serve_dagster(load_mesh(harbour), "127.0.0.1", free_port())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    output = capfd.readouterr().err
    assert "Exception: the daemon shut down\n" in output and "File x" not in output


def test_a_supervisor_that_ends_the_interface_lets_its_servers_clean_up(
    harbour: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first is told as Ctrl-C tells it, and what it leaves behind is ended. A program that only waits for it stands
    for the first, another that waits for nothing for one of a location."""
    program = harbour / "servers"
    program.write_text(
        "#!/bin/sh\ntrap 'touch cleaned; cat end; exit 0' INT\nsleep 300 & echo $! > left\n"
        'for level in INFO WARNING; do echo "2026-11-30 10:56:04 +0000 - dagster - $level - of a sensor"; done\n'
        "printf 'dagster.events.Failure: no room\\n\\nStack Trace:\\n  File x\\n    raise\\n\\nKeyError: k\\n\\n'\n"
        "printf 'Stack Trace:\\n  File defect\\n'\n"
        "touch begun\nwhile :; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    (harbour / "end").write_text(
        "Traceback (most recent call last):\n  File end\nKeyboardInterrupt\n\nAborted!\nlast\n"
    )
    monkeypatch.setattr("storymesh.cli.dagster_ui.sys.executable", str(program))

    def supervise() -> None:
        while not (harbour / "begun").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    supervisor = threading.Thread(target=supervise, daemon=True)
    supervisor.start()
    try:
        serve_dagster(load_mesh(harbour), "127.0.0.1", free_port())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    supervisor.join()
    assert (harbour / "cleaned").exists()
    # Told to end, it is seen for some moments more: it closes its output before it is gone.
    left, deadline = int((harbour / "left").read_text()), time.monotonic() + 30
    while _runs(left) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(left)
    output = capfd.readouterr().err
    assert "WARNING - of a sensor" in output
    assert output.endswith("\nlast\nstopped\n"), "how servers end that were asked to is nobody's matter"
    assert "INFO" not in output
    assert "\nno room\n" in output
    assert "File x" not in output, "the way to a failure that is explained"
    assert "KeyError: k\n\nStack Trace:\n  File defect\n" in output, "that of a defect is printed"


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")
