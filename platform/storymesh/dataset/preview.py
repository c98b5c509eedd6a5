"""Records of a few cases as they would be released, rendered by the interpreter without writing them."""

from typing import Any

from storymesh.dataset.build import Build
from storymesh.dataset.render import UNRENDERABLE, record_inputs, render_rows
from storymesh.dataset.stages import typed_record, write_cases_and_precedents
from storymesh.dataset.tables import cases_with_precedents
from storymesh.engine.engine import Engine
from storymesh.errors import StorymeshError, WrongUsage, suggest_name
from storymesh.language.interpret import Interpreter
from storymesh.narrative.typed_record import TypedRecord


def preview_records(build: Build, config: str, case_id: str | None = None, sample: int = 1) -> list[dict[str, Any]]:
    """Return the record of one case, or of a sample of cases, as the config would have it.

    Raises WrongUsage for a case that does not exist, StorymeshError for one of which the config has no record.
    """
    record = typed_record(build, config)
    write_cases_and_precedents(build)
    with build.open_engine() as engine:
        cases = cases_with_precedents(build, engine)
        rows = record_inputs(cases, build.typed, record, build.product_versions, build.pseudonym_key)
        if case_id is not None:
            chosen = rows.filter(rows["case_id"] == case_id)
        else:
            renderable = rows.filter(rows[UNRENDERABLE].isnull())
            chosen = renderable.order_by(renderable["case_id"].hexdigest("md5")).limit(sample)
        drops: dict[str, str] = {}
        records = list(render_rows(engine.stream_batches(chosen), record, interpreters(build, record), drops))
        if case_id is not None and not records:
            if case_id in drops:
                raise StorymeshError(f"'{config}' does not tell case {case_id}: {drops[case_id]}")
            raise _no_record(build, engine, case_id)
    return records


def _no_record(build: Build, engine: Engine, case_id: str) -> StorymeshError:
    cases = engine.read_parquet(build.files.cases)
    if int(engine.fetch_value(cases.filter(cases["case_id"] == case_id).count())):
        return StorymeshError(f"case {case_id} is dropped before it is told", "see the drops of the narrative")
    known = engine.fetch_table(cases.select("case_id").limit(2_000))["case_id"].to_pylist()
    return WrongUsage(f"'{build.narrative.id}' has no case {case_id}", suggest_name(case_id, known))


def interpreters(build: Build, record: TypedRecord) -> dict[str, Interpreter]:
    """Return the interpreter of each slot's template."""
    return {name: Interpreter(slot.checked.tree, build.pseudonym_key) for name, slot in record.slots.items()}
