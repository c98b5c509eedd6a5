"""The lock of a release of a stranger: every text of it has a grammar, every number a bound, and nothing is a path."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storymesh.errors import StorymeshError
from storymesh.release.catalog import read_release
from storymesh.release.layout import MANIFEST
from storymesh.release.manifest import parse_manifest
from tests.support.edited_release import SMALL_LOCK, Lock

SQL = "a' AS config, 1; COPY (SELECT 1) TO '/tmp/attacked'; SELECT 'b"


def parsed(lock: Lock) -> None:
    parse_manifest(json.dumps(lock).encode(), Path("sent") / MANIFEST)


def test_the_lock_that_the_attacks_change_is_read() -> None:
    parsed(SMALL_LOCK)


LOCKS: dict[str, Callable[[Lock], Any]] = {
    "a version that leads out": lambda lock: lock.update(version="1.0.0-r1/../../../../out"),
    "a version with a line feed": lambda lock: lock.update(version="1.0.0-r1\n"),
    "a version of other digits": lambda lock: lock.update(version="١.0.0-r1"),
    "a version of 5,000 digits": lambda lock: lock.update(version=f"1.0.0-r{'9' * 5_000}"),
    "a version of no release": lambda lock: lock.update(version="1.0.0-r0"),
    "a narrative version of SQL": lambda lock: lock.update(narrative_version="1.0.0'; --"),
    "a narrative that is a path": lambda lock: lock.update(narrative="../../etc"),
    "an absolute narrative": lambda lock: lock.update(narrative="/etc"),
    "a narrative of a million letters": lambda lock: lock.update(narrative="a" * 1_000_000),
    "a narrative with a NUL": lambda lock: lock.update(narrative="a\0b"),
    "a config that is SQL": lambda lock: lock.update(configs={SQL: {"train": 1}}),
    "a config that leads out": lambda lock: lock.update(configs={"../report": {"train": 1}}),
    "a config that is a glob": lambda lock: lock.update(configs={"*": {"train": 1}}),
    "a split that is SQL": lambda lock: lock.update(configs={"report": {SQL: 1}}),
    "a split that is a glob": lambda lock: lock.update(configs={"report": {"tra*": 1}}),
    "a split that leads out": lambda lock: lock.update(configs={"report": {"../train": 1}}),
    "drops of SQL": lambda lock: lock["drops"].update({SQL: {}}),
    "a reason with an escape sequence": lambda lock: lock["drops"]["case"].update({"\x1b]0;owned\x07": 1}),
    "a reason that turns the text around": lambda lock: lock["drops"]["case"].update({"\u202eesrever": 1}),
    "digests of SQL": lambda lock: lock["digests"]["configs"].update({SQL: "0" * 64}),
    "a digest that is none": lambda lock: lock.update(digest="0" * 63 + "g"),
    "a fingerprint that is none": lambda lock: lock.update(fingerprint="../" * 20),
    "a role that is SQL": lambda lock: lock.update(cast={SQL: lock["cast"]["truck"]}),
    "a product that is an absolute path": lambda lock: lock["cast"]["truck"].update(product="/etc.passwd"),
    "a product that leads out": lambda lock: lock["cast"]["truck"].update(product="../fleet.trucks"),
    "a product of three parts": lambda lock: lock["cast"]["truck"].update(product="a.b.c"),
    "a product with a NUL": lambda lock: lock["cast"]["truck"].update(product="fleet.trucks\0"),
    "a product version with a bell": lambda lock: lock["cast"]["truck"].update(product_version="\x07" * 64),
    "a contract digest with a bell": lambda lock: lock["cast"]["truck"].update(contract_digest="\x07" * 64),
    "a snapshot beyond 64 bits": lambda lock: lock["cast"]["truck"].update(snapshot=2**64),
    "rows below zero": lambda lock: lock["cast"]["truck"].update(rows=-1),
    "rows beyond 64 bits": lambda lock: lock["cast"]["truck"].update(rows=10**30),
    "rows that are true": lambda lock: lock["cast"]["truck"].update(rows=True),
    "rows that are a text": lambda lock: lock["cast"]["truck"].update(rows="24"),
    "rows that are a fraction": lambda lock: lock["cast"]["truck"].update(rows=24.0),
    "rows that are not a number": lambda lock: lock["cast"]["truck"].update(rows=float("nan")),
    "rows without end": lambda lock: lock["cast"]["truck"].update(rows=float("inf")),
    "a forgotten product that is a path": lambda lock: lock.update(forgotten={"../x.y": []}),
    "a moment with an escape sequence": lambda lock: lock.update(created="\x1b[2J"),
    "a platform with a link": lambda lock: lock.update(storymesh="\x1b]8;;http://x\x07"),
    "a promise with a carriage return": lambda lock: lock.update(certificate={"ids\r": 0}),
    "an absolute file": lambda lock: lock.update(files={"/etc/passwd": "0" * 64}, sizes=None),
    "a file that leads out": lambda lock: lock.update(files={"data/../../x": "0" * 64}, sizes=None),
    "a file by a crooked path": lambda lock: lock.update(files={"data/./x": "0" * 64}, sizes=None),
    "a file of a home folder": lambda lock: lock.update(files={"~/x": "0" * 64}, sizes=None),
    "a hidden file": lambda lock: lock.update(files={".git/hooks/post-checkout": "0" * 64}, sizes=None),
    "a file of another system's path": lambda lock: lock.update(files={"data\\x": "0" * 64}, sizes=None),
    "a file on another drive": lambda lock: lock.update(files={"C:/x": "0" * 64}, sizes=None),
    "a file that is an address": lambda lock: lock.update(files={"http://x/y": "0" * 64}, sizes=None),
    "a file with a line feed": lambda lock: lock.update(files={"x\ny": "0" * 64}, sizes=None),
    "the lock in its own list": lambda lock: lock.update(files={MANIFEST: "0" * 64}, sizes=None),
    "a file a thousand folders deep": lambda lock: lock.update(files={"a/" * 1_000 + "b": "0" * 64}, sizes=None),
    "a size of another file": lambda lock: lock.update(sizes={"data/x": 1}),
    "a size below zero": lambda lock: lock["sizes"].update({"README.md": -1}),
    "a list in place of the cast": lambda lock: lock.update(cast=[]),
    "null in place of the configs": lambda lock: lock.update(configs=None),
    "a text in place of the digests": lambda lock: lock.update(digests="0" * 64),
    "nothing": lambda lock: lock.clear(),
}


@pytest.mark.parametrize("change", LOCKS.values(), ids=LOCKS.keys())
def test_a_lock_is_refused_in_words_that_a_terminal_can_show(change: Callable[[Lock], Any]) -> None:
    lock = copy.deepcopy(SMALL_LOCK)
    change(lock)
    with pytest.raises(StorymeshError, match=r"release\.json (cannot be read|does not say)") as refused:
        parsed(lock)
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 2_000


CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "a part": b'{"narrative": "road',
    "a list": b"[]",
    "null": b"null",
    "a number of 5,000 digits": b"9" * 5_000,
    "rows of 5,000 digits": b'{"cast": {"truck": {"rows": ' + b"9" * 5_000 + b"}}}",
    "lists in lists": b"[" * 1_000_000,
    "objects in objects": b'{"a":' * 200_000,
    "no UTF-8": b'{"narrative": "\xff\xfe"}',
    "half a character": b'{"narrative": "\\ud800"}',
    "UTF-16": '{"narrative": "roadside"}'.encode("utf-16"),
    "NaN": b'{"narrative": NaN}',
    "NULs": b"\0" * 1_000,
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_what_is_no_lock_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(StorymeshError, match=r"release\.json (cannot be read|does not say)") as refused:
        parse_manifest(content, Path("sent") / MANIFEST)
    assert refused.value.message.isprintable()


def test_a_lock_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / MANIFEST).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(StorymeshError, match="is larger than"):
        read_release(tmp_path)
