"""JSON Schemas of the files that people write, for editors that complete and underline.

They are made from the definitions that `check` reads the files by. `check` finds more: what no single file shows, and
what a schema cannot say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from storymesh.files.definition import FilesFile
from storymesh.mesh.settings import Domain, Settings
from storymesh.narrative.definition import NarrativeFile
from storymesh.narrative.scenario import ScenarioFile
from storymesh.product.sources.options import SourceOptions
from storymesh.standards.odcs import odcs_schema
from storymesh.standards.odps import accepted_odps_schema
from storymesh.standards.validate import JsonSchema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class FileKind:
    """A kind of file that people write: where its files are, as a pattern below the mesh root, and its schema."""

    files: str
    make_schema: Callable[[], JsonSchema]


def _model_schema(model: type[BaseModel]) -> Callable[[], JsonSchema]:
    def make() -> dict[str, Any]:
        return {"$schema": DIALECT, **model.model_json_schema(mode="validation", by_alias=True)}

    return make


def _product_schema() -> JsonSchema:
    """Return the standard's schema, which leaves open what a custom property holds, with what `source` does."""
    schema = accepted_odps_schema()
    source = {"anyOf": [{"type": "string", "minLength": 1}, SourceOptions.model_json_schema(by_alias=True)]}
    of_source = {
        "if": {"properties": {"property": {"const": "source"}}, "required": ["property"]},
        "then": {"properties": {"value": source}},
    }
    items = {"allOf": [schema["properties"]["customProperties"]["items"], of_source]}
    custom = {**schema["properties"]["customProperties"], "items": items}
    return {**schema, "properties": {**schema["properties"], "customProperties": custom}}


FILE_KINDS: Mapping[str, FileKind] = {
    "contract": FileKind("contracts/*/*.odcs.yaml", odcs_schema),
    "product": FileKind("domains/*/products/*.odps.yaml", _product_schema),
    "files": FileKind("domains/*/sources/**/*.files.yaml", _model_schema(FilesFile)),
    "narrative": FileKind("narratives/*/narrative.yaml", _model_schema(NarrativeFile)),
    "scenario": FileKind("narratives/*/scenarios/*.yaml", _model_schema(ScenarioFile)),
    "domain": FileKind("domains/*/domain.yaml", _model_schema(Domain)),
    "mesh": FileKind("mesh.yaml", _model_schema(Settings)),
}
"""Name of a kind of file -> where such files are, and their JSON Schema."""
