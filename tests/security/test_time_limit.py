"""Commands that only look have an end, whatever a stranger's definitions and data make them do; and Ctrl-C is one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from storymesh.cli.app import LIMITED, app
from storymesh.cli.time_limit import TimeLimitExceeded, time_limit
from storymesh.engine.open import open_engine
from tests.support.paths import TESTS

AT_WORK_S = 0.5  # after which the engine is at work, on a machine that has nothing else to do
Work = Callable[[], object]


@pytest.fixture
def join_everything() -> Iterator[Work]:
    """Half an hour's work of the engine, during which it lets Python see no signal. What comes before it is done: a
    library that a signal meets half way in its import is broken for the rest of the process, and what a signal meets
    in a finalizer is lost."""
    with open_engine(threads=1) as engine:
        many = pa.table({"x": range(200_000)})
        left, right = engine.materialize(many), engine.materialize(many.rename_columns(["y"]))
        engine.fetch_value(left.cross_join(right).limit(1).count())
        pairs = left.cross_join(right)
        found = pairs.filter((pairs["x"] * 7 + pairs["y"]).hash() % 1_000_003 == 5).count()
        yield lambda: engine.fetch_value(found)


def loop() -> None:
    while True:
        time.sleep(0.001)


def loop_and_swallow() -> None:
    while True:
        try:
            loop()
        except Exception:
            continue


def assert_ended(work: Work, limit: float) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeLimitExceeded, match=f"it took longer than {limit} s"), time_limit(limit):
        work()
    assert signal.getsignal(signal.SIGALRM) is before and signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("work", [loop, loop_and_swallow])
def test_what_has_no_end_is_ended(work: Work) -> None:
    assert_ended(work, 0.2)


def test_an_engine_at_work_is_ended(join_everything: Work) -> None:
    assert_ended(join_everything, AT_WORK_S)


@pytest.mark.parametrize("seconds", [0, 600])
def test_ctrl_c_ends_an_engine_at_work(seconds: float, join_everything: Work) -> None:
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
    assert CliRunner().invoke(app, ["check", "--mesh", mesh]).exit_code == 0  # imports all that the next one needs
    monkeypatch.setenv("STORYMESH_TIME_LIMIT", "0.001")
    ended = CliRunner().invoke(app, ["check", "--mesh", mesh])
    assert ended.exit_code == 1 and "it took longer than 0.001 s" in ended.output
    for written in ("soon", "-1", "nan", "inf", "1e99"):
        monkeypatch.setenv("STORYMESH_TIME_LIMIT", written)
        refused = CliRunner().invoke(app, ["check", "--mesh", mesh])
        assert refused.exit_code == 2 and "STORYMESH_TIME_LIMIT is" in refused.output
