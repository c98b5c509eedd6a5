"""croissant.json: the content of a release for catalogues and loaders that read Croissant 1.1 (MLCommons).

It lists every Parquet file with its SHA-256, and every config as a record set with its columns, key and splits. It adds
nothing to the manifest: the same release gives the same bytes.
https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.release.description import ReleaseDescription, describe_columns
from storymesh.release.evidence_counts import judged_shares

if TYPE_CHECKING:
    import pyarrow as pa

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
PARQUET = "application/x-parquet"

# The context of the specification, word for word: readers warn about any other.
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_CREATIVE_COMMONS = re.compile(r"cc-(?P<terms>by(?:-nc)?(?:-sa|-nd)?)-(?P<version>[234]\.[05])")
# Other licences by their SPDX identifiers, which tell capital letters apart: https://spdx.org/licenses/
_SPDX = {
    name.lower(): name
    for name in [
        "AFL-3.0",
        "AGPL-3.0",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CDLA-Permissive-1.0",
        "CDLA-Permissive-2.0",
        "CDLA-Sharing-1.0",
        "C-UDA-1.0",
        "EPL-2.0",
        "EUPL-1.2",
        "GPL-3.0",
        "LGPL-3.0",
        "MIT",
        "MPL-2.0",
        "ODbL-1.0",
        "ODC-By-1.0",
        "PDDL-1.0",
        "Unlicense",
    ]
}
_SPDX |= {"odbl": "ODbL-1.0", "odc-by": "ODC-By-1.0", "pddl": "PDDL-1.0", "c-uda": "C-UDA-1.0"}


def render_croissant(
    description: ReleaseDescription, folder: Path, files: Mapping[str, Mapping[str, Sequence[Path]]]
) -> str:
    """Return croissant.json of the release in `folder`. `files` are its Parquet files: config -> split -> shards."""
    narrative, manifest = description.narrative, description.manifest
    filled = {config: splits for config, splits in files.items() if splits}
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": narrative.id,
        "alternateName": " ".join(narrative.title.split()),
        "description": " ".join((narrative.description or narrative.title).split()),
        "identifier": f"{narrative.id}@{manifest.version}",
        "version": manifest.version,
        "url": "README.md",
        "license": license_address(narrative.license),
        "creator": {"@type": "sc:Organization", "name": narrative.owner},
        "datePublished": manifest.created[:10],
        "citeAs": description.citation,
        "inLanguage": description.languages if len(description.languages) > 1 else description.languages[0],
        "isLiveDataset": False,
        **_annotation(description),
        "keywords": ["storymesh", *sorted({narrative.format_of(config).name for config in filled})],
        "distribution": [part for config, splits in filled.items() for part in _distribution(config, splits, folder)],
        "recordSet": [
            part for config, splits in filled.items() for part in _record_sets(description, config, list(splits))
        ],
    }
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _annotation(description: ReleaseDescription) -> dict[str, str]:
    """Return what a model judged, as the vocabulary of responsible AI has it; nothing where it judged nothing."""
    if not (judged := judged_shares(description.manifest)):
        return {}
    shares = ", ".join(f"{name} ({share:.1%} of its values)" for name, share in judged.items())
    return {"rai:dataAnnotationProtocol": f"Judged by a language model, and proven by nothing: {shares}."}


def license_address(license_: str) -> str:
    """Return the address of a licence that has one, else its name as the narrative has it."""
    name = license_.lower()
    if match := _CREATIVE_COMMONS.fullmatch(name):
        return f"https://creativecommons.org/licenses/{match['terms']}/{match['version']}/"
    return f"https://spdx.org/licenses/{_SPDX[name]}" if name in _SPDX else license_


def _distribution(config: str, splits: Mapping[str, Sequence[Path]], folder: Path) -> Iterator[dict[str, Any]]:
    """Yield each file of a config, and the set of them that its record set reads."""
    for path in (path for paths in splits.values() for path in paths):
        name = path.relative_to(folder).as_posix()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": path.name,
            "contentUrl": name,
            "contentSize": f"{path.stat().st_size} B",
            "encodingFormat": PARQUET,
            "sha256": digest,
        }
    # Without `containedIn`: mlcroissant 1.1.1 validates a set inside several files, and then cannot read it.
    yield {
        "@type": "cr:FileSet",
        "@id": f"{config}-files",
        "name": f"{config}-files",
        "description": f"The Parquet files of the config {config}, one or more for each split.",
        "encodingFormat": PARQUET,
        "includes": f"data/{config}/*.parquet",
    }


def _record_sets(description: ReleaseDescription, config: str, splits: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the record sets of a config: its splits, and its records."""
    narrative = description.narrative
    yield {
        "@type": "cr:RecordSet",
        "@id": f"{config}-splits",
        "name": f"{config}-splits",
        "description": f"The splits of the config {config}.",
        "dataType": "cr:Split",
        "key": {"@id": f"{config}-splits/name"},
        "field": [{"@type": "cr:Field", "@id": f"{config}-splits/name", "name": "name", "dataType": "sc:Text"}],
        "data": [{f"{config}-splits/name": split} for split in splits],
    }
    rows = ", ".join(f"{split} {description.configs[config][split]:,}" for split in splits)
    columns = describe_columns(narrative, config)
    kind = narrative.format_of(config).purpose
    yield {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": f"{kind[0].upper()}{kind[1:]}. Records: {rows}.",
        "key": {"@id": f"{config}/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{config}/split",
                "name": "split",
                "description": "The split that the record is in, from the name of its file.",
                "dataType": "sc:Text",
                "references": {"field": {"@id": f"{config}-splits/name"}},
                "source": {
                    "fileSet": {"@id": f"{config}-files"},
                    "extract": {"fileProperty": "filename"},
                    # It matches its own result: mlcroissant applies it twice.
                    "transform": {"regex": r"^(\w+?)(?:-\d+-of-\d+\.parquet)?$"},
                },
            },
            *(_field(config, column, columns) for column in description.schemas[config]),
        ],
    }


def _field(config: str, column: "pa.Field", columns: Mapping[str, str]) -> dict[str, Any]:
    source = {"fileSet": {"@id": f"{config}-files"}, "extract": {"column": column.name}}
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{config}/{column.name}",
        "name": column.name,
        "description": columns.get(column.name, column.name),
    }
    return {**described, **_typed(f"{config}/{column.name}", column.type, source, ())}


def _typed(name: str, type_: "pa.DataType", source: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return dataType, source and sub-fields of a column, or of the part of one at `path`."""
    import pyarrow as pa

    listed = {}
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        listed = {"isArray": True, "arrayShape": "-1"}
        type_ = type_.value_type
        while pa.types.is_list(type_) or pa.types.is_large_list(type_):
            type_ = type_.value_type
    transform = {"transform": {"jsonPath": ".".join(path)}} if path else {}
    if not pa.types.is_struct(type_):
        return {"dataType": _data_type(type_), **listed, "source": {**source, **transform}}
    parts = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{part.name}",
            "name": part.name,
            **_typed(f"{name}/{part.name}", part.type, source, (*path, part.name)),
        }
        for part in type_
        if not _lists_structs(part.type)
    ]
    return {**listed, "source": {**source, **transform}, "subField": parts}


def _lists_structs(type_: "pa.DataType") -> bool:
    """Return True for a list of structs: Croissant has no path through one that its readers follow."""
    import pyarrow as pa

    listed = pa.types.is_list(type_) or pa.types.is_large_list(type_)
    return listed and (pa.types.is_struct(type_.value_type) or _lists_structs(type_.value_type))


def _data_type(type_: "pa.DataType") -> str:
    import pyarrow as pa

    for holds, name in (
        (pa.types.is_boolean, "sc:Boolean"),
        (pa.types.is_integer, "cr:Int64"),
        (pa.types.is_floating, "cr:Float64"),
        (pa.types.is_decimal, "sc:Float"),
        (pa.types.is_date, "sc:Date"),
        (pa.types.is_timestamp, "sc:DateTime"),
    ):
        if holds(type_):
            return name
    return "sc:Text"
