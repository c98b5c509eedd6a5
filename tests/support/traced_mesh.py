"""A small mesh whose templates print all that can be traced: counts of rows and precedents, quotes with facts, a row
that is a fact, pseudonyms. Published and released once; and what its tests ask of traces."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from storymesh.contract.definition import Contract
from storymesh.dataset.stages import write_cases, write_precedents, write_records
from storymesh.engine.open import open_engine
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.product.publish import publish
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from storymesh.provenance.origins import Origin, RowOrigin
from storymesh.provenance.trace import RecordTrace, TracedSpan, trace_record
from storymesh.release.catalog import Release, read_record
from storymesh.release.definition_snapshot import open_released_build
from storymesh.release.layout import record_files
from storymesh.release.write import write_release
from tests.support.paths import MESHES

MESH = MESHES / "plain_files"
FOLDER = "narratives/roadside"
PSEUDONYM_KEY = "a key for tests"
REPORT = """
{% include "steps.jinja" %}
{% if last_step %}The last step was {{ last_step.remedy | label }}.{% endif %}
{% if saved_hours is not none %}
It saved {{ saved_hours | number(1) }} h, {{ "enough" if saved_hours >= 4 else "little" }}.
{% endif %}
"""
STEPS = """
{{ repair | length | plural("step") }} of {{ truck.body | label }}:
{% for step in repair %}
{{ loop.index }}: {{ step.remedy }}
{% endfor %}
Told by {{ teller | pseudonym }}.
"""
ADVICE = """
{% if precedents.enough %}
On level {{ precedents.level }}, {{ precedents.tried }} cases and {{ precedents.options | length }} ways.
{% if precedents.best %}
Best: {{ precedents.best.action | label }} at {{ precedents.best.rate | percent(1) }},
{{ precedents.best.mean_score | number(2) }} h, {{ precedents.best.quoted | length }} quoted:
{% for one in precedents.best.quoted %}
{{ one.cited_as }} {{ one.id }} of {{ one.at | date }} saved {{ one.score | number(1) }} h.
{% if one.last_step %}It was {{ one.last_step.remedy }}.{% endif %}
{% endfor %}
{% endif %}
{% if precedents.worst %}Worst: {{ precedents.worst.action | label }}.{% endif %}
{% endif %}
"""


def published(root: Path) -> Mesh:
    """Return the mesh below `root`, its products published as they are now, without orchestration."""
    mesh = load_mesh(root)
    for product in mesh.products.values():
        contract: Contract = mesh.contract(product.id)
        folder = mesh.domain_folder(product.domain)
        with open_engine() as engine, open_product_rows(product, contract, folder, Path("none"), engine) as rows:
            publish(product, contract, rows, ProductStore(mesh.warehouse, product.domain), engine, "run-1")
    return mesh


def released(mesh: Mesh) -> Release:
    build = pin_build(mesh, mesh.narrative("roadside"))
    write_cases(build)
    write_precedents(build)
    for config in build.configs:
        write_records(build, config)
    return write_release(build)


def release_traceable_mesh(root: Path) -> None:
    """Copy the mesh to `root`, with more in its templates, publish its products and make its first release."""
    shutil.copytree(MESH, root)
    folder = root / FOLDER
    for name, more in (("report.md.jinja", REPORT), ("advise.md.jinja", ADVICE)):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(more)
    (folder / "steps.jinja").write_text(STEPS, encoding="utf-8")
    narrative = folder / "narrative.yaml"
    text = narrative.read_text(encoding="utf-8") + "  pseudonymise: [depot.city]\n"
    text = text.replace("  facts:\n", "  facts:\n    teller: truck.truck_id ~ '/' ~ truck.driver\n")
    narrative.write_text(text, encoding="utf-8")
    repairs = root / "domains/road/sources/repairs.jsonl"
    later = [json.loads(line) for line in repairs.read_text(encoding="utf-8").splitlines()[::7]]
    with repairs.open("a", encoding="utf-8") as file:
        for row in later:
            file.write(json.dumps({**row, "repair_id": f"{row['repair_id']}-2", "remedy": "tow"}) + "\n")
    released(published(root))


def records_of(release: Release, config: str) -> list[dict[str, Any]]:
    files = [file for files in record_files(release.path, config).values() for file in files]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def traced(release: Release, warehouse: Warehouse, record_id: str) -> RecordTrace:
    return trace_record(open_released_build(release, warehouse, open_engine), read_record(release, record_id))


def spans_of(trace: RecordTrace, expression: str) -> list[TracedSpan]:
    return [span for column in trace.columns for span in column.spans if span.expression == expression]


def flat(origins: tuple[Origin, ...]) -> Iterator[Origin]:
    for origin in origins:
        yield origin
        if not isinstance(origin, RowOrigin):
            yield from flat(origin.origins)
