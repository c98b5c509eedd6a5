"""Modules that are loaded when they are first used."""

import sys
from pathlib import Path

import pytest

from storymesh.contract.expectations import lazy_imports

LIBRARY = """\
import heavy.part as part
from heavy import part as same


def used():
    return part.value + same.value
"""


def test_a_module_is_loaded_when_it_is_used_and_nobody_else_meets_its_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text("")
    (tmp_path / "heavy" / "part.py").write_text("import loaded_with_it\n\nvalue = 21\n")
    (tmp_path / "loaded_with_it.py").write_text("")
    (tmp_path / "library.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    with lazy_imports("heavy.part"):
        import library  # type: ignore[import-not-found]
    assert "heavy.part" not in sys.modules and "loaded_with_it" not in sys.modules
    assert library.used() == 42
    assert "loaded_with_it" in sys.modules
    from heavy import part  # type: ignore[import-not-found]

    assert part is sys.modules["heavy.part"] and part.value == 21
    with lazy_imports("heavy.part"):  # what is loaded stays
        assert sys.modules["heavy.part"] is part
