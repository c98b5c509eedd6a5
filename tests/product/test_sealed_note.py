"""Notes that are believed only as they were written."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from storymesh.product.sealed_note import SealedNote


class Note(SealedNote):
    words: str
    rows: int
    files: Mapping[str, int | None]


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    note = Note(words='dé\n"jà vu"', rows=3, files={"b": 2**63, "a": None})
    note.write_to(tmp_path / "notes/note.json")
    assert Note.read_from(tmp_path / "notes/note.json") == note


def test_a_note_in_which_any_byte_is_another_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    Note(words="as it was", rows=31, files={"b": 1}).write_to(path)
    written = path.read_bytes()
    for place in range(len(written)):
        for flipped in (0x01, 0x10, 0xFF):
            path.write_bytes(bytes([*written[:place], written[place] ^ flipped, *written[place + 1 :]]))
            assert Note.read_from(path) is None, path.read_bytes()


@pytest.mark.parametrize("content", ["", "[]", "3", '{"note": {}}', '{"words": "of before", "rows": 3, "files": {}}'])
def test_what_is_no_note_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "note.json").write_text(content)
    assert Note.read_from(tmp_path / "note.json") is None
    assert Note.read_from(tmp_path) is None
    assert Note.read_from(tmp_path / "gone.json") is None
