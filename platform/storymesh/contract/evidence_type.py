"""The type of a property that says where in its file each value of a row stands."""

from types import MappingProxyType

from storymesh.language.types import Array, Field, Float, Integer, Struct, Text, Type

_FIELDS: dict[str, Type] = {
    "property": Text(),
    "how": Text(),
    "quote": Text(),
    "uri": Text(),
    "sha256": Text(),
    "reader": Text(),
    "part": Text(),
    "page": Integer(),
    "box": Array(Field(Float())),
    "seconds": Array(Field(Float())),
    "cell": Text(),
    "begin": Integer(),
    "end": Integer(),
    "confidence": Float(),
    "answer": Text(),
}
EVIDENCE = Array(Field(Struct(MappingProxyType({name: Field(kind, nullable=True) for name, kind in _FIELDS.items()}))))
"""One item for each value. `how`: `taken` from what a reader gives, `quoted` or `found` in the text, or `judged` by a
model, which nothing proves. `begin` and `end` count characters in the `part` (or in what the reader gave of the page,
the cell, the seconds); `answer` is the key of the model's answer."""
