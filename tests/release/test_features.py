"""The features of a dataset are what `datasets` and the Hub's own library write for the same columns."""

import json

import pyarrow as pa
import pytest

from storymesh.release.card.header import header_features, parquet_metadata, schema_features

SCALARS = [
    *(pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32(), pa.float64()),
    *(pa.string(), pa.null(), pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns")),
    *(pa.decimal128(10, 2), pa.decimal128(38, 0), pa.time64("us"), pa.duration("us")),
]


def _nested(kind: pa.DataType) -> list[pa.DataType]:
    row = pa.struct([("dtype", kind), ("list", pa.list_(pa.struct([("struct", kind)])))])
    return [pa.list_(kind), row, pa.list_(row), pa.list_(pa.list_(kind))]


@pytest.mark.parametrize("kind", SCALARS, ids=str)
def test_features_are_those_of_datasets(kind: pa.DataType) -> None:
    from datasets import Features

    for type_ in (kind, *_nested(kind)):
        schema = pa.schema([("one", type_), ("id", pa.string())])
        theirs = Features.from_arrow_schema(schema)
        assert header_features(schema) == theirs._to_yaml_list()
        written = {key.encode(): value.encode() for key, value in parquet_metadata(schema).items()}
        assert written == theirs.arrow_schema.metadata
        assert Features.from_dict(json.loads(json.dumps(schema_features(schema)))) == theirs


@pytest.mark.parametrize("kind", [pa.large_string(), pa.binary(), pa.map_(pa.string(), pa.int64()), pa.float16()])
def test_a_type_that_no_record_has_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(TypeError, match="a record has no column of the type"):
        schema_features(pa.schema([("one", pa.list_(kind))]))
