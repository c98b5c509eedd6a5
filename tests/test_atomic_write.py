from pathlib import Path

import pytest

from storymesh.atomic_write import staged_file, write_atomically


def test_a_file_is_replaced_only_when_the_writer_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_atomically(path, "first")
    with pytest.raises(ZeroDivisionError):
        _fail_half_way(path)
    assert path.read_text() == "first"
    with staged_file(path) as staged:
        staged.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_permissions_hold_before_the_content_is_written(tmp_path: Path) -> None:
    with staged_file(tmp_path / "secret", mode=0o600) as staged:
        assert staged.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_the_first_of_two_writers_wins_where_existing_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_atomically(path, "first", keep_existing=True)
    write_atomically(path, "second", keep_existing=True)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def _fail_half_way(path: Path) -> None:
    with staged_file(path) as staged:
        staged.write_text("half")
        raise ZeroDivisionError
