"""Files of others are read only where they are regular files inside their folder, and not larger than allowed."""

import os
import socket
from pathlib import Path

import pytest

from storymesh.input_file import InputFileRefused, open_input, read_input, require_input


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.key").write_text("secret")
    folder = tmp_path / "mesh" / "narrative"
    folder.mkdir(parents=True)
    (folder / "text.jinja").write_text("text")
    return folder


def test_a_regular_file_is_read(root: Path) -> None:
    assert read_input(root / "text.jinja", root, limit=4) == b"text"
    with open_input(root / "text.jinja", root, links=False) as file:
        assert file.read() == b"text"


def test_a_link_inside_its_folder_is_followed_where_links_are_allowed(root: Path) -> None:
    (root / "other.jinja").symlink_to("text.jinja")
    assert read_input(root / "other.jinja", root, limit=4) == b"text"
    with pytest.raises(InputFileRefused, match="is a link"):
        read_input(root / "other.jinja", root, limit=4, links=False)


def test_a_folder_that_is_itself_reached_by_a_link_is_no_way_out(root: Path) -> None:
    (root.parent / "linked").symlink_to(root, target_is_directory=True)
    assert read_input(root.parent / "linked" / "text.jinja", root.parent / "linked", limit=4, links=False) == b"text"


@pytest.mark.parametrize("target", ["../../secret.key", "/etc/passwd", "/dev/zero", "/proc/self/environ"])
def test_a_link_out_of_its_folder_is_refused(root: Path, target: str) -> None:
    (root / "key.jinja").symlink_to(target)
    with pytest.raises(InputFileRefused, match="leads out of"):
        read_input(root / "key.jinja", root, limit=100)


def test_a_linked_folder_is_a_way_out_too(root: Path) -> None:
    (root / "partials").symlink_to(root.parent.parent, target_is_directory=True)
    with pytest.raises(InputFileRefused, match="leads out of"):
        read_input(root / "partials" / "secret.key", root, limit=100)
    with pytest.raises(InputFileRefused, match="stands behind the link partials"):
        require_input(root / "partials" / "secret.key", root, links=False)


@pytest.mark.parametrize("name", ["../../secret.key", "a/../../../secret.key", "/etc/passwd"])
def test_a_name_that_climbs_is_refused(root: Path, name: str) -> None:
    (root / "a").mkdir()
    with pytest.raises(InputFileRefused, match="leads out of"):
        read_input(root / name, root, limit=100)


def test_a_pipe_is_refused_and_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe.jinja")
    with pytest.raises(InputFileRefused, match="is a named pipe, not a regular file"):
        read_input(root / "pipe.jinja", root, limit=100)


def test_a_socket_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jinja")
        with pytest.raises(InputFileRefused, match="cannot be read"):
            read_input(root / "socket.jinja", root, limit=100)


def test_a_folder_is_refused(root: Path) -> None:
    (root / "folder.jinja").mkdir()
    with pytest.raises(InputFileRefused, match="is a folder, not a regular file"):
        read_input(root / "folder.jinja", root, limit=100)


def test_a_link_to_itself_and_a_missing_file_are_refused_in_words(root: Path) -> None:
    (root / "loop.jinja").symlink_to("loop.jinja")
    with pytest.raises(InputFileRefused, match="leads back to itself"):
        read_input(root / "loop.jinja", root, limit=100)
    with pytest.raises(InputFileRefused, match="does not exist"):
        read_input(root / "none.jinja", root, limit=100)
    with pytest.raises(InputFileRefused, match="cannot be read"):
        read_input(root / "nul\0.jinja", root, limit=100)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(root: Path) -> None:
    with (root / "sparse.jinja").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputFileRefused, match="is larger than 4 MiB"):
        read_input(root / "sparse.jinja", root, limit=4 * 2**20)
