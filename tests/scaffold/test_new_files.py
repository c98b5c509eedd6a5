"""`storymesh new product --from PATTERN`: what it writes checks, and its files are read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.scaffold.add_files import means_files
from tests.support.command import CommandResult
from tests.support.public_data import public_files

CORPUS = public_files()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("mail/**/*.eml", True), ("photos/*.jpg", True), ("s3://bucket/calls/*.wav", True), ("office/**/*.xlsx", True),
        ("orders-*.csv", False), ("orders-*.csv.gz", False), ("report.pdf", False), ("a/*.jsonl", False),
        ("postgresql://host/db", False), ("model_name", False),
    ],
)  # fmt: skip
def test_which_patterns_mean_files(origin: str, expected: bool) -> None:
    assert means_files(origin) is expected


def test_a_product_of_each_kind_checks(tmp_path: Path, storymesh: Callable[..., CommandResult]) -> None:
    root = tmp_path / "mesh"
    assert storymesh(tmp_path, "new", "mesh", str(root), "--domain", "desk", "--empty").code == 0
    kinds = {"mail": "mail", "pdf": "pdf", "image": "image", "text": "text", "office": "office", "audio": "audio"}
    for folder in kinds:
        shutil.copytree(CORPUS / folder, root / "domains/desk/sources" / folder)
    for folder, kind in kinds.items():
        made = storymesh(root, "new", "product", "--from", f"domains/desk/sources/{folder}/**")
        assert made.code == 0, made
        assert f"desk.{folder}: " in made.out
        assert made.out.splitlines()[0].endswith(f"read as {kind}"), made.out
    checked = storymesh(root, "check")
    assert checked.code == 0, checked
    assert "error" not in checked.out
    bucket = storymesh(root, "new", "product", "--from", "s3://${CALLS}/calls/**/*.wav", "--name", "calls")
    assert bucket.code == 0, bucket
    assert storymesh(root, "check").code == 0
    again = storymesh(root, "new", "product", "--from", "domains/desk/sources/mail/**")
    assert again.code == 2
    assert "nothing is written over" in again.err
    outside = storymesh(root, "new", "product", "--from", str(CORPUS / "mail/*.eml"))
    assert outside.code == 2
    assert "is in the folder of no domain" in outside.err
    nothing = storymesh(root, "new", "product", "--from", "domains/desk/sources/none/*.eml")
    assert (nothing.code, "there is no folder sources/none/" in nothing.err) == (2, True)
