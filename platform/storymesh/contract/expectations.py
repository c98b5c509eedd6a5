"""Great Expectations, through its public interface alone: expectations in, the rows that break them out.

Importing it costs seconds, and it sends usage data unless told not to; both are dealt with here, once for each process.
"""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from types import ModuleType
from typing import TYPE_CHECKING, Any

from storymesh.contract.allowed_expectations import allowed_arguments
from storymesh.contract.checks import Check
from storymesh.contract.quality_rules import Expectation
from storymesh.errors import DefinitionErrors, Finding

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 0,
}
_numbers = count()


@dataclass(frozen=True)
class ExpectationOutcome:
    """The outcome of one expectation: `failed_rows` are places in the frame, of an expectation about rows."""

    passed: bool
    observed: Any
    failed_rows: "np.ndarray[Any, Any]"


def condition_column(position: int) -> str:
    """Return the name of the boolean column that holds the condition of the check at `position` among its checks."""
    return f"storymesh:holds:{position}"


def load_great_expectations() -> None:
    """Import Great Expectations and open a session, as the first call of `run_expectations` does otherwise."""
    _context()


def run_expectations(
    frame: "pd.DataFrame", checks: Sequence[Check], restricted: Collection[str]
) -> list[ExpectationOutcome]:
    """Return how each check came out over the rows of `frame`.

    One that is a condition on each row has it computed in the column `condition_column` of its position: reading
    booleans costs a fraction of reading texts, of which Great Expectations makes a fingerprint for each batch. Raises
    DefinitionErrors for an expectation that Great Expectations cannot run; its words quote no value of a property that
    is `restricted`.
    """
    context = _context()
    import great_expectations as gx
    import numpy as np

    expectations = [_expectation(check, position, frame.columns) for position, check in enumerate(checks)]
    # What a data source has seen it keeps, so each frame gets one of its own.
    source = context.data_sources.add_pandas(f"staged {next(_numbers)}")
    try:
        batch = source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
        suite = gx.ExpectationSuite("contract", expectations=expectations)
        found = batch.get_batch({"dataframe": frame}).validate(suite, result_format=_RESULT_FORMAT).results
    finally:
        context.data_sources.delete(source.name)
    # Results of expectations that raised come first.
    by_position = {result.expectation_config.meta["position"]: result for result in found}
    outcomes = []
    for position, check in enumerate(checks):
        result = by_position[position]
        if problem := _exception(result.exception_info):
            if not set(restricted).isdisjoint(check.properties):
                problem = "its words could quote a restricted value"
            words = f"Great Expectations cannot run '{check.name}': {problem}"
            raise DefinitionErrors([Finding(check.location, "quality-rule", words, "check its arguments")])
        observed = result.result.get("observed_value", result.result.get("unexpected_count"))
        rows = np.asarray(result.result.get("unexpected_index_list") or [], np.int64)
        outcomes.append(ExpectationOutcome(bool(result.success), observed, rows))
    return outcomes


def _exception(details: Mapping[str, Any] | None) -> str:
    if not details:
        return ""
    nested = details if "raised_exception" in details else next(iter(details.values()))
    return str(nested["exception_message"]) if nested.get("raised_exception") else ""


def _expectation(check: Check, position: int, columns: Collection[str]) -> Any:
    import great_expectations.expectations as gxe

    assert isinstance(check.test, Expectation)
    meta = {"position": position}
    if condition_column(position) in columns:
        column = condition_column(position)
        share = check.test.arguments.get("mostly", 1.0)
        return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True], mostly=share, meta=meta)
    return _own_expectation(check, check.test.expectation_type, check.test.arguments, meta)


def _own_expectation(check: Check, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> Any:
    """Return an expectation that the contract names itself."""
    from pydantic.v1 import ValidationError

    if allowed_arguments(name) is None:  # `read_contract` lets none pass
        raise AssertionError(name)
    try:
        return _expectations()[name](**arguments, meta=meta)
    except ValidationError as error:
        problem = error.errors()[0]
        words = f"{name}: '{'.'.join(map(str, problem['loc']))}': {problem['msg']}"
        raise DefinitionErrors([Finding(check.location, "quality-rule", words)]) from None


@cache
def _expectations() -> dict[str, Any]:
    """Return Great Expectations' own expectations by name."""
    import great_expectations.expectations as gxe

    classes = (getattr(gxe, name) for name in dir(gxe) if name.startswith("Expect") and name != "Expectation")
    return {item.expectation_type: item for item in classes if getattr(item, "expectation_type", None)}


@cache
def _context() -> Any:
    """Return an ephemeral session that neither sends usage data nor draws progress bars."""
    import os

    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    # It logs what it could not compute with the values that it had.
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    with lazy_imports("scipy.stats", "altair"):  # for one expectation and for pictures, a third of its import
        import great_expectations as gx

    context: Any = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return context


class _LazyModule(ModuleType):
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
def lazy_imports(*names: str) -> Iterator[None]:
    """Give whoever imports these modules within it a stand-in for each; what is loaded already stays as it is."""
    stand_ins = {name: _LazyModule(name) for name in names if name not in sys.modules}
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
