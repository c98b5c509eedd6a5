"""The YAML header of the card, and the metadata of its files, which the Hugging Face Hub and `datasets` read."""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storymesh.release.card.markdown import single_line
from storymesh.release.description import SYNTHETIC, ReleaseDescription
from storymesh.yaml_syntax import dump_yaml

if TYPE_CHECKING:
    import pyarrow as pa

# What the Hub accepts under `license`: https://huggingface.co/docs/hub/repositories-licenses. Others are `other`.
LICENSES = frozenset(
    re.split(
        r"\s+",
        """afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5
        cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
        cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
        cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 gpl gpl-2.0 gpl-3.0 lgpl
        lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl odbl odc-by openrail osl-3.0 other pddl unknown unlicense wtfpl zlib""",
    )
)
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_BEYOND = "10M<n<100M"
# Where Arrow's own words for a type are others.
_NAMES = {"float": "float32", "double": "float64", "date32[day]": "date32"}


def parquet_metadata(schema: "pa.Schema") -> dict[str, str]:
    """Return the key-value metadata from which the Parquet reader of `datasets` takes the features of a file."""
    return {"huggingface": json.dumps({"info": {"features": schema_features(schema)}})}


def card_header(description: ReleaseDescription) -> str:
    """Return the header as YAML, without its `---` lines."""
    narrative, formats = description.narrative, description.formats
    # A split without rows must not be named: one that is makes every config fail to load.
    filled = description.filled
    license_ = narrative.license.lower()
    known = license_ in LICENSES
    trained = any(format_.read_by_trl for format_ in formats.values())
    total = description.manifest.records
    header = {
        "language": list(dict.fromkeys(tag.partition("-")[0] for tag in description.languages)),
        "license": license_ if known else "other",
        "size_categories": [next((name for limit, name in _SIZES if total < limit), _BEYOND)],
        "task_categories": sorted({formats[config].task for config in description.configs}),
        "pretty_name": single_line(narrative.title),
        "tags": [
            *("storymesh", "data-mesh"),
            *(["trl"] if trained else []),
            *([SYNTHETIC] if description.synthetic else []),
        ],
        **({} if known else {"license_name": re.sub(r"[^a-z0-9.]+", "-", license_).strip("-")}),
        "configs": [
            {
                "config_name": config,
                "data_files": [{"split": split, "path": f"data/{config}/{split}-*.parquet"} for split in splits],
            }
            for config, splits in filled.items()
        ],
        "dataset_info": [_dataset_info(description, config, splits) for config, splits in filled.items()],
    }
    return dump_yaml(header, width=80).strip()


def _dataset_info(description: ReleaseDescription, config: str, splits: Sequence[str]) -> dict[str, Any]:
    """Return what `datasets` calls the info of a config: its features, and how large its splits are."""
    sizes, counts = description.sizes[config], description.configs[config]
    loaded = description.loaded_sizes[config]
    return {
        "config_name": config,
        "features": header_features(description.schemas[config]),
        "splits": [{"name": split, "num_bytes": loaded[split], "num_examples": counts[split]} for split in splits],
        "download_size": sum(sizes.values()),
        "dataset_size": sum(loaded.values()),
    }


_VALUE, _LIST = "Value", "List"


def schema_features(schema: "pa.Schema") -> dict[str, Any]:
    """Return the features of a schema, as the metadata of a file has them in JSON. Raises TypeError for types that no
    record has."""
    return {field.name: _feature(field.type) for field in schema}


def header_features(schema: "pa.Schema") -> list[dict[str, Any]]:
    """Return the features of a schema as the header of a card lists them. Raises as `schema_features` does."""
    return [{"name": field.name, **_header_entry(field.type)} for field in schema]


def _feature(type_: "pa.DataType") -> dict[str, Any]:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return {field.name: _feature(field.type) for field in type_}
    if pa.types.is_list(type_):
        return {"feature": _feature(type_.value_type), "_type": _LIST}
    return {"dtype": _dtype(type_), "_type": _VALUE}


def _header_entry(type_: "pa.DataType") -> dict[str, Any]:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return {"struct": [{"name": field.name, **_header_entry(field.type)} for field in type_]}
    if pa.types.is_list(type_):
        item = _header_entry(type_.value_type)
        return {"list": item.get("dtype", item.get("struct", item))}
    return {"dtype": _dtype(type_)}


def _dtype(type_: "pa.DataType") -> str:
    import pyarrow as pa

    plain = pa.types.is_primitive(type_) and not (pa.types.is_interval(type_) or pa.types.is_float16(type_))
    if not (plain or pa.types.is_decimal(type_) or pa.types.is_string(type_) or pa.types.is_null(type_)):
        raise TypeError(f"a record has no column of the type {type_}")
    name = str(type_)
    return _NAMES.get(name, name)
