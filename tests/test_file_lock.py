import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from storymesh.file_lock import hold_lock, is_lock_held

HOLDER = """
import sys, time
from pathlib import Path
from storymesh.file_lock import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""

BECOMES_ANOTHER = """
import os, sys
from pathlib import Path
from storymesh.file_lock import hold_lock_until_exit
hold_lock_until_exit(Path(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-c", "print('held', flush=True); input()"])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "a.lock"


def test_a_lock_is_held_by_one_and_free_afterwards(path: Path) -> None:
    with hold_lock(path):
        assert is_lock_held(path)
        with pytest.raises(TimeoutError), hold_lock(path, timeout_s=0):
            pass
    assert not is_lock_held(path)
    with hold_lock(path, timeout_s=0):
        pass


def test_a_killed_process_leaves_its_lock_free_and_the_content_of_the_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("writing\n")
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_lock_held(path)
        os.kill(process.pid, signal.SIGKILL)
    assert not is_lock_held(path)
    with hold_lock(path, timeout_s=0):
        assert path.read_text() == "writing\n"


def test_a_lock_to_the_end_outlives_the_program_and_not_the_process(path: Path) -> None:
    command = [sys.executable, "-c", BECOMES_ANOTHER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        assert is_lock_held(path)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as second:
            assert second.stdout is not None
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(0.5)
            first.stdin.close()
            assert second.stdout.readline() == b"held\n"
    assert not is_lock_held(path)


def test_whoever_waits_gets_the_lock_when_it_is_released(path: Path) -> None:
    order: list[str] = []

    def wait() -> None:
        with hold_lock(path, timeout_s=600):
            order.append("second")

    with hold_lock(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_a_lock_file_that_is_gone_is_not_made_by_asking_for_it(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_lock_held(path)
    assert not path.exists()


def test_a_lock_file_removed_by_its_holder_is_no_lock_for_the_next(path: Path) -> None:
    """A waiter that gets the lock of a file that is gone takes the one that stands there now."""
    taken: list[bool] = []

    def wait() -> None:
        with hold_lock(path, timeout_s=600):
            taken.append(is_lock_held(path))

    with hold_lock(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.2)
        path.unlink()
    waiting.join()
    assert taken == [True]
