"""Modules that a library imports at its own import and hardly ever uses, loaded when it first uses them."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _LateModule(ModuleType):
    """A stand-in for a module: whatever is asked of it is asked of the module, which is loaded for that.

    That of importlib (`LazyLoader`) loads the module as soon as the import system asks for its `__spec__`, as every
    further import does.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks before anybody uses it
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def imported_late(*names: str) -> Iterator[None]:
    """Give whoever imports these modules within it a stand-in for each; what is loaded already stays as it is."""
    stand_ins = {name: _LateModule(name) for name in names if name not in sys.modules}
    for name, stand_in in stand_ins.items():
        if (spec := importlib.util.find_spec(name)) is not None:
            stand_in.__path__ = list(spec.submodule_search_locations or ())
            sys.modules[name] = stand_in
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
