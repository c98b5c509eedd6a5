"""Files read by processes of their own: what a bad file does to its reader is its own affair."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storymesh.files.reading import mail
from storymesh.files.reading.pool import ReaderPool, ReaderProcess
from storymesh.files.reading.readers import ReaderMissing, reader_version
from storymesh.files.reading.reading import FileLimits, FileReading, Refused
from tests.support.recognisers import recognisers

MAIL = b"From: a@example.com\nTo: b@example.com\nSubject: %d\n\nThe delay is %d hours.\n"
LIMITS = FileLimits(bytes=100_000, seconds=600, memory=200_000_000)
IMPATIENT = replace(LIMITS, seconds=2.0)  # which no good file takes, on a machine as busy as it may be


@pytest.fixture(scope="module")
def pool() -> Iterator[ReaderPool]:
    with ReaderPool(LIMITS, workers=2) as opened:
        yield opened


def one(pool: ReaderPool, source: Path | bytes, kind: Any = "mail") -> FileReading | Refused:
    [(_, result)] = pool.read_many([("only", source, kind, {})])
    return result


def test_every_file_is_answered_once_by_its_key(pool: ReaderPool) -> None:
    read = dict(pool.read_many((number, MAIL % (number, number), "mail", {}) for number in range(100)))
    assert sorted(read) == list(range(100))
    for number, reading in read.items():
        assert isinstance(reading, FileReading)
        assert reading.text == f"The delay is {number} hours."
        assert reading.values["mail"]["subject"] == str(number)
        assert reading.version == "1"


def test_files_are_taken_from_the_iterable_only_a_little_ahead(pool: ReaderPool) -> None:
    taken = 0

    def files() -> Iterator[tuple[int, bytes, Any, dict[str, Any]]]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number, MAIL % (number, number), "mail", {}

    reading = pool.read_many(files())
    next(reading)
    assert taken <= 20
    reading.close()  # type: ignore[attr-defined]
    assert isinstance(one(pool, MAIL % (1, 1)), FileReading)


def test_what_a_path_leads_to_is_a_regular_file_of_its_folder(pool: ReaderPool, tmp_path: Path) -> None:
    outside = tmp_path / "outside.eml"
    outside.write_bytes(MAIL % (1, 1))
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "link.eml").symlink_to(outside)
    os.mkfifo(folder / "pipe.eml")
    (folder / "folder.eml").mkdir()
    (folder / "empty.eml").touch()
    (folder / "large.eml").write_bytes(bytes(LIMITS.bytes + 1))
    names = ("link", "pipe", "folder", "empty", "large", "missing")
    sources = [*((name, folder / f"{name}.eml") for name in names), ("device", Path("/dev/zero"))]
    found = dict(pool.read_many((name, path, "mail", {}) for name, path in sources))
    assert {name: (refused.reason, refused.lasting) for name, refused in found.items()} == {
        "link": ("no access", False),
        "pipe": ("wrong type", True),
        "folder": ("wrong type", True),
        "empty": ("empty", True),
        "large": ("too large", True),
        "missing": ("gone", False),
        "device": ("wrong type", True),
    }


# What no file may do is done by a reader of the test's own, in the process as in life.
BAD_READERS = {
    "sleeps": "time.sleep(60)",
    "burns": "while True: pass",
    "grows": "return [bytearray(10**8) for _ in range(99)]",
    "aborts": "os.abort()",
    "crashes": "os.kill(os.getpid(), signal.SIGSEGV)",
    "leaves": "os._exit(7)",
    "raises": "raise KeyError('not what was expected')",
    "recurses": "f = lambda: f(); f()",
    "lies": "return FileContent('x', {'mail': 1, 'parts': []})",
    "misplaces": "return FileContent('x', {'mail': {}, 'parts': []}, [Passage(0, 5)])",
    "writes": "open('left behind', 'wb', 0).write(b'x')",
    "halves": "return FileContent('a\\ud800\\0b', {'mail': {}, 'parts': []})",
}


def test_a_bad_file_ends_in_time_with_its_reason_and_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = "".join(f"    if b'{name}' in content:\n        {words}\n" for name, words in BAD_READERS.items())
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys, time\n"
        "import storymesh.files.reading.mail as mail\n"
        "from storymesh.files.reading.passages import FileContent\n"
        "from storymesh.files.reading.reading import Passage\n"
        "read = mail.read_mail\n"
        f"def reader(content):\n{cases}    return read(content)\n"
        "mail.open_reader = lambda _: reader\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    good = [(f"good {number}", MAIL % (number, number)) for number in range(20)]
    bad = [(name, MAIL % (0, 0) + name.encode()) for name in BAD_READERS]
    mixed = [pair for pairs in zip(good, bad, strict=False) for pair in pairs] + good[len(bad) :]
    with ReaderPool(IMPATIENT, workers=2) as pool:
        results = dict(pool.read_many((name, content, "mail", {}) for name, content in mixed))
    reasons = {name: found.reason if isinstance(found, Refused) else found.text for name, found in results.items()}
    assert {reasons.pop(name) for name, _ in good} == {f"The delay is {number} hours." for number in range(20)}
    assert reasons == {
        "sleeps": "too slow",
        "burns": "too slow",
        "grows": "too large when opened",
        "aborts": "too large when opened",
        "crashes": "reader crashed",
        "leaves": "reader crashed",
        "raises": "damaged",
        "recurses": "too large when opened",
        "lies": "reader crashed",
        "misplaces": "reader crashed",
        "writes": "damaged",
        "halves": "a\ufffd\ufffdb",
    }


def test_a_reader_whose_parent_is_gone_ends_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nimport storymesh.files.reading.mail as mail\n"
        "mail.open_reader = lambda _: lambda content: time.sleep(600)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    process = ReaderProcess(tmp_path, 1)
    assert process.read(MAIL % (1, 1), "mail", {}, FileLimits(seconds=0.1)) == Refused(
        "too slow", "it took longer than 0.1 s"
    )


def test_a_reader_reads_many_kinds_in_turn(pool: ReaderPool) -> None:
    page = b"<html><head><title>Kiel</title></head><body><p>closed</p></body></html>"
    for _ in range(2):
        read = one(pool, page, "html")
        assert isinstance(read, FileReading) and (read.text, read.values["html"]["title"]) == ("closed", "Kiel")
        plain = one(pool, "Grüße".encode("cp1252"), "text")
        assert isinstance(plain, FileReading) and plain.text == "Grüße"
        assert one(pool, page, "mail") == Refused("wrong type", "mail was expected, and the content is html")


def test_abandoned_reading_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with ReaderPool(FileLimits(seconds=600), workers=2) as pool:
        results = pool.read_many((number, MAIL % (number, number), "mail", {}) for number in range(50))
        next(results)
        processes = [process._process.pid for process in pool._processes if process._process is not None]
        assert processes
    deadline = time.monotonic() + 600
    for pid in processes:
        while time.monotonic() < deadline:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
        else:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("a reader's process was left behind")


def test_the_version_says_what_a_reading_hangs_on() -> None:
    assert reader_version("mail").version == str(mail.REVISION)
    with pytest.raises(ReaderMissing, match="the reader of mail has no option 'ocr'"):
        reader_version("mail", {"ocr": True})
    with pytest.raises(ReaderMissing, match="option ocr of the reader of image cannot be 'yes'"):
        reader_version("image", {"ocr": "yes"})


def test_a_reader_that_is_missing_says_what_brings_it(tmp_path: Path) -> None:
    with pytest.raises(ReaderMissing, match=r"rapidocr.*pip install 'storymesh\[ocr\]'"):
        reader_version("image", {"ocr": True})
    with pytest.raises(ReaderMissing, match=r"faster-whisper is needed.*pip install 'storymesh\[speech\]'"):
        reader_version("audio", {"model": str(tmp_path)})
    with recognisers():
        with pytest.raises(ReaderMissing, match="a model of speech is needed"):
            reader_version("audio")
        with pytest.raises(ReaderMissing, match=r"is no folder of a model.*model\.bin"):
            reader_version("audio", {"model": str(tmp_path)})
        assert "rapidocr" in reader_version("pdf").version
    assert "rapidocr" not in reader_version("pdf").version
