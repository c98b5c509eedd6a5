"""Commands that only look have an end, whatever a stranger's definitions and data make them do; and Ctrl-C is one."""

import os
import signal
import threading
import time
from collections.abc import Callable

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from storymesh.cli.app import LIMITED, app
from storymesh.cli.time_limit import TimeLimitExceeded, time_limit
from storymesh.engine.open import open_engine
from tests.support.paths import TESTS


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    """What is imported half way when a signal comes is broken for the rest of the process, which is this one's end."""
    with open_engine(threads=1) as engine:
        engine.fetch_value(engine.materialize(pa.table({"x": [1]})).count())


AT_WORK_S = 0.7  # after which the engine is at work, on a machine that has nothing else to do


def join_everything() -> None:
    """Half an hour's work of the engine, during which it lets Python see no signal."""
    with open_engine(threads=1) as engine:
        many = pa.table({"x": range(200_000)})
        left, right = engine.materialize(many), engine.materialize(many.rename_columns(["y"]))
        pairs = left.cross_join(right)
        engine.fetch_value(pairs.filter((pairs["x"] * 7 + pairs["y"]).hash() % 1_000_003 == 5).count())


def loop() -> None:
    while True:
        time.sleep(0.001)


def loop_and_swallow() -> None:
    while True:
        try:
            loop()
        except Exception:
            continue


@pytest.mark.parametrize(("work", "limit"), [(join_everything, AT_WORK_S), (loop, 0.2), (loop_and_swallow, 0.2)])
def test_what_has_no_end_is_ended(work: Callable[[], None], limit: float) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeLimitExceeded, match=f"it took longer than {limit} s"), time_limit(limit):
        work()
    assert signal.getsignal(signal.SIGALRM) is before and signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("seconds", [0, 600])
def test_ctrl_c_ends_an_engine_at_work(seconds: float) -> None:
    timer = threading.Timer(AT_WORK_S, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt), time_limit(seconds):
            join_everything()
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


def test_an_error_of_its_own_is_not_taken_for_the_end() -> None:
    with pytest.raises(ZeroDivisionError), time_limit(600):
        print(1 / 0)


def test_the_commands_that_only_look_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {command.__name__ for command in LIMITED} >= {"check", "preview", "explain", "scenario", "trace"}
    mesh = str(TESTS / "meshes/plain_files")
    monkeypatch.setenv("STORYMESH_TIME_LIMIT", "0.001")
    ended = CliRunner().invoke(app, ["check", "--mesh", mesh])
    assert ended.exit_code == 1 and "it took longer than 0.001 s" in ended.output
    for written in ("soon", "-1", "nan", "inf", "1e99"):
        monkeypatch.setenv("STORYMESH_TIME_LIMIT", written)
        refused = CliRunner().invoke(app, ["check", "--mesh", mesh])
        assert refused.exit_code == 2 and "STORYMESH_TIME_LIMIT is" in refused.output
