"""The features of a dataset as `datasets` writes them: into the metadata of Parquet files, and into a card's header.

`datasets` is not asked for them: its import takes as long as a small release, and 60 MB. The tests hold both forms
against it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_VALUE, _LIST = "Value", "List"
# Where Arrow's own words for a type are others.
_NAMES = {"float": "float32", "double": "float64", "date32[day]": "date32"}


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
